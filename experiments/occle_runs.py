"""The trainings behind `experiments.occle_tables`: rows, and the phases that rows share."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from occ_cli.data import main as occ_data
from occ_core import CompletionMetrics
from occ_models.checkpoint import load_checkpoint
from occ_models.config import load_config
from occ_models.data import FrameCache, FrameDataset, collate, frames_of, inputs_of
from occ_models.occle import OccLE
from occ_models.occle.trainer import Trainer
from occ_models.recipe import Recipe, TrainingConfig

from .dense_synergy import DenseSynergy
from .table_runs import HELD_OUT, STREETS, folder_of, make_streets, run_jobs, streets, train_row

SIZE = "pico"
STEPS = 400
TRAINING = TrainingConfig(learning_rate=2e-3, warmup=50, average=0.99, workers=0, checkpoint_every=250)
RECIPE = Recipe(semantic_steps=3 * STEPS, teacher_steps=STEPS, student_steps=STEPS, joint_steps=2 * STEPS)


@dataclass(frozen=True)
class Row:
    """One training: what it changes in the recipe, the phases that it runs, and the rows whose phases it takes."""

    phases: tuple[str, ...]
    recipe: dict = field(default_factory=dict)
    takes: dict[str, str] = field(default_factory=dict)
    aligned: bool = True
    dense: bool = False


_ALL = dict.fromkeys(("semantic", "teacher", "student"), "10 %")
_SEMANTIC = {"semantic": "10 %"}
_NOTHING = {"semantic": "none", "geometric": "none", "projection": "none"}
_WITH_STUDENT = ("teacher", "student", "joint")
ROWS = {
    "10 %": Row(Recipe.all_phases),
    # As many steps for the geometric branch as teacher and student have together.
    "100 %": Row(("teacher", "joint"), {"share": 1.0, "teacher_steps": 2 * STEPS}, _SEMANTIC),
    "1 %": Row(_WITH_STUDENT, {"share": 0.01}, _SEMANTIC),
    "pseudo labels only": Row(("joint",), {"share": 0.0}, _SEMANTIC),
    "none": Row(("joint",), _NOTHING),
    "semantic, geometric": Row(("joint",), {"projection": "none"}, _ALL),
    "semantic, projection": Row(("joint",), {"geometric": "none"}, _SEMANTIC),
    "geometric, projection": Row(_WITH_STUDENT, {"semantic": "none"}),
    "teacher, longer": Row(("teacher",), {"teacher_steps": 2 * STEPS}, _SEMANTIC),
    "weak": Row(("student",), {"strength": "weak"}, {**_SEMANTIC, "teacher": "10 %"}),
    "middle": Row(("student",), {"strength": "middle"}, {**_SEMANTIC, "teacher": "10 %"}),
    # The paper's student trains four times as long as its teacher.
    "student, longer": Row(("student",), {"student_steps": 4 * STEPS}, {**_SEMANTIC, "teacher": "10 %"}),
    "teacher, longest": Row(("teacher",), {"teacher_steps": 5 * STEPS}, _SEMANTIC),
    "dense synergy": Row(("teacher",), {}, _SEMANTIC, dense=True),
    "distance": Row(("joint",), {"projection": "distance"}, _ALL),
    "teacher in phase III": Row(("joint",), {"geometric": "teacher"}, _ALL),
    "unaligned": Row(("semantic",), aligned=False),
}


class RowTrainer(Trainer):
    """A trainer that can have the compared geometric branch."""

    dense = False

    def network(self, phase: str) -> OccLE:
        model = super().network(phase)
        if self.dense:
            model.geometric = DenseSynergy(self.config)
        return model


def make_data(root: Path) -> None:
    """The streets, and pseudo labels for their images, aligned and not; once."""
    make_streets(root)
    names = [str(n) for n in STREETS]
    command = ["pseudo-labels", str(root / "data"), "--segmenter", "synthetic", "--sequences", *names]
    unaligned = ["--table", "none", "--output", str(root / "unaligned")]
    if occ_data(command) or occ_data([*command, *unaligned]):
        raise RuntimeError("occ-data pseudo-labels failed")


def run_all(root: Path, seeds: list[int], processes: int, rows: list[str]) -> None:
    """Train what is missing; phases that others wait for come first."""
    for phase in Recipe.all_phases:
        jobs = [(root, name, seed, phase) for name in rows for seed in seeds if phase in ROWS[name].phases]
        run_jobs(_run, jobs, processes, phase)


_CACHE = FrameCache(4.0)


def _run(root: Path, name: str, seed: int, phase: str) -> None:
    """One phase of one row, in a process of its own."""
    row, folder = ROWS[name], folder_of(root, name, seed)
    train = streets(root, STREETS, "data" if row.aligned else "unaligned")
    recipe = replace(RECIPE, **row.recipe)
    steps = getattr(recipe, f"{phase}_steps")
    recipe = replace(recipe, training=replace(TRAINING, seed=seed, validate_every=steps))

    def run() -> None:
        trainer = RowTrainer(load_config(SIZE), recipe, train, streets(root, HELD_OUT), folder, cache=_CACHE)
        trainer.dense = row.dense
        trainer.run((phase,))

    takes = {taken: folder_of(root, other, seed) for taken, other in row.takes.items()}
    train_row(folder, phase, takes, run)


def measure_gate(root: Path, name: str, seed: int) -> Iterator[dict]:
    """Figures of a joint training without and with the geometry gate."""
    config = load_config(SIZE)
    frames = frames_of(streets(root, HELD_OUT))
    data = FrameDataset(frames, config, image_labels=None, cache=_CACHE)
    for gated in (False, True):
        model = load_checkpoint(folder_of(root, name, seed), replace(config, gate=gated)).eval()
        metrics = CompletionMetrics()
        for n in range(len(data)):
            batch = collate([data[n]])
            with torch.no_grad():
                labels, _ = model.predict(*inputs_of(batch, config))
            metrics.add(labels.numpy(), batch["labels"].numpy())
        yield metrics.summary()
