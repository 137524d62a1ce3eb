"""MonoOcc's claims tested on the synthetic world: its Tables II and III, small classes, proposals and depth.

    python -m experiments.monoocc_tables --keep

trains the network of size `pico` in 48 phases (36 of them took two hours on two cores). Complete phases are not
trained again.
"""

import sys
from pathlib import Path
from statistics import mean

from benchmarks.measure import markdown
from benchmarks.report import publish
from occ_data.kitti import Sequence

from .monoocc_runs import RECIPE, ROWS, SHARED, SIZE, TABLE_2, TABLE_3, TEACHER, VARIANTS, measure, run_all
from .table_runs import FRAMES, HELD_OUT, STREETS, arguments_of, figures, folder_of, make_streets, spread, streets

OUTPUT = Path("out/monoocc_tables")
GROUPS = {
    "ground": ("road", "parking", "sidewalk", "other-ground", "terrain"),
    "large things": ("building", "fence", "vegetation", "car", "truck", "other-vehicle"),
    "small things": (
        "bicycle", "motorcycle", "person", "bicyclist", "motorcyclist", "trunk", "pole", "traffic-sign",
    ),
    "long tail (each below 0.3 % of SemanticKITTI)": (
        "bicycle", "motorcycle", "truck", "other-vehicle", "person", "bicyclist", "motorcyclist", "pole",
        "traffic-sign",
    ),
}  # fmt: skip


def measured(root: Path, seeds: list[int]) -> dict:
    """Figures of every row, a list over the seeds each."""
    held_out = streets(root, HELD_OUT)
    result = {
        "size": SIZE, "teacher": TEACHER, "seeds": seeds, "frames": [len(STREETS) * FRAMES, len(HELD_OUT) * FRAMES],
        "steps": {phase: getattr(RECIPE, f"{phase}_steps") for phase in RECIPE.all_phases}, "rows": {},
    }  # fmt: skip
    teachers = [figures(folder_of(root, SHARED, seed), "teacher") for seed in seeds]
    result["rows"]["teacher"] = {key: [t[key] for t in teachers] for key in ("iou", "miou")}
    for name in ROWS:
        found = [row_figures(folder_of(root, name, seed), held_out) for seed in seeds]
        result["rows"][name] = {key: [f[key] for f in found] for key in found[0]}
    return result


def row_figures(folder: Path, sequences: list[Sequence]) -> dict[str, float]:
    """IoU, mIoU, mean IoU of each group's classes that occur, and what the first stage measures."""
    labels, proposals, depth = measure(folder, sequences)
    result = {key: labels[key] for key in ("iou", "miou")}
    for group, names in GROUPS.items():
        result[group] = mean(labels["class_iou"][name] for name in names)
    result |= {f"proposal_{key}": proposals[key] for key in ("iou", "precision", "recall")}
    return result | {key: depth[key] for key in ("abs_rel", "delta")}


def tables(result: dict) -> dict[str, str]:
    """For docs/results.md."""
    rows = result["rows"]

    def cells(name: str, *keys: str) -> list[str]:
        return [spread(rows[name][key]) for key in keys]

    ablation = [[name, *cells(name, "miou", "iou")] for name in (*TABLE_2, "teacher")]
    base = rows["none"]
    groups = [
        [name, *(f"{spread(rows[name][g])} ({mean(rows[name][g]) - mean(base[g]):+.2f})" for g in GROUPS)]
        for name in ("none", "2D", "distillation", "conditioned", SHARED)
    ]
    variants = [[name, *cells(name, "miou", "iou")] for name in (SHARED, *VARIANTS, "none", *TABLE_3)]
    return {
        "monoocc_ablation": markdown(["student, and its privileged teacher", "mIoU", "IoU"], ablation),
        "monoocc_groups": markdown(["mean IoU of classes (against none)", *GROUPS], groups),
        "monoocc_variants": markdown(["network", "mIoU", "IoU"], variants),
    }


def main(argv: list[str] | None = None) -> int:
    """Train what is missing, print; kept with the other figures when asked."""
    arguments = arguments_of(argv, "monoocc_tables", __doc__, OUTPUT)
    make_streets(arguments.output)
    run_all(arguments.output, arguments.seeds, arguments.processes, list(ROWS))
    result = measured(arguments.output, arguments.seeds)
    publish("monoocc_tables", result, tables(result), arguments.keep)
    return 0


if __name__ == "__main__":
    sys.exit(main())
