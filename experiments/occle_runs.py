"""The trainings behind `experiments.occle_tables`: rows, and the phases that rows share."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from occ_cli.data import main as occ_data
from occ_models.config import load_config
from occ_models.frame_cache import FrameCache
from occ_models.occle.config import OccLEConfig
from occ_models.occle.model import OccLE
from occ_models.occle.recipe import OccLERecipe
from occ_models.occle.trainer import OccLETraining
from occ_models.phases import TrainingRun, train
from occ_models.recipe import TrainingConfig

from .dense_synergy import DenseSynergy
from .table_runs import HELD_OUT, STREETS, folder_of, make_streets, run_jobs, streets, train_row

SIZE = "pico"
STEPS = 400
TRAINING = TrainingConfig(learning_rate=2e-3, warmup=50, average=0.99, workers=0, checkpoint_every=250)
RECIPE = OccLERecipe(semantic_steps=3 * STEPS, teacher_steps=STEPS, student_steps=STEPS, joint_steps=2 * STEPS)


@dataclass(frozen=True)
class Row:
    """One training: its changes of the recipe, the phases that it runs, and the rows that run its other phases."""

    phases: tuple[str, ...]
    recipe: dict = field(default_factory=dict)
    takes: dict[str, str] = field(default_factory=dict)
    aligned: bool = True
    dense: bool = False


_ALL = dict.fromkeys(("semantic", "teacher", "student"), "10 %")
_SEMANTIC = {"semantic": "10 %"}
_NOTHING = {"semantic_loss": "none", "geometric_loss": "none", "projection": "none"}
_WITH_STUDENT = ("teacher", "student", "joint")
ROWS = {
    "10 %": Row(OccLERecipe.all_phases),
    # As many steps for the geometric branch as teacher and student have together.
    "100 %": Row(("teacher", "joint"), {"share": 1.0, "teacher_steps": 2 * STEPS}, _SEMANTIC),
    "1 %": Row(_WITH_STUDENT, {"share": 0.01}, _SEMANTIC),
    "pseudo labels only": Row(("joint",), {"share": 0.0}, _SEMANTIC),
    "none": Row(("joint",), _NOTHING),
    "semantic, geometric": Row(("joint",), {"projection": "none"}, _ALL),
    "semantic, projection": Row(("joint",), {"geometric_loss": "none"}, _SEMANTIC),
    "geometric, projection": Row(_WITH_STUDENT, {"semantic_loss": "none"}),
    "teacher, longer": Row(("teacher",), {"teacher_steps": 2 * STEPS}, _SEMANTIC),
    "weak": Row(("student",), {"strength": "weak"}, {**_SEMANTIC, "teacher": "10 %"}),
    "middle": Row(("student",), {"strength": "middle"}, {**_SEMANTIC, "teacher": "10 %"}),
    # The paper's student trains four times as long as its teacher.
    "student, longer": Row(("student",), {"student_steps": 4 * STEPS}, {**_SEMANTIC, "teacher": "10 %"}),
    "teacher, longest": Row(("teacher",), {"teacher_steps": 5 * STEPS}, _SEMANTIC),
    "dense synergy": Row(("teacher",), {}, _SEMANTIC, dense=True),
    "distance": Row(("joint",), {"projection": "distance"}, _ALL),
    "teacher in phase III": Row(("joint",), {"geometric_loss": "pretrain+joint"}, _ALL),
    "unaligned": Row(("semantic",), aligned=False),
}


def with_dense_synergy(model: OccLE) -> OccLE:
    """The network with the compared geometric branch, fresh."""
    model.geometric = DenseSynergy(model.config)
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
    for phase in OccLERecipe.all_phases:
        jobs = [(root, name, seed, phase) for name in rows for seed in seeds if phase in ROWS[name].phases]
        run_jobs(_run, jobs, processes, phase)


_CACHE = FrameCache(4.0)


def _run(root: Path, name: str, seed: int, phase: str) -> None:
    """One phase of one row, in a process of its own."""
    row, folder = ROWS[name], folder_of(root, name, seed)
    training = streets(root, STREETS, "data" if row.aligned else "unaligned")
    recipe = replace(RECIPE, **row.recipe)
    steps = getattr(recipe, f"{phase}_steps")
    recipe = replace(recipe, training=replace(TRAINING, seed=seed, validate_every=steps))

    def train_phase() -> None:
        config = load_config(SIZE, OccLEConfig)
        run = TrainingRun(config, recipe, training, streets(root, HELD_OUT), folder, shared_cache=_CACHE)
        training_of_row = OccLETraining(run, with_dense_synergy) if row.dense else OccLETraining(run)
        train(run, training_of_row.phases(), only=(phase,))

    takes = {taken: folder_of(root, other, seed) for taken, other in row.takes.items()}
    train_row(folder, phase, takes, train_phase)
