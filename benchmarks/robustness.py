"""A bundle on frames with voxel truth, with all of its sensors and with less: `python -m benchmarks.robustness`.

    python -m benchmarks.robustness --bundle occle-nano --drives KITTI/sequences/07 --prior KITTI/sequences/0[0-5]
    python -m benchmarks.robustness --drives synthetic:200:20 synthetic:201:20 --every 4 --keep

The truth must be there (`occ-data ground-truth` makes it from labelled scans). --prior names the drives that the
network was trained on: from them comes the best prediction that is the same for every frame.
"""

import argparse
import sys

from occ_core.errors import InputError
from occ_data import open_drive
from occ_runtime import DEFAULT_BUNDLE, Bundle, Predictor, find_bundle, load_backend

from .completion_rows import CONSTANT, SCAN, constant_prediction, measure
from .conditions import FULL
from .measure import markdown
from .report import publish

HEADER = [
    "", "IoU", "times the scan's", "of full sensor", "precision", "recall", "mIoU, present", "of full sensor",
    "cells called free", "calibration error", "of occupied",
]  # fmt: skip


def table(rows: dict[str, dict]) -> str:
    """A line for each row of `completion_rows.measure`."""
    scan, full = rows[SCAN]["iou"], rows[FULL]
    lines = []
    for name, row in rows.items():
        measured = name != SCAN and not name.startswith(CONSTANT)
        parts = [_share(row[key], full[key]) if measured else "" for key in ("iou", "miou_present")]
        lines.append(
            [
                name, f"{row['iou']:.1f}", f"{row['iou'] / max(scan, 1e-9):.2f}", parts[0], f"{row['precision']:.1f}",
                f"{row['recall']:.1f}", "" if name == SCAN else f"{row['miou_present']:.1f}", parts[1],
                *(("" if row[key] is None else f"{row[key]:.1f} %") for key in ("free_cells", "ece", "ece_occupied")),
            ]
        )  # fmt: skip
    return markdown(HEADER, lines)


def _share(value: float, whole: float) -> str:
    return f"{100 * value / whole:.0f} %" if whole else ""


def main(argv: list[str] | None = None) -> int:
    """Measure, print; kept with the other figures when asked."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.robustness", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--bundle", default=DEFAULT_BUNDLE, help="engine bundle, by name or path (default: %(default)s)"
    )
    parser.add_argument("--drives", nargs="+", required=True, metavar="DRIVE", help="sequence folders, synthetic:...")
    parser.add_argument("--prior", nargs="+", metavar="DRIVE", help="drives for the constant prediction")
    parser.add_argument("--every", type=int, default=1, help="of the frames with truth, every Nth (default: all)")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--title", help="of the drives, in the place of the table on the page (default: their names)")
    parser.add_argument("--keep", action="store_true", help="keep the figures and fill docs/results.md")
    arguments = parser.parse_args(argv)
    try:
        bundle = Bundle.load(find_bundle(arguments.bundle))
        drives = [open_drive(source) for source in arguments.drives]
        prior = [open_drive(source) for source in arguments.prior or ()]
        if missing := [str(drive.path) for drive in drives + prior if not drive.voxel_frames]:
            raise InputError(f"{', '.join(missing)}: no voxel truth; occ-data ground-truth makes it")
        constant = constant_prediction(prior, bundle.grid) if prior else None
        backend = load_backend(bundle, arguments.backend)
        predictor = Predictor(bundle, backend)
        rows = measure(
            lambda frame: predictor.predict(frame.image, frame.points, frame.calibration),
            bundle.grid, bundle.needs_cloud, drives, arguments.every, constant, bundle.name,
        )  # fmt: skip
        backend.close()
        title = arguments.title or " ".join(drive.name for drive in drives)
        name = f"robustness {bundle.name} {title}"
        result = {"bundle": bundle.name, "drives": [drive.name for drive in drives], "every": arguments.every}
        publish(name, {**result, "rows": rows}, {name: table(rows)}, arguments.keep)
    except (InputError, ValueError) as error:
        print(f"benchmarks.robustness: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
