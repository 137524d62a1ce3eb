"""A training of several phases in one folder, whatever the network."""

import os
import textwrap
from collections.abc import Callable
from pathlib import Path

import lightning
import torch
import yaml
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from occ_data.kitti import DataError

from .augmentation import LEVELS
from .checkpoint import CONFIG, WEIGHTS, Network, load_checkpoint, save_checkpoint
from .config import ConfigError, MonoOccConfig, OccLEConfig, network_values, save_config, to_dict, write_yaml
from .data import Frame, FrameCache, FrameDataset, frames_of
from .kernels import use_kernels
from .recipe import MonoOccRecipe, Recipe
from .training import Task, fit

RECIPE, DATA = "training.yaml", "data.yaml"
# Settings that say nothing of what is learnt.
_OF_THE_MACHINE = ("workers", "cache_gb", "accelerator", "devices", "nodes", "validate_every", "checkpoint_every")

say = rank_zero_only(print)


class PhaseTrainer:
    """The phases of a recipe in a folder: each in OUTPUT/PHASE, and the final weights in OUTPUT.

    What is complete is left alone, what was interrupted goes on from its last checkpoint. A subclass has a method of
    each phase's name, behind an underscore.
    """

    validation: FrameDataset

    def __init__(
        self, config: OccLEConfig | MonoOccConfig, recipe: Recipe | MonoOccRecipe, train: list[str],
        validation: list[str], output: Path, initial: Path | None = None, cache: FrameCache | None = None,
    ):  # fmt: skip
        self.config, self.recipe, self.output, self.initial = config, recipe, output, initial
        self.cache = cache or FrameCache(recipe.training.cache_gb)
        self.frames = self.choose_frames(train)
        self.labelled = [frame for frame in self.frames if frame.labelled]
        self.held_out = [frame for frame in frames_of(validation) if frame.labelled]
        self.phases = self.choose_phases()
        self.folders = {"train": train, "validation": validation}

    def choose_frames(self, folders: list[str]) -> list[Frame]:
        """The frames to learn from."""
        return frames_of(folders, self.recipe.share, self.recipe.training.seed)

    def choose_phases(self) -> tuple[str, ...]:
        """The recipe's phases on these frames."""
        return self.recipe.phases

    def run(self, phases: tuple[str, ...] = ()) -> Path:
        """Run those of the recipe's phases, or all; returns the folder of the last."""
        wanted = [phase for phase in self.phases if phase in phases or not phases]
        if not wanted:
            raise ConfigError(
                f"phase {', '.join(phases)}: this recipe on these frames has {', '.join(self.phases)} alone"
            )
        for phase in wanted:
            final = phase == self.phases[-1]
            last = self.output if final else self.output / phase
            if (last / WEIGHTS).is_file():
                say(f"{phase}: complete in {last}")
                continue
            getattr(self, f"_{phase}")()
            if final:
                rank_zero_only(save_checkpoint)(load_checkpoint(self.output / phase), self.output)
        say(f"weights in {last}")
        return last

    def fit(
        self, phase: str, make_task: Callable[[], Task], data: FrameDataset, validation: FrameDataset | None = None
    ) -> None:
        """Train one phase. `make_task` is called with the seed set."""
        folder = self.output / phase
        if (folder / WEIGHTS).is_file():
            return
        lightning.seed_everything(self.recipe.training.seed, verbose=False)
        task = make_task()
        say(f"{phase}: {task.steps} steps on {len(data)} frames, into {folder}")
        folder.mkdir(parents=True, exist_ok=True)
        save_config(task.model.config, folder / CONFIG)
        fit(task, data, validation or self.validation, folder)
        rank_zero_only(save_checkpoint)(task.average.module, folder)
        task.trainer.strategy.barrier()

    def complete(self, phase: str) -> Path:
        """Folder of an earlier phase's weights."""
        folder = self.output / phase
        if not (folder / WEIGHTS).is_file():
            raise DataError(f"{folder / WEIGHTS}: missing; run --phase {phase} first")
        return folder

    def placed(self, model: Network) -> Network:
        """The network where it is trained: on a GPU with others' kernels, where they are installed."""
        if self.recipe.training.accelerator != "cpu" and torch.cuda.is_available():
            say("; ".join(use_kernels(model.cuda(int(os.environ.get("LOCAL_RANK", 0))))))
        return model

    def data(
        self, frames: list[Frame], level: str, image_labels: str | None,
        config: OccLEConfig | MonoOccConfig | None = None, **more,
    ) -> FrameDataset:  # fmt: skip
        """Frames for the network (or another one), augmented by one of `LEVELS`."""
        seed = self.recipe.training.seed
        return FrameDataset(frames, config or self.config, LEVELS[level], seed, image_labels, cache=self.cache, **more)

    def keep_settings(self) -> None:
        """Write down what this folder is trained with; refuse to go on with something else."""
        data = {use: [str(Path(folder).resolve()) for folder in folders] for use, folders in self.folders.items()}
        recipe = to_dict(self.recipe)
        idle = [f"{phase}_steps" for phase in self.recipe.all_phases if phase not in self.phases]
        told = {name: value for name, value in recipe.items() if name not in idle}
        self.output.mkdir(parents=True, exist_ok=True)
        for name, wanted in {CONFIG: network_values(self.config), RECIPE: told, DATA: data}.items():
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
