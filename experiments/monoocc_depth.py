"""Quality of a MonoOcc checkpoint's depth, proposals and labels on sequences that it was not trained on.

    python -m experiments.monoocc_depth CHECKPOINT --synthetic ROOT/sequences/20[0-5] --real DATA/sequences/07 --keep

CHECKPOINT is a folder that `occ-train monoocc` wrote; the sequences hold voxels/*.label. The truth of depth are the
scan's points, projected, the nearest of each 8 x 8 pixels. Needs torch.
"""

import argparse
import sys
from pathlib import Path

from benchmarks.measure import markdown
from benchmarks.report import publish
from occ_data import DataError, open_drive
from occ_models.config import ConfigError

from .monoocc_quality import measure


def table(result: dict) -> str:
    """For docs/results.md."""
    rows = []
    for title, (labels, proposals, depth) in result["sets"].items():
        proposed = [f"{proposals[key]:.1f}" for key in ("iou", "precision", "recall")]
        seen = [f"{depth['abs_rel']:.3f}", f"{depth['delta']:.1f}"]
        rows.append([title, *seen, *proposed, f"{labels['iou']:.1f}", f"{labels['miou_present']:.1f}"])
    header = [
        "not trained on", "depth, abs rel", "depth, delta < 1.25, %", "proposals, IoU", "precision", "recall",
        "labels, IoU", "mIoU, present classes",
    ]  # fmt: skip
    return markdown(header, rows)


def main(argv: list[str] | None = None) -> int:
    """Measure, print; kept with the other figures on demand."""
    parser = argparse.ArgumentParser(prog="python -m experiments.monoocc_depth", description=__doc__.partition("\n")[0])
    parser.add_argument("checkpoint", type=Path, help="folder with model.safetensors and config.yaml")
    parser.add_argument("--synthetic", nargs="+", metavar="SEQ", help="sequences of the synthetic world")
    parser.add_argument("--real", nargs="+", metavar="SEQ", help="sequences of KITTI")
    parser.add_argument("--keep", action="store_true", help="keep the figures with the others and fill docs/results.md")
    arguments = parser.parse_args(argv)
    sets = {"synthetic streets": arguments.synthetic, "KITTI": arguments.real}
    result = {"sets": {}}
    try:
        for title, folders in sets.items():
            if folders:
                names = ", ".join(Path(folder).name for folder in folders)
                sequences = [open_drive(folder) for folder in folders]
                result["sets"][f"{title} ({names})"] = measure(arguments.checkpoint, sequences)
    except (ConfigError, DataError) as error:
        print(f"monoocc_depth: {error}", file=sys.stderr)
        return 1
    publish("monoocc_depth", result, {"monoocc_depth": table(result)}, arguments.keep)
    return 0


if __name__ == "__main__":
    sys.exit(main())
