"""OccLE's network configuration."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from occ_core import PreprocessConfig

from ..config import ImageEncoderConfig, check_norm


@dataclass(frozen=True)
class FusionConfig:
    """Dual Mamba U-Net: the kind of block at each level, finest first: "mamba", "local" (depthwise) or "none"."""

    encoder: tuple[str, ...] = ("local", "mamba", "mamba", "mamba")
    decoder: tuple[str, ...] = ("local", "mamba", "mamba", "mamba")
    expand: int = 2
    state: int = 16
    head: int = 32
    chunk: int = 128


@dataclass(frozen=True)
class OccLEConfig:
    """OccLE at any size.

    model, inputs : the network's name and its input tensors, of those that `FramePreprocessor` makes
    shipped : folder of the sizes that ship

    channels: C of the feature grid, whose voxels are preprocess.lifting_factor grid voxels long; voxel_channels: of the
    learned voxel features; lidar_widths: U-Net over heights as channels, from half resolution down; head_width: at half
    resolution; frames: N of the geometric branch; sparse: the LiDAR convolutions compute only at voxels with points, as
    the paper's do, and not at their neighbours; norm: "batch" or, for a batch of one, "group" normalisation, of all but
    the image backbones, which have their own, and sparse convolutions.
    """

    model: ClassVar[str] = "occle"
    inputs: ClassVar[tuple[str, ...]] = (
        "image", "voxels", "voxel_counts", "voxel_table", "occupancy", "lifting",
    )  # fmt: skip
    shipped: ClassVar[Path] = Path(__file__).parent / "configs"

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
    norm: str = "batch"

    def __post_init__(self):
        check_norm(self.norm)

    @property
    def views(self) -> tuple[int, ...]:
        """How many scans before the current one each input frame was taken; the current one, 0, comes first."""
        return tuple(range(self.frames))
