"""OccLE's label efficiency: mIoU and IoU over the share of frames with voxel labels, as a chart.

    python -m experiments.figure_3 [--shares 0.01 0.1 1] \\
        [--size base --train KITTI/sequences/0[0-7] --validation KITTI/sequences/08] [--keep]

Trains all phases for each share and seed; phase I, which takes no voxel labels, once a seed. Of all labels the teacher
trains as long as teacher and student of the other shares together. Own drives need pseudo labels, and points' labels
for --validation. Complete phases are not trained again. The chart is OUTPUT/figure_3.png.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from statistics import mean

from benchmarks.measure import markdown
from benchmarks.report import publish
from occ_cli.drawing.canvas import save_png
from occ_core.errors import InputError
from occ_models.config import load_config
from occ_models.frame_cache import FrameCache
from occ_models.occle.config import OccLEConfig
from occ_models.occle.recipe import OccLERecipe
from occ_models.occle.trainer import OccLETraining
from occ_models.phases import TrainingRun, train

from .chart import share_chart
from .table_data import TableRun, add_options, drives, table_run
from .table_runs import figures, folder_of, run_jobs, spread, train_row

OUTPUT = Path("out/figure_3")
SHARES = (0.01, 0.05, 0.1, 0.2, 0.5, 1.0)


def name_of(share: float) -> str:
    """A share as the tables show it."""
    return f"{100 * share:g} %"


def recipe_of(share: float, steps: int) -> OccLERecipe:
    """Steps of a share: those of the geometric branch are alike for all."""
    return OccLERecipe(
        share=share, semantic_steps=3 * steps, teacher_steps=steps if share < 1 else 2 * steps, student_steps=steps,
        joint_steps=2 * steps,
    )  # fmt: skip


def phases_of(share: float, shares: list[float]) -> tuple[str, ...]:
    """Phases that a share trains itself: phase I is the smallest share's."""
    own = ("teacher", "joint") if share == 1 else ("teacher", "student", "joint")
    return ("semantic", *own) if share == min(shares) else own


_CACHE = FrameCache(4.0)


def train_share(table: TableRun, shares: list[float], share: float, seed: int, phase: str) -> None:
    """One phase of one share."""
    folder, recipe = folder_of(table.root, name_of(share), seed), recipe_of(share, table.steps)
    recipe = replace(recipe, training=table.training(seed, getattr(recipe, f"{phase}_steps")))

    def train_phase() -> None:
        config = load_config(table.size, OccLEConfig)
        data = drives(table.train), drives(table.validation)
        run = TrainingRun(config, recipe, *data, folder, shared_cache=_CACHE)
        train(run, OccLETraining(run).phases(), only=(phase,))

    first = folder_of(table.root, name_of(min(shares)), seed)
    train_row(folder, phase, {} if share == min(shares) else {"semantic": first}, train_phase)


def measure(table: TableRun, seeds: list[int], shares: list[float]) -> dict:
    """mIoU and IoU of every share, lists over the seeds."""
    result = {
        "size": table.size, "seeds": seeds, "steps": table.steps, "train": table.train,
        "validation": table.validation, "shares": shares, "rows": {},
    }  # fmt: skip
    for share in shares:
        found = [figures(folder_of(table.root, name_of(share), seed), "joint") for seed in seeds]
        result["rows"][name_of(share)] = {key: [f[key] for f in found] for key in ("miou", "iou")}
    return result


def chart_of(result: dict):
    """The chart, (H, W, 3) uint8 RGB."""
    return share_chart(
        {
            title: {share: result["rows"][name_of(share)][key] for share in result["shares"]}
            for title, key in (("mIoU, %", "miou"), ("IoU, %", "iou"))
        }
    )


def tables(result: dict) -> dict[str, str]:
    """For docs/results.md."""
    rows, most = result["rows"], name_of(max(result["shares"]))
    lines = [
        [name, spread(row["miou"]), spread(row["iou"]), f"{100 * mean(row['miou']) / mean(rows[most]['miou']):.0f} %"]
        for name, row in rows.items()
    ]
    return {"occle_figure_3": markdown(["voxel labels", "mIoU", "IoU", f"of the mIoU of {most}"], lines)}


def main(argv: list[str] | None = None) -> int:
    """Train what is missing, draw, print; kept with the other figures when asked."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.figure_3", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--shares", type=float, nargs="+", default=list(SHARES), help="above 0 and at most 1")
    add_options(parser, OUTPUT)
    arguments = parser.parse_args(argv)
    shares, seeds = sorted(set(arguments.shares)), arguments.seeds
    if not 0 < shares[0] <= shares[-1] <= 1:
        parser.error(f"--shares: expected numbers above 0 and at most 1, got {shares}")
    try:
        load_config(arguments.size, OccLEConfig)
        table = table_run(arguments, [])
        for phase in OccLERecipe.all_phases:
            jobs = [(table, shares, s, seed, phase) for s in shares for seed in seeds if phase in phases_of(s, shares)]
            if jobs:
                run_jobs(train_share, jobs, arguments.processes, phase)
    except InputError as error:
        print(f"figure_3: {error}", file=sys.stderr)
        return 1
    result = measure(table, seeds, shares)
    print(f"chart: {save_png(table.root / 'figure_3.png', chart_of(result))}")
    publish("occle_figure_3", result, tables(result), arguments.keep)
    return 0


if __name__ == "__main__":
    sys.exit(main())
