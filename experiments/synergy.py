"""The cross-plane synergy compared with the dense one: IoU of the geometric branch (OccLE's table 4a).

    python -m experiments.synergy --keep

Options and folder are those of `experiments.occle_tables`, with which it shares phases. `experiments.synergy_cost`
measures operations and time.
"""

import sys

from benchmarks.measure import markdown

from .figures import spread
from .occle_rows import ALL, SYNERGY
from .occle_tables import occle_setup, parser
from .rows import Row
from .running import run_tables
from .setup import Setup

ROWS = {**SYNERGY, ALL: Row(trains=("semantic", "teacher"))}
TITLES = {"dense synergy": "Conv3D + 3-D deformable attention", ALL: "cross-plane (eq. 3, 4)"}


def tables(setup: Setup, rows: dict) -> dict[str, str]:
    """For docs/results.md, of rows that were measured: figures by row and phase."""
    lines = [[t, spread(rows[name]["teacher"]["iou"])] for name, t in TITLES.items() if "teacher" in rows.get(name, {})]
    return {"occle_synergy": markdown(["teacher, 10 % of the labels", "IoU"], lines)}


def main(argv: list[str] | None = None) -> int:
    """Train what is missing, print; kept with the other figures when asked."""
    return run_tables("synergy", parser("synergy", __doc__).parse_args(argv), occle_setup, lambda setup: ROWS, tables)


if __name__ == "__main__":
    sys.exit(main())
