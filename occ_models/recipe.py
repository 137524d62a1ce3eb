"""How to train: settings alone, readable without torch. Each says what it is for; `occ-train --help` shows it."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import ClassVar

from .config import CONFIGS, ConfigError, load_config

RECIPES = CONFIGS / "recipes"


def setting(default, help: str, choices: tuple[str, ...] = ()):
    """A field with its explanation, and what it may be."""
    return field(default=default, metadata={"help": help, "choices": choices})


@dataclass(frozen=True)
class TrainingConfig:
    """What every training has."""

    batch: int = setting(2, "frames a step, of each device")
    learning_rate: float = setting(1e-3, "of AdamW, after the warm-up")
    weight_decay: float = setting(1e-2, "of AdamW, on matrices and kernels")
    warmup: int = setting(200, "steps of rising learning rate")
    clip: float = setting(5.0, "largest norm of the gradient")
    average: float = setting(0.998, "decay of the weights' moving average, which is what is measured and kept")
    validate_every: int = setting(500, "steps between measurements")
    checkpoint_every: int = setting(100, "steps between checkpoints")
    precision: str = setting("32-true", "Lightning's: 32-true, bf16-mixed, 16-mixed")
    seed: int = setting(0, "of weights, draws and augmentation, and of which frames keep their labels")
    workers: int = setting(1, "processes that load frames")
    cache_gb: float = setting(4.0, "frames kept in memory by each of them")
    accelerator: str = setting("auto", "Lightning's: auto, cpu, gpu")
    devices: int = setting(1, "GPUs of this machine, or processes on a CPU")
    nodes: int = setting(1, "machines, under torchrun or Slurm")


def check_choices(recipe) -> None:
    """Raise ConfigError for a setting that is none of those it may be."""
    for entry in fields(recipe):
        choices, value = entry.metadata.get("choices"), getattr(recipe, entry.name)
        if choices and value not in choices:
            raise ConfigError(f"{entry.name}: expected one of {', '.join(choices)}, got {value!r}")


@dataclass(frozen=True)
class Recipe:
    """What each part of OccLE's method does."""

    all_phases: ClassVar[tuple[str, ...]] = ("semantic", "teacher", "student", "joint")

    share: float = setting(0.1, "of the voxel labels that are used, an interval sample")
    image_labels: str = setting(
        "pseudo_labels",
        "classes of pixels: pseudo labels (the paper's), or labels of the scan's points",
        ("pseudo_labels", "points"),
    )
    unlabelled_every: int = setting(0, "every Nth frame without voxel labels takes part too; 0 for none")
    semantic: str = setting(
        "pretrained",
        "semantic branch: phase I, then L_sem in phase III (the paper's); phase III alone; no loss of its own",
        ("pretrained", "joint", "none"),
    )
    geometric: str = setting(
        "frozen",
        "geometric branch: phase II, then frozen (the paper's); phase II, then on with the teacher's labels (appendix "
        "C.1); L_geo in phase III alone; no loss of its own",
        ("frozen", "teacher", "joint", "none"),
    )
    projection: str = setting(
        "sum", "eq. 5: sum (the paper's), weighted by distance (appendix C.1), none", ("sum", "distance", "none")
    )
    strength: str = setting("strong", "of the student's augmentation (table 1)", ("weak", "middle", "strong"))
    tau: float = setting(0.95, "the teacher's labels count from this confidence on")
    keep: float = setting(0.7, "and at least this share of each class does")
    semantic_steps: int = setting(4000, "steps of phase I")
    teacher_steps: int = setting(2000, "steps of phase II's teacher")
    student_steps: int = setting(4000, "steps of phase II's student")
    joint_steps: int = setting(4000, "steps of phase III")
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self):
        check_choices(self)
        if not self.share and self.projection == "none":
            raise ConfigError("share: 0 leaves the fusion nothing to learn from where projection is none")

    @property
    def phases(self) -> tuple[str, ...]:
        """The phases that this recipe has: phase I; II's teacher, who needs voxel labels, and student, who needs frames
        without; III.
        """
        geometric = self.geometric in ("frozen", "teacher")
        has = (self.semantic == "pretrained", geometric and self.share > 0, geometric and self.share > 0, True)
        return tuple(name for name, wanted in zip(self.all_phases, has, strict=True) if wanted)


@dataclass(frozen=True)
class MonoOccRecipe:
    """What each part of MonoOcc's method does."""

    all_phases: ClassVar[tuple[str, ...]] = ("depth", "teacher", "student")

    share: float = setting(1.0, "of the voxel labels that are used, an interval sample")
    semantic_2d: str = setting(
        "points",
        "auxiliary loss on the image (eq. 7): on the labels of the scan's points (the paper's), on pseudo labels, none",
        ("points", "pseudo_labels", "none"),
    )
    teacher: str = setting(
        "", "network configuration of the privileged teacher (section III-C): a name such as nano-l, or a YAML file; "
        "empty: no distillation",
    )  # fmt: skip
    teacher_backbone: str = setting("", "public checkpoint of the teacher's InternImage; empty: fresh weights")
    teacher_features: str = setting(
        "online",
        "the teacher runs beside its student, or its features are cached: then the scene is not turned or mirrored",
        ("online", "cached"),
    )
    temperature: float = setting(2.0, "of the distillation's softmax (eq. 9)")
    unseen: float = setting(
        0.3, "weight of calling free what no scan of the training data has ever observed, which no metric counts and "
        "networks otherwise fill at will; 0: the paper's losses alone",
    )  # fmt: skip
    depth_steps: int = setting(2000, "steps of the depth head and the proposals alone")
    teacher_steps: int = setting(4000, "steps of the teacher")
    student_steps: int = setting(4000, "steps of the student")
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self):
        check_choices(self)
        if not 0 < self.share <= 1:
            raise ConfigError(
                f"share: expected more than 0 and at most 1, got {self.share}: no loss does without labels"
            )
        if not self.temperature > 0:
            raise ConfigError(f"temperature: expected a positive number, got {self.temperature}")

    @property
    def phases(self) -> tuple[str, ...]:
        """Depth and proposals; the teacher, where there is one; the student."""
        return tuple(phase for phase in self.all_phases if self.teacher or phase != "teacher")


def load_recipe(name_or_path: str | Path | None, cls=Recipe) -> Recipe | MonoOccRecipe:
    """Read a YAML file, or one of those that ship by name: for OccLE paper, supervised; for MonoOcc monoocc-paper.

    None: the defaults.
    """
    return cls() if name_or_path is None else load_config(name_or_path, cls, RECIPES)
