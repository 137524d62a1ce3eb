"""How to train OccLE: settings, and what each loss counts."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from ..config import ConfigError
from ..recipe import TrainingConfig, check_choices, setting

TRAINING_HELP = """Train OccLE with few voxel labels.

examples:
  occ-train occle --train data/sequences/0[0-7] --validation data/sequences/08 --output out/nano
  occ-train occle --recipe paper --config base --devices 8 --precision bf16-mixed --output out/base \\
      --train kitti/sequences/{00,01,02,03,04,05,06,07,09,10} --validation kitti/sequences/08
  occ-train occle --recipe supervised --train data/sequences/0[0-7] --validation data/sequences/08 \\
      --output out/supervised

Three phases: the semantic branch on pseudo labels, the geometric branch by a teacher and a student, then both together.
Phases that are complete in OUTPUT are skipped; an interrupted one continues from its last checkpoint."""

LOSS_WEIGHTS = {
    # Occupancy decides completion and is one of twenty channels in the paper's sum: it counts more here.
    "ce_occupied": 3.0,
    "ce_class": 1.0,
    "scal_geo": 1.0,
    "scal_sem": 1.0,
    "iou": 1.0,
    "sem_2d": 1.0,
    "sem_3d": 1.0,
    "geo": 1.0,
    "projection": 1.0,
}
"""Weight of every term in the loss (eq. 6)."""


@dataclass(frozen=True)
class OccLERecipe:
    """What each part of OccLE's method does.

    "semantic" and "geometric" name the two branches; `semantic_loss` and `geometric_loss` say in which phases the
    branch's own loss is used: in the pretraining of the branch, in the joint training (phase III), in both or in none.
    """

    all_phases: ClassVar[tuple[str, ...]] = ("semantic", "teacher", "student", "joint")
    shipped: ClassVar[Path] = Path(__file__).parent / "recipes"

    share: float = setting(0.1, "of the voxel labels that are used, an interval sample")
    image_labels: str = setting(
        "pseudo_labels",
        "classes of pixels: pseudo labels (the paper's), or labels of the scan's points",
        ("pseudo_labels", "points"),
    )
    unlabelled_every: int = setting(0, "also train on every Nth frame without voxel labels; 0 for none")
    semantic_loss: str = setting(
        "pretrain+joint",
        "where L_sem is used: phase I and phase III (the paper's), phase III only, nowhere",
        ("pretrain+joint", "joint", "none"),
    )
    geometric_loss: str = setting(
        "pretrain",
        "where L_geo is used: phase II, with the branch frozen in phase III (the paper's); phase II and, with the "
        "teacher's labels, phase III (appendix C.1); phase III only; nowhere",
        ("pretrain", "pretrain+joint", "joint", "none"),
    )
    projection: str = setting(
        "sum", "eq. 5: sum (the paper's), weighted by distance (appendix C.1), none", ("sum", "distance", "none")
    )
    semantic_backbone: str = setting(
        "", "torchvision file of the semantic branch's image backbone; empty: fresh weights"
    )
    geometric_backbone: str = setting("", "the same of the geometric branch's")
    strength: str = setting("strong", "of the student's augmentation (table 1)", ("weak", "middle", "strong"))
    tau: float = setting(0.95, "confidence from which on the teacher's labels are used")
    keep: float = setting(0.7, "lower tau for a class until this share of its labels is used")
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
        """Phases of this recipe: I; II's teacher, which needs voxel labels, and student, which needs frames without;
        III.
        """
        pretrains_geometric = self.geometric_loss.startswith("pretrain") and self.share > 0
        has = (self.semantic_loss == "pretrain+joint", pretrains_geometric, pretrains_geometric, True)
        return tuple(name for name, wanted in zip(self.all_phases, has, strict=True) if wanted)

    @property
    def image_label_source(self) -> str | None:
        """`image_labels`, or None where no loss uses classes of pixels."""
        return self.image_labels if self.semantic_loss != "none" or self.projection != "none" else None
