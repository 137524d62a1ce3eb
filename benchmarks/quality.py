"""Scores of the shipped weights on frames not trained on, through `occ-node infer` and `occ-node evaluate`."""

from pathlib import Path

from occ_cli.node import main as occ_node
from occ_cli.verbs.evaluate import evaluate
from occ_data.ground_truth import write_ground_truth
from occ_data.kitti import Sequence, sequences
from occ_data.synthetic import generate
from occ_runtime.bundle import SHIPPED_BUNDLES

from .measure import Options, markdown

HELD_OUT_STREETS = ("200", "201", "202", "203", "204", "205")
SEQUENCE = "07"
OUTPUT = Path("out/quality")


def measure(options: Options) -> dict:
    """All bundles on held-out synthetic streets and, where real frames are at hand, those that saw no real frame on one
    sequence: the others were trained on it.
    """
    sets = {"synthetic streets": (synthetic_streets(options), list(HELD_OUT_STREETS), SHIPPED_BUNDLES)}
    if options.data:
        synthetic = [bundle for bundle in SHIPPED_BUNDLES if bundle.endswith("-synthetic")]
        sets[f"KITTI {SEQUENCE}"] = (real_sequence(options.data), [SEQUENCE], synthetic)
    result = {"runs": []}
    for title, (root, names, bundles) in sets.items():
        for bundle in bundles:
            predictions = OUTPUT / bundle
            arguments = ["infer", "--bundle", bundle, "--dataset", str(root), "--output", str(predictions)]
            if occ_node([*arguments, "--sequences", *names]):
                raise RuntimeError(f"occ-node infer failed with {bundle} on {title}")
            result["runs"].append({"set": title, "bundle": bundle, **evaluate(sequences(root, names), predictions)})
    return result


def synthetic_streets(options: Options) -> Path:
    """Ten frames 4 to 6 m apart of each street, made once."""
    root = OUTPUT / "synthetic"
    for name in HELD_OUT_STREETS:
        if len(list((root / "sequences" / name / "voxels").glob("*.label"))) < options.repeats(10):
            generate(root, name, options.repeats(10), int(name), step=(4.0, 5.0, 6.0)[int(name) % 3])
    return root


def real_sequence(data: Path) -> Path:
    """The sequence with voxel truth made from its labelled scans."""
    root = OUTPUT / "real"
    for _ in write_ground_truth(Sequence(data / "sequences" / SEQUENCE), root):
        pass
    return root


def tables(result: dict) -> dict[str, str]:
    """For docs/results.md."""
    rows = []
    for run in result["runs"]:
        scan = run["scan_baseline"]["iou"]
        figures = [scan, run["iou"], run["precision"], run["recall"], run["miou_present"], run["miou"]]
        rows.append(
            [f"{run['set']} ({run['frames']} frames), `{run['bundle']}`"]
            + [f"{figure:.1f}" for figure in figures]
            + [f"{run['iou'] / scan:.2f}", run["classes_present"]]
        )
    header = [
        "not trained on", "IoU of the scan itself", "IoU", "precision", "recall", "mIoU, present classes",
        "mIoU, all 19", "IoU, times the scan's", "classes present",
    ]  # fmt: skip
    return {"quality": markdown(header, rows)}
