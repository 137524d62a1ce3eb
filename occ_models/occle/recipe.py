"""How to train OccLE: settings, and what each loss counts."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import ClassVar

from ..config import ConfigError
from ..recipe import TrainingConfig, check_augmentation, check_choices, check_lengths, setting

TRAINING_HELP = """Train OccLE with few voxel labels.

examples:
  occ-train occle --train data/sequences/0[0-7] --validation data/sequences/08 --output out/nano
  occ-train occle --recipe paper --config base --devices 8 --precision bf16-mixed --output out/base \\
      --train kitti/sequences/{00,01,02,03,04,05,06,07,09,10} --validation kitti/sequences/08
  occ-train occle --recipe supervised --train data/sequences/0[0-7] --validation data/sequences/08 \\
      --output out/supervised

Three phases: the semantic branch on pseudo labels, the geometric branch by a teacher and a student, then both together.
Phases that are complete in OUTPUT are skipped; an interrupted one continues from its last checkpoint."""


@dataclass(frozen=True)
class LossWeights:
    """Weight of every term in the loss (eq. 6); 0 leaves it out.

    L_occ: the paper's cross entropy of twenty classes is `ce`; `ssc` is the same as VoxFormer and MonoOcc divide it. In
    two factors it is `ce_occupied`, free or occupied, and `ce_class`, which class: occupancy decides completion and is
    one of twenty classes in the paper's sum, so it counts more here. `iou` is the soft IoU of occupancy, not the
    paper's. L_sem: `sem_2d`, `sem_3d`. L_geo: `geo`.
    """

    ce: float = 0.0
    ce_occupied: float = 3.0
    ce_class: float = 1.0
    scal_geo: float = 1.0
    scal_sem: float = 1.0
    iou: float = 1.0
    ssc: float = 0.0
    sem_2d: float = 1.0
    sem_3d: float = 1.0
    geo: float = 1.0
    projection: float = 1.0


LOSS_WEIGHTS = asdict(LossWeights())
"""The weights that a recipe has where it says nothing of them."""


@dataclass(frozen=True)
class OccLERecipe:
    """What each part of OccLE's method does.

    "semantic" and "geometric" name the two branches; `semantic_loss` and `geometric_loss` say in which phases the
    branch's own loss is used: in the pretraining of the branch, in the joint training (phase III), in both or in none.
    """

    all_phases: ClassVar[tuple[str, ...]] = ("semantic", "teacher", "student", "joint")
    shipped: ClassVar[Path] = Path(__file__).parent / "recipes"
    paper: ClassVar[str] = "paper"

    share: float = setting(0.1, "of the voxel labels that are used, an interval sample")
    image_labels: str = setting(
        "pseudo_labels",
        "classes of pixels: pseudo labels (the paper's), labels of the scan's points, or auto: pseudo labels, which "
        "are exact in synthetic streets, where a frame has them, and points elsewhere",
        ("pseudo_labels", "points", "auto"),
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
    projection_scale: str = setting(
        "root", "eq. 5: a cell's sum over the root of its number of terms, or the plain sum (the paper's)",
        ("root", "plain"),
    )  # fmt: skip
    semantic_backbone: str = setting(
        "", "public weights of the semantic branch's image backbone, a file; empty: fresh weights"
    )
    geometric_backbone: str = setting("", "the same of the geometric branch's")
    strength: str = setting("strong", "of the student's augmentation (table 1)", ("weak", "middle", "strong"))
    tau: float = setting(0.95, "confidence from which on the teacher's labels are used")
    keep: float = setting(0.7, "lower tau for a class until this share of its labels is used")
    student_start: str = setting(
        "teacher", "weights that the student's branch starts from: the teacher's, or fresh (the paper's)",
        ("teacher", "fresh"),
    )  # fmt: skip
    pseudo_table: str = setting("", "rule table that the pseudo labels must be made with, such as paper; empty: any")
    lifted_labels: str = setting(
        "vote", "L_sem at voxels: the class of most of a voxel's points, or that of the pixel at its centre (eq. 2)",
        ("vote", "centre"),
    )  # fmt: skip
    labelled_draws: float = setting(
        0.5, "share of the draws with voxel labels, of the student and in phase III; 0: every frame once an epoch (the "
        "paper's)",
    )  # fmt: skip
    occupancy_mean: str = setting(
        "labelled", "L_occ of a step: mean over frames with labels, so divided by their share of the draws; or over "
        "all frames (eq. 6)", ("labelled", "all"),
    )  # fmt: skip
    affinity_mass: float = setting(
        0.02, "L_scal_sem leaves out cells of 8 voxels whose probabilities of being occupied add up to less; 0: none "
        "(the paper's)",
    )  # fmt: skip
    occupied_weight: float = setting(2.0, "what an occupied voxel counts in L_geo, a free one counting 1")
    move_scene: bool = setting(True, "mirror, turn and lift scenes, with their labels (not the paper's)")
    augment_sensors: bool = setting(
        True, "change colours and intensities and drop points in phases I and III too (the paper: in phase II)"
    )
    jitter: float = setting(0.01, "noise of the points in phases I and III, metres (the paper: 0)")
    black_images: float = setting(0.1, "share of black images in phases I and III (the paper: 0)")
    semantic_steps: int = setting(4000, "steps of phase I; 0: by epochs")
    teacher_steps: int = setting(2000, "steps of phase II's teacher; 0: by epochs")
    student_steps: int = setting(4000, "steps of phase II's student; 0: by epochs")
    joint_steps: int = setting(4000, "steps of phase III; 0: by epochs")
    semantic_epochs: float = setting(0.0, "passes of phase I over its frames; 0: by steps")
    teacher_epochs: float = setting(0.0, "passes of phase II's teacher over the labelled frames; 0: by steps")
    student_epochs: float = setting(0.0, "passes of phase II's student over its frames; 0: by steps")
    joint_epochs: float = setting(0.0, "passes of phase III over its frames; 0: by steps")
    loss_weights: LossWeights = field(
        default_factory=LossWeights, metadata={"help": "weight of every term of the loss (eq. 6)"}
    )
    size: str = field(default="nano", metadata={"help": "network configuration where --config names none"})
    network: dict = field(
        default_factory=dict, metadata={"help": "settings of the network that this recipe changes, at any size"}
    )
    augmentation: dict = field(
        default_factory=dict,
        metadata={"help": "magnitudes of the augmentation that this recipe changes, in all phases"},
    )
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self):
        check_choices(self)
        check_lengths(self)
        check_augmentation(self)
        if not 0 <= self.labelled_draws <= 1:
            raise ConfigError(f"labelled_draws: expected a number from 0 to 1, got {self.labelled_draws}")
        if self.lifted_labels == "centre" and self.image_labels != "pseudo_labels":
            raise ConfigError(f"lifted_labels: centre needs image_labels: pseudo_labels, got {self.image_labels}")
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
