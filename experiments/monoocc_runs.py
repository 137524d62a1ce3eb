"""The trainings behind `experiments.monoocc_tables`: the rows of MonoOcc's Tables II and III and what they share."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from occ_core import CompletionMetrics
from occ_data.kitti import Sequence
from occ_models.checkpoint import load_checkpoint
from occ_models.config import load_config, save_config
from occ_models.data import FrameDataset, collate, inputs_of
from occ_models.frame_cache import FrameCache
from occ_models.frames import frames_of
from occ_models.monoocc.config import MonoOccConfig
from occ_models.monoocc.depth import metric_depth
from occ_models.monoocc.recipe import MonoOccRecipe
from occ_models.monoocc.trainer import MonoOccTraining
from occ_models.phases import TrainingRun, train
from occ_models.recipe import TrainingConfig

from .table_runs import HELD_OUT, STREETS, folder_of, run_jobs, streets, train_row

SIZE, TEACHER = "pico", "pico-l"
# The streets' frames are 4 to 6 m apart, like every fifth or sixth scan of a drive.
VIEWS = (0, 1, 2, 3, 4)
TRAINING = TrainingConfig(learning_rate=2e-3, warmup=50, average=0.99, workers=0, checkpoint_every=250)
RECIPE = MonoOccRecipe(
    image_labels="none",
    teacher_features="cached",
    augment="appearance",
    unseen=0.0,
    depth_steps=400,
    teacher_steps=600,
    student_steps=500,
)


@dataclass(frozen=True)
class Row:
    """One student: the parts of the method that it uses, and changes of its network.

    teacher : name of the privileged teacher that it learns from
    own : phases that the row trains itself; the others before the student come from the shared row
    """

    semantic_2d: bool = False
    distilled: bool = False
    conditioned: bool = False
    network: dict = field(default_factory=dict)
    teacher: str = TEACHER
    own: tuple[str, ...] = ()


SMALL_TEACHER = f"{SIZE}-s"
"""The privileged teacher with the student's own backbone ("distill-S")."""
TABLE_2 = {
    "none": Row(),
    "2D": Row(semantic_2d=True),
    "distillation": Row(distilled=True),
    "conditioned": Row(conditioned=True),
    "2D, distillation": Row(semantic_2d=True, distilled=True),
    "2D, conditioned": Row(semantic_2d=True, conditioned=True),
    "distillation, conditioned": Row(distilled=True, conditioned=True),
    "all, small teacher": Row(True, True, True, teacher=SMALL_TEACHER, own=("teacher",)),
    "all": Row(semantic_2d=True, distilled=True, conditioned=True),
}
"""The nine rows of Table II: L_sem on the image, L_distill, image-conditioned attention."""
TABLE_3 = {
    "none, larger backbone": Row(network={"image": load_config(TEACHER, MonoOccConfig).image}, own=("depth",)),
}
"""Table III beside "none": the same network with a larger backbone."""
VARIANTS = {
    "all, full embedding": Row(True, True, True, {"embedding": "full"}),
    "all, folded sheet": Row(True, True, True, {"self_attention": "sheet"}),
}
ROWS = TABLE_2 | TABLE_3 | VARIANTS
SHARED = "all"
"""The row that trains depth, proposals and teacher for every other that does not do so itself."""


def teachers() -> dict[str, MonoOccConfig]:
    """The privileged teachers by name: with a larger backbone, and with the student's."""
    large = replace(load_config(TEACHER, MonoOccConfig), views=VIEWS)
    student = load_config(SIZE, MonoOccConfig)
    return {TEACHER: large, SMALL_TEACHER: replace(large, name=SMALL_TEACHER, image=student.image)}


def run_all(root: Path, seeds: list[int], processes: int, rows: list[str]) -> None:
    """Train what is missing; phases that others wait for come first."""
    root.mkdir(parents=True, exist_ok=True)
    for name, config in teachers().items():
        save_config(config, root / f"{name}.yaml")
    for phase in ("depth", "teacher"):
        training = [SHARED, *(name for name in rows if phase in ROWS[name].own)]
        run_jobs(_run, [(root, name, seed, phase) for seed in seeds for name in training], processes, phase)
    run_jobs(_run, [(root, name, seed, "student") for seed in seeds for name in (SHARED, *rows)], processes, "student")


_CACHE = FrameCache(4.0)


def _run(root: Path, name: str, seed: int, phase: str) -> None:
    """One phase of one row, in a process of its own."""
    row, folder = ROWS[name], folder_of(root, name, seed)
    teacher = root / f"{row.teacher}.yaml"
    config = replace(load_config(SIZE, MonoOccConfig), **row.network)
    if not row.conditioned:
        config = replace(config, conditioned_layers=0)
    recipe = replace(
        RECIPE,
        image_labels="points" if row.semantic_2d else "none",
        teacher=str(teacher) if row.distilled else "",
        training=replace(TRAINING, seed=seed, validate_every=getattr(RECIPE, f"{phase}_steps")),
    )

    def train_phase() -> None:
        run = TrainingRun(config, recipe, streets(root, STREETS), streets(root, HELD_OUT), folder, shared_cache=_CACHE)
        # The same frames for all rows: cached features allow no turned scenes, so none is turned in any phase.
        train(run, MonoOccTraining(run).phases(), only=(phase,))

    shared = folder_of(root, SHARED, seed)
    earlier = MonoOccRecipe.all_phases[: MonoOccRecipe.all_phases.index(phase)]
    taken = [] if name == SHARED else [other for other in earlier if other not in row.own]
    train_row(folder, phase, dict.fromkeys(taken, shared), train_phase)


def measure(folder: Path, sequences: list[Sequence]) -> tuple[dict, dict, dict]:
    """Figures of a trained network on some sequences: of its labels, of its proposals, of its depth."""
    model = load_checkpoint(folder).eval()
    data = FrameDataset(frames_of(sequences), model.config, image_labels=None, cache=_CACHE)
    labels, proposals, errors = CompletionMetrics(), CompletionMetrics(), []
    for n in range(len(data)):
        batch = collate([data[n]])
        with torch.no_grad():
            inputs = inputs_of(batch, model.config)
            labels.add(model.predict(*inputs)[0].numpy(), batch["labels"].numpy())
            depth, proposed = model.depth_and_proposals(*inputs)
        proposals.add((proposed > 0).byte().numpy(), batch["geometry"].numpy())
        errors.append(depth_errors(depth, batch["true_depth"]))
    total = torch.cat(errors)
    depth = {
        "abs_rel": total[:, 0].mean().item(), "delta": 100 * total[:, 1].mean().item(),
        "confidence": total[:, 2].mean().item(), "cells": len(total),
    }  # fmt: skip
    return labels.summary(), proposals.summary(), depth


def depth_errors(logits: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """(N, 3) of the pixels whose depth is known: relative error, whether the ratio is below 1.25, confidence."""
    metres, confidence = metric_depth(logits.softmax(1))
    known = true > 0
    metres, confidence, true = metres[known], confidence[known], true[known]
    ratio = torch.maximum(metres / true, true / metres)
    return torch.stack([(metres - true).abs() / true, (ratio < 1.25).float(), confidence], 1)
