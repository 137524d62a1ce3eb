"""How to train MonoOcc: settings, and what each loss counts."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import ClassVar

from ..config import ConfigError
from ..recipe import TrainingConfig, check_augmentation, check_choices, check_lengths, setting

TRAINING_HELP = """Train MonoOcc, the camera-only network.

examples:
  occ-train monoocc --train data/sequences/0[0-7] --validation data/sequences/08 --output out/mono
  occ-train monoocc --teacher nano-l --train data/sequences/0[0-7] --validation data/sequences/08 \\
      --output out/distilled
  occ-train monoocc --recipe monoocc-paper --devices 4 --precision bf16-mixed \\
      --backbone resnet50.pth --teacher-backbone internimage_xl_22k_192to384.pth --output out/paper-s \\
      --train kitti/sequences/{00,01,02,03,04,05,06,07,09,10} --validation kitti/sequences/08

Phases: depth and query proposals, the privileged teacher that takes several frames (where --teacher names its network),
then the student. Phases that are complete in OUTPUT are skipped; an interrupted one continues from its last
checkpoint."""


@dataclass(frozen=True)
class LossWeights:
    """Weight of every term in the loss (eq. 10, section IV-B), less `unseen`, a setting of the recipe; 0 leaves it out.

    L_ssc is `ssc`, or its two factors `ce_occupied` and `ce_class`, each a mean of its own: there occupancy, which
    decides completion and is one of twenty channels in the paper's sum, counts three times lambda_3. `iou` is the soft
    IoU of occupancy, not the paper's; `ce` is OccLE's form of L_ssc.
    """

    ssc: float = 2.0
    ce_occupied: float = 6.0
    ce_class: float = 2.0
    scal_geo: float = 0.5
    scal_sem: float = 1.0
    iou: float = 0.0
    ce: float = 0.0
    semantic_2d: float = 4.0
    distill: float = 3.0
    depth: float = 1.0
    proposals: float = 1.0


LOSS_WEIGHTS = asdict(LossWeights())
"""The weights that a recipe has where it says nothing of them."""


@dataclass(frozen=True)
class MonoOccRecipe:
    """What each part of MonoOcc's method does."""

    all_phases: ClassVar[tuple[str, ...]] = ("depth", "teacher", "student")
    shipped: ClassVar[Path] = Path(__file__).parent / "recipes"
    paper: ClassVar[str] = "monoocc-paper"

    share: float = setting(1.0, "of the voxel labels that are used, an interval sample")
    image_labels: str = setting(
        "points",
        "classes of pixels for the auxiliary loss on the image (eq. 7): labels of the scan's points (the paper's), "
        "pseudo labels, auto: pseudo labels, which are exact in synthetic streets, where a frame has them, and points "
        "elsewhere, or none: no such loss",
        ("points", "pseudo_labels", "auto", "none"),
    )
    teacher: str = setting(
        "", "network configuration of the privileged teacher (section III-C): a name such as nano-l, or a YAML file; "
        "empty: no distillation",
    )  # fmt: skip
    backbone: str = setting("", "public weights of the network's image backbone, a file; empty: fresh weights")
    teacher_backbone: str = setting(
        "", "public checkpoint of the teacher's InternImage, or torchvision's of its ResNet; empty: fresh weights, or "
        "those of the first stage where that has the same backbone",
    )  # fmt: skip
    teacher_features: str = setting(
        "online",
        "the teacher runs beside its student, or its features are cached: then the scene is not turned or mirrored",
        ("online", "cached"),
    )
    depths: str = setting(
        "", "folder with depth images of all frames, SS/NNNNNN.png (KITTI's: 16 bits, 256 a metre), that the networks "
        "are given; empty: they predict depth",
    )  # fmt: skip
    augment: str = setting(
        "scene", "of the training's frames: the scene turned, moved in height and mirrored and the image's colours "
        "changed, only the colours (appearance), or none",
        ("scene", "appearance", "none"),
    )  # fmt: skip
    first_stage: str = setting(
        "trained", "depth and proposals go on learning in the later phases, with their losses beside eq. 10, or are "
        "frozen after their own (needs a network with depth_encoder: own)",
        ("trained", "frozen"),
    )  # fmt: skip
    occupied_weight: float = setting(2.0, "of occupied voxels against free ones in the loss of the proposals")
    voxel_loss: str = setting(
        "factorised", "L_ssc of eq. 10: occupancy, three times, and classes of what is occupied, each a mean of its "
        "own, or the one cross entropy over 20 classes (ssc)",
        ("factorised", "ssc"),
    )  # fmt: skip
    affinity_mass: float = setting(
        0.02, "L_scal_sem leaves out cells of 8 voxels whose probabilities of being occupied add up to less; 0: none "
        "(the paper's)",
    )  # fmt: skip
    image_class_weights: str = setting(
        "rarity", "class weights of the auxiliary loss on the image (eq. 7): rare classes count more, or none",
        ("rarity", "none"),
    )  # fmt: skip
    temperature: float = setting(2.0, "of the distillation's softmax (eq. 9)")
    unseen: float = setting(
        0.3, "weight of the loss that calls free what no scan of the training data has observed: no metric counts it, "
        "and without this loss networks fill it; 0: only the paper's losses",
    )  # fmt: skip
    depth_steps: int = setting(2000, "steps of the depth head and the proposals; 0: by epochs")
    teacher_steps: int = setting(4000, "steps of the teacher; 0: by epochs")
    student_steps: int = setting(4000, "steps of the student; 0: by epochs")
    depth_epochs: float = setting(0.0, "passes of the depth phase over its frames; 0: by steps")
    teacher_epochs: float = setting(0.0, "passes of the teacher over its frames; 0: by steps")
    student_epochs: float = setting(0.0, "passes of the student over its frames; 0: by steps")
    loss_weights: LossWeights = field(
        default_factory=LossWeights, metadata={"help": "weight of every term of the loss (eq. 10)"}
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
        if not 0 < self.share <= 1:
            raise ConfigError(
                f"share: expected more than 0 and at most 1, got {self.share}: every loss needs labelled frames"
            )
        for name in ("occupied_weight", "affinity_mass"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name}: expected 0 or more, got {getattr(self, name)}")
        if not self.temperature > 0:
            raise ConfigError(f"temperature: expected a positive number, got {self.temperature}")

    @property
    def phases(self) -> tuple[str, ...]:
        """Depth and proposals; the teacher, where there is one; the student."""
        return tuple(phase for phase in self.all_phases if self.teacher or phase != "teacher")

    @property
    def image_label_source(self) -> str | None:
        """`image_labels`, or None where there are none."""
        return None if self.image_labels == "none" else self.image_labels
