"""MonoOcc's network configuration."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from occ_core import PreprocessConfig

from ..config import NORMS, ImageEncoderConfig, check_words

INTERN_SIZES = ("tiny", "small", "base", "large", "xlarge")
CHOICES = {
    "depth_encoder": ("shared", "own"),
    "proposal_rule": ("soft", "threshold"),
    "self_attention": ("3d", "sheet"),
    "embedding": ("factorised", "full"),
    "position": ("factorised", "sheet"),
    "norm": NORMS,
}
"""What settings of the network that are words may be."""


@dataclass(frozen=True)
class MonoOccConfig:
    """MonoOcc at any size: S and L take one frame, the privileged teachers several.

    model, inputs : the network's name and its input tensors, of those that `FramePreprocessor` makes
    shipped : folder of the sizes that ship

    channels: C of image and voxel features; image_stride: of the feature map that attention samples; depth_bins and
    depth_width: of the depth head; depth_encoder: "shared", the depth head takes the features of the image backbone, or
    "own", a ResNet `image` of its own, as the papers' depth network is another; proposal_widths: of the query proposal
    network; proposals: most proposals in each slice of equal x, 0 for no limit; proposal_rule: their weight, "soft",
    which starts at zero, or "threshold", 1 for every voxel above probability 1/2; header_upsampling: of the auxiliary
    header on the image, a power of two; heads, points: of every attention; cross_layers, self_layers,
    conditioned_layers: of deformable cross-attention on proposals (eq. 1), deformable self-attention (eq. 3) and
    image-conditioned cross-attention (eq. 6); self_attention: "3d", neighbours in space, or "sheet", neighbours in the
    voxels' flat order as in the released code; embedding: of the voxels, "factorised" or "full"; position: of the
    voxels in self-attention, "factorised", or "sheet", rows and columns of the folded sheet; views: how many scans
    before the current one each input frame was taken (eq. 2), the current one, 0, first; cross_view: blocks of the
    cross-view transformer between neighbouring views; intern: size of an InternImage that replaces the ResNet;
    voxel_prior: a learned logit for each voxel of the feature grid is added to the occupancy (not the papers').
    norm: "batch" or, for a batch of one, "group" normalisation, of all but the image backbone, which has its own.
    """

    model: ClassVar[str] = "monoocc"
    inputs: ClassVar[tuple[str, ...]] = ("image", "lifting", "voxel_depth", "depth")
    shipped: ClassVar[Path] = Path(__file__).parent / "configs"
    grid_upsampling: ClassVar[int] = 1

    name: str = "base"
    preprocess: PreprocessConfig = field(default_factory=PreprocessConfig)
    channels: int = 128
    image: ImageEncoderConfig = field(default_factory=lambda: ImageEncoderConfig(bottleneck=True))
    intern: str = ""
    image_stride: int = 16
    depth_bins: int = 64
    depth_width: int = 64
    depth_encoder: str = "shared"
    proposal_widths: tuple[int, ...] = (32, 48, 64, 80)
    proposals: int = 256
    proposal_rule: str = "soft"
    header_upsampling: int = 1
    heads: int = 8
    points: int = 8
    cross_layers: int = 3
    self_layers: int = 2
    conditioned_layers: int = 3
    self_attention: str = "3d"
    embedding: str = "factorised"
    position: str = "factorised"
    views: tuple[int, ...] = (0,)
    cross_view: int = 0
    head_width: int = 96
    dropout: float = 0.1
    norm: str = "batch"
    voxel_prior: bool = False

    def __post_init__(self):
        check_words(self, CHOICES)
        if self.intern and self.intern not in INTERN_SIZES:
            raise ValueError(f"intern: expected one of {', '.join(INTERN_SIZES)}, or nothing, got {self.intern!r}")
        if not self.views or self.views[0] != 0 or min(self.views) < 0:
            raise ValueError(f"views: expected 0, the current frame, and then numbers of scans, got {self.views}")
        if self.header_upsampling < 1 or self.header_upsampling & (self.header_upsampling - 1):
            raise ValueError(f"header_upsampling: expected a power of two, got {self.header_upsampling}")
        if self.proposals < 0:
            raise ValueError(f"proposals: expected a number of voxels, or 0 for no limit, got {self.proposals}")
        if self.channels % self.heads:
            raise ValueError(f"channels: {self.channels} cannot be shared by {self.heads} heads")
