"""Settings of a training that every network has. Readable without torch; `occ-train --help` shows them."""

import math
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

from .augmentation import NONE, AugmentationConfig
from .config import ConfigError, load_config, overlaid


def setting(default, help: str, choices: tuple[str, ...] = ()):
    """A field with its explanation and, where they are listed, its possible values."""
    return field(default=default, metadata={"help": help, "choices": choices})


def check_choices(recipe) -> None:
    """Raise ConfigError for a setting whose value is not among its choices."""
    for entry in fields(recipe):
        choices, value = entry.metadata.get("choices"), getattr(recipe, entry.name)
        if choices and value not in choices:
            raise ConfigError(f"{entry.name}: expected one of {', '.join(choices)}, got {value!r}")


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of the optimiser, the data loader and the machine."""

    batch: int = setting(2, "frames that each device loads and computes at once")
    accumulate: int = setting(1, "batches whose gradients make one step: batch 1 and 4 of them step as batch 4 does")
    recompute: bool = setting(
        False, "keep fewer activations and compute them again in the backward pass: less memory, more time"
    )
    compile: bool = setting(False, "torch.compile the parts of the network; the first steps take minutes")
    learning_rate: float = setting(1e-3, "of AdamW, after the warm-up")
    weight_decay: float = setting(1e-2, "of AdamW, on matrices and kernels")
    warmup: int = setting(200, "steps of rising learning rate")
    clip: float = setting(5.0, "largest norm of the gradient")
    average: float = setting(
        0.998, "decay of the weights' moving average, which is measured and kept; 0: the last weights"
    )
    keep_initial: float = setting(
        0.0, "share of the weights of --initial in the result, the rest is what was trained: keeps what they knew of "
        "other data (Wortsman et al. 2022, arXiv 2109.01903)",
    )  # fmt: skip
    validate_every: int = setting(500, "steps between measurements")
    checkpoint_every: int = setting(100, "steps between checkpoints")
    pictures: int = setting(4, "validation frames that are drawn at each measurement, prediction beside truth")
    backbone_frozen: str = setting(
        "none", "parts of image backbones with public weights that are not trained: first_stage is the stem and it",
        ("none", "stem", "first_stage", "all"),
    )  # fmt: skip
    backbone_norm: str = setting(
        "trained", "batch normalisation of image backbones with public weights: frozen keeps it as the file has it",
        ("trained", "frozen"),
    )  # fmt: skip
    backbone_learning_rate: float = setting(1.0, "factor on the learning rate of image backbones with public weights")
    shares: tuple[float, ...] = setting(
        (), "how often each data set of --train is drawn compared with the others, in the order of their first drives; "
        "drives in one folder are one data set, and so are all synthetic streets; empty: all alike",
    )  # fmt: skip
    precision: str = setting("32-true", "Lightning's: 32-true, bf16-mixed, 16-mixed")
    seed: int = setting(0, "of weights, draws and augmentation, and of which frames keep their labels")
    workers: int = setting(
        -1, "processes that load frames for each device; -1: as many as the machine's cores and memory allow, at most 8"
    )
    cache_gb: float = setting(
        -1.0, "gigabytes of memory for decoded frames, of all processes on this machine together; -1: a quarter of "
        "what is free, at most 32",
    )  # fmt: skip
    accelerator: str = setting("auto", "Lightning's: auto, cpu, gpu")
    devices: int = setting(1, "GPUs of this machine, or processes on a CPU")
    nodes: int = setting(1, "machines, under torchrun or Slurm")

    def __post_init__(self):
        check_choices(self)
        at_least = {
            "batch": 1, "accumulate": 1, "validate_every": 1, "checkpoint_every": 1, "devices": 1, "nodes": 1,
            "workers": -1, "pictures": 0,
        }  # fmt: skip
        for name, least in at_least.items():
            if getattr(self, name) < least:
                raise ConfigError(f"{name}: expected {least} or more, got {getattr(self, name)}")
        if not 0 <= self.keep_initial < 1:
            raise ConfigError(f"keep_initial: expected a share from 0 to less than 1, got {self.keep_initial}")
        if not all(share > 0 and math.isfinite(share) for share in self.shares):
            raise ConfigError(f"shares: expected positive numbers, got {', '.join(map(str, self.shares))}")
        if self.recompute and self.compile:
            raise ConfigError("compile: cannot be combined with recompute; choose one of them")
        if not self.backbone_learning_rate > 0:
            raise ConfigError(
                f"backbone_learning_rate: expected a positive factor, got {self.backbone_learning_rate}; "
                "backbone_frozen: all trains nothing of it"
            )


def check_augmentation(recipe) -> None:
    """Raise ConfigError for magnitudes of the augmentation that are unknown or cannot be."""
    augmented(NONE, recipe)


def check_lengths(recipe) -> None:
    """Raise ConfigError for a phase whose length is not given in steps or in epochs, or in both."""
    for phase in recipe.all_phases:
        steps, epochs = (getattr(recipe, f"{phase}_{unit}") for unit in ("steps", "epochs"))
        if min(steps, epochs) != 0 or max(steps, epochs) <= 0:
            raise ConfigError(
                f"{phase}_steps {steps}, {phase}_epochs {epochs}: expected one of them positive and the other 0"
            )


def steps_of(recipe, phase: str, frames: int) -> int:
    """Steps of a phase that trains on that many frames: as given, or those in which each is drawn `epochs` times."""
    steps, epochs = (getattr(recipe, f"{phase}_{unit}") for unit in ("steps", "epochs"))
    return steps or math.ceil(epochs * frames / frames_per_step(recipe.training))


def frames_per_step(training: TrainingConfig) -> int:
    """Frames that all devices together take in one step."""
    return training.batch * training.accumulate * training.devices * training.nodes


@runtime_checkable
class NetworkRecipe(Protocol):
    """What `occ-train` and the phases read of a network's recipe, a frozen dataclass. A `setting` becomes an option.

    all_phases : names of the phases in order, each with settings `<phase>_steps` and `<phase>_epochs`
    shipped : folder of the recipes that ship, which may be missing
    paper : name of the recipe that departs from the paper nowhere
    size : the network's configuration where the command line names none
    network : settings of the network's configuration that the recipe changes
    augmentation : magnitudes of `AugmentationConfig` that the recipe changes, in every phase
    """

    all_phases: ClassVar[tuple[str, ...]]
    shipped: ClassVar[Path]
    paper: ClassVar[str]
    size: str
    network: dict
    augmentation: dict
    training: TrainingConfig


def network_of(config, recipe):
    """A network's configuration with the settings that the recipe changes. Raises ConfigError for unknown ones."""
    return overlaid(config, recipe.network, "network")


def augmented(level: AugmentationConfig, recipe) -> AugmentationConfig:
    """A phase's augmentation with the magnitudes that the recipe changes. Raises ConfigError for unknown ones."""
    return overlaid(level, recipe.augmentation, "augmentation")


def load_recipe(name_or_path: str | Path | None, cls):
    """Read a recipe of class `cls` from a YAML file, or one that ships by its name. None: the defaults."""
    return cls() if name_or_path is None else load_config(name_or_path, cls)
