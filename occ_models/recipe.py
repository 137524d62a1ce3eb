"""Settings of a training that every network has. Readable without torch; `occ-train --help` shows them."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

from .config import ConfigError, load_config


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

    batch: int = setting(2, "frames per step on each device")
    learning_rate: float = setting(1e-3, "of AdamW, after the warm-up")
    weight_decay: float = setting(1e-2, "of AdamW, on matrices and kernels")
    warmup: int = setting(200, "steps of rising learning rate")
    clip: float = setting(5.0, "largest norm of the gradient")
    average: float = setting(0.998, "decay of the weights' moving average, which is measured and kept")
    validate_every: int = setting(500, "steps between measurements")
    checkpoint_every: int = setting(100, "steps between checkpoints")
    backbone_frozen: str = setting(
        "none", "parts of image backbones with public weights that are not trained: first_stage is the stem and it",
        ("none", "stem", "first_stage", "all"),
    )  # fmt: skip
    backbone_norm: str = setting(
        "trained", "batch normalisation of image backbones with public weights: frozen keeps it as the file has it",
        ("trained", "frozen"),
    )  # fmt: skip
    backbone_learning_rate: float = setting(1.0, "factor on the learning rate of image backbones with public weights")
    precision: str = setting("32-true", "Lightning's: 32-true, bf16-mixed, 16-mixed")
    seed: int = setting(0, "of weights, draws and augmentation, and of which frames keep their labels")
    workers: int = setting(1, "processes that load frames")
    cache_gb: float = setting(4.0, "frames kept in memory by each of them")
    accelerator: str = setting("auto", "Lightning's: auto, cpu, gpu")
    devices: int = setting(1, "GPUs of this machine, or processes on a CPU")
    nodes: int = setting(1, "machines, under torchrun or Slurm")

    def __post_init__(self):
        check_choices(self)
        if not self.backbone_learning_rate > 0:
            raise ConfigError(
                f"backbone_learning_rate: expected a positive factor, got {self.backbone_learning_rate}; "
                "backbone_frozen: all trains nothing of it"
            )


@runtime_checkable
class NetworkRecipe(Protocol):
    """What `occ-train` and the phases read of a network's recipe, a frozen dataclass. A `setting` becomes an option.

    all_phases : names of the phases in order, each with a setting `<phase>_steps`
    shipped : folder of the recipes that ship, which may be missing
    """

    all_phases: ClassVar[tuple[str, ...]]
    shipped: ClassVar[Path]
    training: TrainingConfig


def load_recipe(name_or_path: str | Path | None, cls):
    """Read a recipe of class `cls` from a YAML file, or one that ships by its name. None: the defaults."""
    return cls() if name_or_path is None else load_config(name_or_path, cls)
