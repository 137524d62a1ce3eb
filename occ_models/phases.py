"""A training of several phases in one folder, whatever the network."""

import os
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from occ_core.files import read_bytes, read_mapping, write_bytes, write_yaml
from occ_data import DataError, Drive
from occ_data.kitti import DepthFolder

from .augmentation import NONE, AugmentationConfig
from .config import ConfigError, merged, network_values, save_config, to_dict
from .data import FrameDataset
from .frame_cache import FrameCache
from .frames import Frame
from .kernels import use_kernels
from .layers.head import OccupancyNetwork
from .loading import loading
from .recipe import TrainingConfig
from .training import Task, fit
from .weights import CONFIG, WEIGHTS, mix_weights, save_weights

RECIPE, DATA, LOSSES, AUGMENTATION = "training.yaml", "data.yaml", "loss_weights.yaml", "augmentation.yaml"
# Settings that do not change what is learned.
_OF_THE_MACHINE = (
    "workers", "cache_gb", "accelerator", "devices", "nodes", "validate_every", "checkpoint_every", "pictures",
    "recompute", "compile",
)  # fmt: skip

log = rank_zero_only(print)


@dataclass(frozen=True)
class TrainingRun:
    """What a training is given.

    config, recipe : of the network; train, validation : drives to train on and to measure on
    output : folder of the results; initial : folder with weights to start from
    shared_cache : frames that several runs keep in memory together; None: the run's own
    """

    config: Any
    recipe: Any
    train: Sequence[Drive]
    validation: Sequence[Drive]
    output: Path
    initial: Path | None = None
    shared_cache: FrameCache | None = None

    @cached_property
    def cache(self) -> FrameCache:
        return self.shared_cache or FrameCache(loading(self.recipe.training).cache_gb)

    def dataset(
        self,
        frames: list[Frame],
        augmentation: AugmentationConfig = NONE,
        image_labels: str | None = None,
        config: Any = None,
        thresholds: tuple[float, float] = (0.95, 0.95),
        lift_pixels: bool = False,
        depths: DepthFolder | None = None,
    ) -> FrameDataset:
        """Frames for the network, or for one with another configuration; arguments as those of `FrameDataset`."""
        return FrameDataset(
            frames, config or self.config, augmentation, self.recipe.training.seed, image_labels, thresholds,
            self.cache, lift_pixels, depths,
        )  # fmt: skip

    def weights_of(self, phase: str) -> Path:
        """Folder of an earlier phase's weights. Raises DataError where that phase is not complete."""
        folder = self.output / phase
        if not (folder / WEIGHTS).is_file():
            raise DataError(f"{folder / WEIGHTS}: missing; run --phase {phase} first")
        return folder


@dataclass(frozen=True)
class Phase:
    """One phase of a training, in the folder OUTPUT/name.

    data : makes the frames to train on, called when the phase begins; task : makes the task, called with the seed set
    frames : how many it trains on; steps, loss_weights : the task's
    labelled_draws : share of the draws with voxel labels; None: every frame alike
    config : of its network, where that is not the run's
    """

    name: str
    data: Callable[[], FrameDataset]
    task: Callable[[], Task]
    validation: FrameDataset
    frames: int
    steps: int
    loss_weights: dict[str, float]
    labelled_draws: float | None = None
    config: Any = None


def train(run: TrainingRun, phases: list[Phase], only: Sequence[str] = ()) -> Path:
    """Run the phases, or `only` those named; the last one's weights also go to OUTPUT. Returns the last folder.

    Complete phases are left alone, an interrupted one goes on from its last checkpoint. Raises ConfigError for a phase
    that is not among them, for `keep_initial` without initial weights, and where the folder was begun with other
    settings.
    """
    if run.recipe.training.keep_initial and run.initial is None:
        raise ConfigError("keep_initial: expected weights to keep a share of; give them with --initial")
    keep_settings(run, phases)
    wanted = [phase for phase in phases if phase.name in only or not only]
    if not wanted:
        names = ", ".join(phase.name for phase in phases)
        raise ConfigError(f"phase {', '.join(only)}: this recipe on these frames has {names} alone")
    log(loading(run.recipe.training))
    for phase in wanted:
        folder, final = run.output / phase.name, phase is phases[-1]
        result = run.output if final else folder
        if (result / WEIGHTS).is_file():
            log(f"{phase.name}: complete in {result}")
            continue
        if not (folder / WEIGHTS).is_file():
            train_phase(phase, run.recipe.training.seed, folder)
        if final:
            rank_zero_only(write_result)(run, folder)
    log(f"weights in {result}")
    return result


