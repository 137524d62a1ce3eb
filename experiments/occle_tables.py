"""OccLE's claims tested on the synthetic world: label share, modules, geometry, synergy, pseudo labels.

    python -m experiments.occle_tables --keep

trains the network of size `pico` in 75 phases: two hours on two cores. Complete phases are not trained again.
"""

import sys
from pathlib import Path
from statistics import mean

from benchmarks.measure import markdown
from benchmarks.report import publish
from occ_models.occle.recipe import OccLERecipe

from .occle_runs import RECIPE, ROWS, SIZE, STEPS, make_data, run_all
from .table_runs import FRAMES, HELD_OUT, STREETS, arguments_of, figures, folder_of, same, spread

OUTPUT = Path("out/occle_tables")
SHARES = ("100 %", "10 %", "1 %", "pseudo labels only")
MODULES = ("none", "semantic, geometric", "semantic, projection", "geometric, projection")


def measure(root: Path, seeds: list[int]) -> dict:
    """Figures of every phase of every row, a list over the seeds each."""
    result = {
        "size": SIZE, "seeds": seeds, "frames": [len(STREETS) * FRAMES, len(HELD_OUT) * FRAMES],
        "steps": {phase: getattr(RECIPE, f"{phase}_steps") for phase in OccLERecipe.all_phases},
        "rows": {},
    }  # fmt: skip
    for name, row in ROWS.items():
        for phase in row.phases:
            found = [figures(folder_of(root, name, seed), phase) for seed in seeds]
            result["rows"].setdefault(name, {})[phase] = {key: [f[key] for f in found] for key in found[0]}
    return result


def tables(result: dict) -> dict[str, str]:
    """For docs/results.md."""
    rows = result["rows"]

    def of(phase: str, *keys: str):
        return lambda name: [spread(rows[name][phase][key]) for key in keys]

    def table(title: str, columns: list[str], names: dict[str, str], cells) -> str:
        return markdown([title, *columns], [[shown, *cells(name)] for shown, name in names.items()])

    joint = of("joint", "miou", "iou")
    geometry = {
        f"100 %, {2 * STEPS} steps": ("100 %", "teacher"),
        f"10 %, teacher, {STEPS} steps": ("10 %", "teacher"),
        f"10 %, teacher, {2 * STEPS} steps": ("teacher, longer", "teacher"),
        f"10 %, teacher and student, weak, {STEPS} + {STEPS}": ("weak", "student"),
        f"10 %, weak and middle, {STEPS} + {STEPS}": ("middle", "student"),
        f"10 %, weak, middle and strong, {STEPS} + {STEPS}": ("10 %", "student"),
        f"10 %, teacher, {5 * STEPS} steps": ("teacher, longest", "teacher"),
        f"10 %, weak, middle and strong, {STEPS} + {4 * STEPS}": ("student, longer", "student"),
        f"1 %, teacher, {STEPS} steps": ("1 %", "teacher"),
        f"1 %, weak, middle and strong, {STEPS} + {STEPS}": ("1 %", "student"),
    }

    def geometric(title: str) -> list[str]:
        name, phase = geometry[title]
        iou = rows[name][phase]["iou"]
        return [spread(iou), f"{100 * mean(iou) / mean(rows['100 %']['teacher']['iou']):.0f} %"]

    def shares(name: str) -> list[str]:
        return [*joint(name), f"{100 * mean(rows[name]['joint']['miou']) / mean(rows['100 %']['joint']['miou']):.0f} %"]

    return {
        "occle_share": table("voxel labels", ["mIoU", "IoU", "of full mIoU"], same(SHARES), shares),
        "occle_modules": table(
            "modules, 10 % of the labels", ["mIoU", "IoU"], same(MODULES) | {"all three": "10 %"}, joint
        ),
        "occle_geometry": table("only the geometric branch", ["IoU", "of full"], same(geometry), geometric),
        "occle_synergy": table(
            "teacher, 10 % of the labels", ["IoU"],
            {"Conv3D + 3-D deformable attention": "dense synergy", "cross-plane (eq. 3, 4)": "10 %"},
            of("teacher", "iou"),
        ),
        "occle_pseudo": table(
            "semantic branch, pseudo labels", ["mIoU of the image", "mIoU of voxels with points"],
            {"unaligned": "unaligned", "aligned": "10 %"}, of("semantic", "miou_2d", "miou_3d"),
        ),
        "occle_variants": table(
            "phase III, 10 % of the labels", ["mIoU", "IoU"],
            {
                "as the paper has it": "10 %", "projection weighted by distance": "distance",
                "geometric branch trained on with the teacher's labels": "teacher in phase III",
            },
            joint,
        ),
    }  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Train what is missing, print; kept with the other figures when asked."""
    arguments = arguments_of(argv, "occle_tables", __doc__, OUTPUT)
    make_data(arguments.output)
    run_all(arguments.output, arguments.seeds, arguments.processes, list(ROWS))
    result = measure(arguments.output, arguments.seeds)
    publish("occle_tables", result, tables(result), arguments.keep)
    return 0


if __name__ == "__main__":
    sys.exit(main())
