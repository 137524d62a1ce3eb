"""OccLE's label efficiency: mIoU and IoU over the share of frames with voxel labels, as a chart and a table.

    python -m experiments.label_efficiency --keep
    python -m experiments.label_efficiency --shares 0.01 0.1 1 --size base --devices 1 \\
        --train kitti/sequences/0[0-7] --validation kitti/sequences/08

Trains all phases for each share and seed; phase I, which takes no voxel labels, once a seed. Of all labels the teacher
trains as long as teacher and student of the other shares together. Own drives need pseudo labels, and points' labels
for --validation. Complete phases are not trained again. The chart is OUTPUT/label_efficiency.png.
"""

import sys
from collections.abc import Sequence
from functools import partial
from statistics import mean

import numpy as np

from benchmarks.measure import markdown
from occ_cli.drawing.canvas import save_png

from .chart import share_chart
from .figures import measured, spread
from .occle_rows import WITH_TEACHER
from .occle_tables import occle_setup, parser
from .rows import Row
from .running import run_tables
from .setup import Setup

SHARES = (0.01, 0.05, 0.1, 0.2, 0.5, 1.0)


def name_of(share: float) -> str:
    """A share as the tables show it."""
    return f"{100 * share:g} %"


def rows_of(shares: Sequence[float], setup: Setup) -> dict[str, Row]:
    """A row for each share, in rising order; phase I is the first one's."""
    first, *others = (name_of(share) for share in shares)
    rows = {first: Row({"share": shares[0]}, lengths={"teacher": 2.0} if shares[0] == 1 else {})}
    for name, share in zip(others, shares[1:], strict=True):
        trains, lengths = (("teacher", "joint"), {"teacher": 2.0}) if share == 1 else (WITH_TEACHER, {})
        rows[name] = Row({"share": share}, trains, first, lengths)
    return rows


def chart_of(shares: Sequence[float], rows: dict) -> np.ndarray:
    """The chart of the shares that were measured, (H, W, 3) uint8 RGB."""
    return share_chart(
        {
            title: {share: rows[name_of(share)]["joint"][key] for share in shares if name_of(share) in rows}
            for title, key in (("mIoU, %", "miou"), ("IoU, %", "iou"))
        }
    )


def measure(shares: Sequence[float], setup: Setup, rows: dict[str, Row]) -> dict:
    """mIoU and IoU of the shares that are complete; draws the chart."""
    found = {name: phases for name, phases in measured(setup, rows).items() if "joint" in phases}
    if found:
        print(f"chart: {save_png(setup.output / 'label_efficiency.png', chart_of(shares, found))}")
    return found


def tables(setup: Setup, rows: dict) -> dict[str, str]:
    """For docs/results.md."""
    if not rows:
        return {}
    most = list(rows)[-1]
    full = mean(rows[most]["joint"]["miou"])
    lines = []
    for name, phases in rows.items():
        miou, iou = phases["joint"]["miou"], phases["joint"]["iou"]
        lines.append([name, spread(miou), spread(iou), f"{100 * mean(miou) / full:.0f} %" if full else ""])
    return {"occle_label_efficiency": markdown(["voxel labels", "mIoU", "IoU", f"of the mIoU of {most}"], lines)}


def main(argv: list[str] | None = None) -> int:
    """Train what is missing, draw, print; kept with the other figures when asked."""
    options = parser("label_efficiency", __doc__)
    options.add_argument("--shares", type=float, nargs="+", default=list(SHARES), help="above 0 and at most 1")
    arguments = options.parse_args(argv)
    shares = sorted(set(arguments.shares))
    if not 0 < shares[0] <= shares[-1] <= 1:
        options.error(f"--shares: expected numbers above 0 and at most 1, got {shares}")
    of_shares = partial(rows_of, shares), tables, partial(measure, shares)
    return run_tables("occle_label_efficiency", arguments, occle_setup, *of_shares)


if __name__ == "__main__":
    sys.exit(main())