def write_result(run: TrainingRun, last: Path) -> None:
    """Write the weights of the whole training into its folder: those of the last phase, with the recipe's share of the
    initial ones.
    """
    share = run.recipe.training.keep_initial
    weights = mix_weights(last, run.initial, share) if share else read_bytes(last / WEIGHTS)
    write_bytes(run.output / WEIGHTS, weights)


def train_phase(phase: Phase, seed: int, folder: Path) -> None:
    """Train one phase into a folder, or continue it there."""
    data = phase.data()
    lightning.seed_everything(seed, verbose=False)
    task = phase.task()
    weights = ", ".join(f"{name} {weight:g}" for name, weight in task.loss_weights.items() if weight)
    left_out = ", ".join(name for name, weight in task.loss_weights.items() if not weight)
    log(f"{phase.name}: {task.steps} steps on {len(data)} frames, into {folder}")
    log(f"{phase.name}: loss weights: {weights}" + (f"; left out, weight 0: {left_out}" if left_out else ""))
    save_config(task.model.config, folder / CONFIG)
    write_yaml(folder / LOSSES, task.loss_weights)
    write_yaml(folder / AUGMENTATION, to_dict(data.augmentation))
    fit(task, data, phase.validation, folder, phase.labelled_draws)
    rank_zero_only(save_weights)(task.average.module, folder)
    task.trainer.strategy.barrier()


def placed(model: OccupancyNetwork, training: TrainingConfig) -> OccupancyNetwork:
    """The network on the device that trains it; on a GPU with third-party kernels, where they are installed."""
    if training.accelerator != "cpu" and torch.cuda.is_available():
        log("; ".join(use_kernels(model.cuda(int(os.environ.get("LOCAL_RANK", 0))))))
    return model


def keep_settings(run: TrainingRun, phases: list[Phase]) -> None:
    """Write down the settings of a run; raise ConfigError where the folder holds others that change the result."""
    used = {"train": run.train, "validation": run.validation}
    data = {use: [_source(drive) for drive in drives] for use, drives in used.items()}
    names = [phase.name for phase in phases]
    idle = [f"{name}_{unit}" for name in run.recipe.all_phases if name not in names for unit in ("steps", "epochs")]
    recipe = {name: value for name, value in to_dict(run.recipe).items() if name not in idle}
    # Settings that an older version did not have had their defaults.
    defaults = {CONFIG: to_dict(type(run.config)()), RECIPE: to_dict(type(run.recipe)()), DATA: {}}
    for name, wanted in {CONFIG: network_values(run.config), RECIPE: recipe, DATA: data}.items():
        path = run.output / name
        found = merged(defaults[name], read_mapping(path)) if path.is_file() else wanted
        for key, (before, now) in differences(found, wanted).items():
            before, now = (textwrap.shorten(repr(value), 100) for value in (before, now))
            raise ConfigError(f"{path}: {key} was {before}, is now {now}; take another output folder")
        if found != wanted or not path.is_file():
            write_yaml(path, wanted)


def _source(drive: Drive) -> str:
    return str(drive.path.resolve() if drive.path.exists() else drive.path)  # a drive need not have files


def differences(found: dict, wanted: dict, where: str = "") -> dict[str, tuple]:
    """Settings that change the result and differ, by name: (value found, value wanted)."""
    result = {}
    for key, value in wanted.items():
        before = found.get(key)
        if isinstance(value, dict):
            result |= differences(before or {}, value, f"{key}.")
        elif key not in _OF_THE_MACHINE and before != value:
            result[where + key] = (before, value)
    return result
