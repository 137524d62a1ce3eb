"""OccLE's network configuration."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from occ_core import PreprocessConfig

from ..config import NORMS, ImageEncoderConfig, check_words

CHOICES = {
    "semantic_header": ("image+lidar", "lidar"),
    "grid_headers": ("pointwise", "upsampling"),
    "head": ("scan", "fused"),
    "synergy": ("cross-plane", "dense"),
    "norm": NORMS,
}
"""What settings of the network that are words may be."""


@dataclass(frozen=True)
class FusionConfig:
    """Dual Mamba U-Net: the kind of block at each level, finest first: "mamba", "local" (depthwise) or "none".

    mamba_everywhere: a Mamba block at every level, whatever `encoder` and `decoder` name (section 3.4)
    """

    encoder: tuple[str, ...] = ("local", "mamba", "mamba", "mamba")
    decoder: tuple[str, ...] = ("local", "mamba", "mamba", "mamba")
    expand: int = 2
    state: int = 16
    head: int = 32
    chunk: int = 128
    mamba_everywhere: bool = False


@dataclass(frozen=True)
class OccLEConfig:
    """OccLE at any size.

    model, inputs : the network's name and its input tensors, of those that `FramePreprocessor` makes
    shipped : folder of the sizes that ship

    channels: C of the feature grid, whose voxels are preprocess.lifting_factor grid voxels long; voxel_channels: of the
    learned voxel features; lidar_widths: U-Net over heights as channels, from half resolution down; head_width: at half
    resolution; frames: N of the geometric branch.

    Settings in which the smaller sizes depart from the paper (docs/train-occle.md lists them):
    sparse: the geometric branch's LiDAR convolutions compute only at voxels with points, and not at their neighbours.
    sparse_layers: of the semantic branch's sparse 3-D U-Net, 1 to 3 (table 3), each at half the resolution of the one
    before and twice as wide, the first `channels` wide; 0: a 2-D U-Net with heights as channels, `lidar_widths` wide.
    grid_headers: of L_sem in 3-D and L_geo: "pointwise", on the feature grid, or "upsampling", a 3x3x3 convolution and
    trilinear interpolation to twice its resolution, where their labels then are.
    own_voxel_features: each branch learns its own; otherwise both use those of phase I, frozen from then on.
    semantic_header: what the 3-D header of L_sem sees: "lidar", F_P^s alone; "image+lidar", F_sem.
    head: what decides: "fused", the fused grid alone; "scan", also the scan's hits and its half-resolution map.
    synergy: of the geometric branch: "cross-plane" (eq. 3, 4), or "dense", what the paper compares it with (table 4a).
    added_planes: eq. 4 also adds the LiDAR's planes, which keep geometry where the image gives no information.
    norm: "batch" or, for a batch of one, "group" normalisation, of all but the image backbones, which have their own,
    and sparse convolutions.
    """

    model: ClassVar[str] = "occle"
    inputs: ClassVar[tuple[str, ...]] = (
        "image", "voxels", "voxel_counts", "voxel_table", "occupancy", "lifting",
    )  # fmt: skip
    shipped: ClassVar[Path] = Path(__file__).parent / "configs"
    header_upsampling: ClassVar[int] = 1

    name: str = "base"
    preprocess: PreprocessConfig = field(default_factory=PreprocessConfig)
    channels: int = 32
    voxel_channels: int = 16
    semantic_image: ImageEncoderConfig = field(default_factory=ImageEncoderConfig)
    geometric_image: ImageEncoderConfig = field(default_factory=ImageEncoderConfig)
    image_stride: int = 8
    lidar_widths: tuple[int, ...] = (64, 128, 192, 256)
    fusion: FusionConfig = field(default_factory=FusionConfig)
    head_width: int = 96
    frames: int = 1
    sparse: bool = False
    sparse_layers: int = 0
    own_voxel_features: bool = False
    semantic_header: str = "image+lidar"
    grid_headers: str = "pointwise"
    head: str = "scan"
    synergy: str = "cross-plane"
    added_planes: bool = True
    norm: str = "batch"

    def __post_init__(self):
        check_words(self, CHOICES)
        if self.preprocess.lifting_factor % self.grid_upsampling:
            raise ValueError(
                f"grid_headers: upsampling expects an even lifting_factor, got {self.preprocess.lifting_factor}"
            )
        if not 0 <= self.sparse_layers <= 3:
            raise ValueError(f"sparse_layers: expected 0 to 3, got {self.sparse_layers}")
        shape, halvings = self.preprocess.grid.coarsen(self.preprocess.lifting_factor).shape, self.sparse_layers - 1
        if halvings > 0 and any(n % (1 << halvings) for n in shape):
            raise ValueError(f"sparse_layers: a grid of {shape} cannot be halved {halvings} times")

    @property
    def sparse_widths(self) -> tuple[int, ...]:
        """Of the layers of the semantic branch's sparse U-Net; none: it is not there."""
        return tuple(self.channels << layer for layer in range(self.sparse_layers))

    @property
    def grid_upsampling(self) -> int:
        """How many times as fine as the feature grid the results of the 3-D headers are."""
        return 2 if self.grid_headers == "upsampling" else 1

    @property
    def views(self) -> tuple[int, ...]:
        """How many scans before the current one each input frame was taken; the current one, 0, comes first."""
        return tuple(range(self.frames))
