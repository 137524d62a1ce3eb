"""OccLE's training from the first phase to the last (section 3.5.2, algorithm 1)."""

import os
import textwrap
from collections.abc import Callable
from functools import partial
from pathlib import Path

import lightning
import torch
import yaml
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from occ_data.kitti import DataError

from ..augmentation import LEVELS
from ..checkpoint import CONFIG, WEIGHTS, load_checkpoint, save_checkpoint
from ..config import ConfigError, OccLEConfig, save_config, to_dict, write_yaml
from ..data import Frame, FrameCache, FrameDataset, check_files, frames_of
from ..kernels import use_kernels
from ..recipe import PHASES, Recipe
from ..training import Task, fit
from .geometry_labels import label_geometry, read_thresholds
from .model import OccLE
from .projection import Projection
from .tasks import GeometricTask, JointTask, SemanticTask

RECIPE, DATA = "training.yaml", "data.yaml"
# Settings that say nothing of what is learnt.
_OF_THE_MACHINE = ("workers", "cache_gb", "accelerator", "devices", "nodes", "validate_every", "checkpoint_every")

say = rank_zero_only(print)


class Trainer:
    """The phases of a recipe in a folder: OUTPUT/semantic, teacher, student, joint, and the final weights in OUTPUT.

    What is complete is left alone, what was interrupted goes on from its last checkpoint.
    """

    def __init__(
        self, config: OccLEConfig, recipe: Recipe, train: list[str], validation: list[str], output: Path,
        initial: Path | None = None, cache: FrameCache | None = None,
    ):  # fmt: skip
        self.config, self.recipe, self.output, self.initial = config, recipe, output, initial
        self.cache = cache or FrameCache(recipe.training.cache_gb)
        self.frames = frames_of(train, recipe.share, recipe.training.seed, recipe.unlabelled_every)
        self.labelled = [frame for frame in self.frames if frame.labelled]
        # Where every frame has labels, a teacher has nothing to add: no student.
        whole = len(self.labelled) == len(self.frames)
        self.phases = tuple(phase for phase in recipe.phases if not (whole and phase == "student"))
        held_out = [frame for frame in frames_of(validation) if frame.labelled]
        # The semantic branch is measured against the labels of points, whatever it learns from.
        measured = "points" if "semantic" in self.phases else None
        check_files(self.frames, self.image_labels, config.frames > 1)
        check_files(held_out, measured, config.frames > 1)
        self.validation = self._data(held_out, "none", measured)
        data = {"train": train, "validation": validation}
        data = {use: [str(Path(folder).resolve()) for folder in folders] for use, folders in data.items()}
        idle = [f"{phase}_steps" for phase in PHASES if phase not in self.phases]
        told = {name: value for name, value in to_dict(recipe).items() if name not in idle}
        self._keep({CONFIG: to_dict(config), RECIPE: told, DATA: data})

    @property
    def image_labels(self) -> str | None:
        """Where the classes of the training images come from; None where nothing asks for them."""
        asked = self.recipe.semantic != "none" or self.recipe.projection != "none"
        return self.recipe.image_labels if asked else None

    def run(self, phases: tuple[str, ...] = PHASES) -> Path:
        """Run those of the recipe's phases; returns the folder of the last."""
        wanted = [phase for phase in self.phases if phase in phases]
        if not wanted:
            raise ConfigError(
                f"phase {', '.join(phases)}: this recipe on these frames has {', '.join(self.phases)} alone"
            )
        for phase in wanted:
            last = self.output if phase == "joint" else self.output / phase
            if (last / WEIGHTS).is_file():
                say(f"{phase}: complete in {last}")
            else:
                getattr(self, f"_{phase}")()
        say(f"weights in {last}")
        return last

    def _semantic(self) -> None:
        def task(model: OccLE) -> Task:
            return SemanticTask(model, self.recipe.training, self.recipe.semantic_steps)

        self._fit("semantic", task, self._data(self.frames, "supervised", self.image_labels))

    def _teacher(self) -> None:
        data = self._data(self.labelled, "teacher", None)
        self._fit("teacher", partial(self._geometric_task, self.recipe.teacher_steps), data)

    def _student(self) -> None:
        data = self._taught(self.recipe.strength)
        self._fit("student", partial(self._geometric_task, self.recipe.student_steps), data)

    def _geometric_task(self, steps: int, model: OccLE) -> Task:
        return GeometricTask(model, self.recipe.training, steps, "semantic" in self.phases)

    def _joint(self) -> None:
        recipe, labelled = self.recipe, len(self.labelled)
        # Frames without labels teach nothing where neither image labels nor the teacher's are used.
        frames = self.frames if self.image_labels or recipe.geometric == "teacher" else self.labelled
        if recipe.geometric == "teacher" and "student" in self.phases:
            data = self._taught("supervised", self.image_labels)
        else:
            data = self._data(frames, "supervised", self.image_labels)
        # Labelled and unlabelled frames take turns where there are both (`Draws`).
        draws = 0.0 if not labelled else 1.0 if labelled == len(frames) else 0.5
        geometric = {"frozen": "frozen", "teacher": "taught", "joint": "taught", "none": "free"}[recipe.geometric]
        geometric = geometric if labelled else "free"

        def task(model: OccLE) -> Task:
            projection = None
            if recipe.projection != "none":
                by_distance = recipe.projection == "distance"
                projection = Projection(self.config.channels, data.coarse, data.map_shape, by_distance)
            semantic = recipe.semantic != "none"
            return JointTask(model, recipe.training, recipe.joint_steps, semantic, geometric, projection, draws)

        self._fit("joint", task, data)
        rank_zero_only(save_checkpoint)(load_checkpoint(self.output / "joint"), self.output)

    def _taught(self, level: str, image_labels: str | None = None) -> FrameDataset:
        """All frames, those without labels with the teacher's."""
        teacher, plain = load_checkpoint(self._complete("teacher")), self._data(self.frames, "none", None)
        folder = self.output / "teacher" / "labels"
        frames = label_geometry(teacher, plain, folder, self.recipe.tau, self.recipe.keep)
        return self._data(frames, level, image_labels, thresholds=read_thresholds(folder))

    def _complete(self, phase: str) -> Path:
        """Folder of an earlier phase's weights."""
        folder = self.output / phase
        if not (folder / WEIGHTS).is_file():
            raise DataError(f"{folder / WEIGHTS}: missing; run --phase {phase} first")
        return folder

    def _fit(self, phase: str, make_task: Callable[[OccLE], Task], data: FrameDataset) -> None:
        """Train one phase, from the weights of the one before it."""
        folder, place = self.output / phase, self.phases.index(phase)
        if (folder / WEIGHTS).is_file():
            return
        start = self._complete(self.phases[place - 1]) if place else self.initial
        lightning.seed_everything(self.recipe.training.seed, verbose=False)
        task = make_task(self.network(start))
        say(f"{phase}: {task.steps} steps on {len(data)} frames, into {folder}")
        folder.mkdir(parents=True, exist_ok=True)
        save_config(self.config, folder / CONFIG)
        fit(task, data, self.validation, folder)
        rank_zero_only(save_checkpoint)(task.average.module, folder)
        task.trainer.strategy.barrier()

    def network(self, start: Path | None) -> OccLE:
        """A network to train, with the weights in a checkpoint folder or fresh; with others' kernels on a GPU."""
        model = load_checkpoint(start, self.config) if start else OccLE(self.config)
        if self.recipe.training.accelerator != "cpu" and torch.cuda.is_available():
            say("; ".join(use_kernels(model.cuda(int(os.environ.get("LOCAL_RANK", 0))))))
        return model

    def _data(self, frames: list[Frame], level: str, image_labels: str | None, **more) -> FrameDataset:
        config, seed = self.config, self.recipe.training.seed
        return FrameDataset(
            frames, config.preprocess, config.image_stride, LEVELS[level], seed, image_labels, config.frames,
            cache=self.cache, **more,
        )  # fmt: skip

    def _keep(self, files: dict[str, dict]) -> None:
        """Write down what this folder is trained with; refuse to go on with something else."""
        self.output.mkdir(parents=True, exist_ok=True)
        for name, wanted in files.items():
            path = self.output / name
            if path.is_file():
                found = yaml.safe_load(path.read_text())
                for key, (before, now) in differences(found, wanted).items():
                    before, now = (textwrap.shorten(repr(value), 100) for value in (before, now))
                    raise ConfigError(f"{path}: {key} was {before}, is now {now}; take another output folder")
            write_yaml(wanted, path)


def differences(found: dict, wanted: dict, where: str = "") -> dict[str, tuple]:
    """Settings that decide what is learnt and differ, by name; what only the machine asks for may change."""
    result = {}
    for key, value in wanted.items():
        before = found.get(key)
        if isinstance(value, dict):
            result |= differences(before or {}, value, f"{key}.")
        elif key not in _OF_THE_MACHINE and before != value:
            result[where + key] = (before, value)
    return result
