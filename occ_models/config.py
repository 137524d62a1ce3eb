"""Network and training configurations: defaults here, YAML overlays, unknown keys refused."""

import os
import types
import typing
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import ClassVar

import yaml

from occ_core import PreprocessConfig
from occ_core.errors import InputError

INTERN_SIZES = ("tiny", "small", "base", "large", "xlarge")
CONFIGS = Path(__file__).parent / "configs"


class ConfigError(InputError):
    """A configuration that cannot be used; names the key and what was expected."""


@dataclass(frozen=True)
class ImageEncoderConfig:
    """A ResNet: width of its first stage, blocks a stage (strides 4, 8, 16, 32), bottleneck blocks or basic ones."""

    width: int = 64
    depths: tuple[int, ...] = (3, 4, 6)
    bottleneck: bool = False


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

    model, inputs : the network's name and what it looks at, of the tensors of `FramePreprocessor`

    channels: C of the feature grid (edge: preprocess.lifting_factor grid voxels); voxel_channels: learned voxel
    feature; lidar_widths: U-Net over heights as channels, from half resolution down; head_width: at half resolution;
    frames: N of the geometric branch; gate: its own decision holds down the final one (`head.gate`); sparse: its
    LiDAR convolutions compute at voxels with points alone, as the paper's do, and not at their neighbours.
    """

    model: ClassVar[str] = "occle"
    inputs: ClassVar[tuple[str, ...]] = (
        "image", "voxels", "voxel_counts", "voxel_table", "occupancy", "lifting",
    )  # fmt: skip

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
    gate: bool = False
    sparse: bool = False

    @property
    def views(self) -> tuple[int, ...]:
        """How many scans before the current one each of the frames is that the network looks at."""
        return tuple(range(self.frames))


@dataclass(frozen=True)
class MonoOccConfig:
    """MonoOcc at any size; S looks at one frame, L at several.

    channels: C of image and voxel features; image_stride: of the feature map that attention looks at; depth_bins and
    depth_width: of the depth head; proposal_widths: of the query proposal network; proposals: most that it may make in
    each slice of equal x; heads, points: of every attention; cross_layers, self_layers, conditioned_layers: of
    deformable cross-attention on proposals (eq. 1), deformable self-attention (eq. 3) and image-conditioned
    cross-attention (eq. 6); self_attention: "3d", neighbours in space, or "sheet", neighbours on the voxels' flat order
    as the released code has it; embedding: of the voxels, "factorised" or "full"; views: how many scans before the
    current one each frame lies (eq. 2), the current one, 0, first; cross_view: blocks of the cross-view transformer
    between neighbouring views; intern: size of an InternImage that takes the ResNet's place.
    """

    model: ClassVar[str] = "monoocc"
    inputs: ClassVar[tuple[str, ...]] = ("image", "lifting", "voxel_depth", "depth")

    name: str = "base"
    preprocess: PreprocessConfig = field(default_factory=PreprocessConfig)
    channels: int = 128
    image: ImageEncoderConfig = field(default_factory=lambda: ImageEncoderConfig(bottleneck=True))
    intern: str = ""
    image_stride: int = 16
    depth_bins: int = 64
    depth_width: int = 64
    proposal_widths: tuple[int, ...] = (32, 48, 64, 80)
    proposals: int = 256
    heads: int = 8
    points: int = 8
    cross_layers: int = 3
    self_layers: int = 2
    conditioned_layers: int = 3
    self_attention: str = "3d"
    embedding: str = "factorised"
    views: tuple[int, ...] = (0,)
    cross_view: int = 0
    head_width: int = 96
    dropout: float = 0.1

    def __post_init__(self):
        for name, choices in (("self_attention", ("3d", "sheet")), ("embedding", ("factorised", "full"))):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name}: expected {' or '.join(choices)}, got {getattr(self, name)!r}")
        if self.intern and self.intern not in INTERN_SIZES:
            raise ValueError(f"intern: expected one of {', '.join(INTERN_SIZES)}, or nothing, got {self.intern!r}")
        if not self.views or self.views[0] != 0 or min(self.views) < 0:
            raise ValueError(f"views: expected 0, the current frame, and then numbers of scans, got {self.views}")
        if self.channels % self.heads:
            raise ValueError(f"channels: {self.channels} cannot be shared by {self.heads} heads")


def from_dict(cls, values: dict, where: str = ""):
    """Build a (nested) dataclass from plain YAML values; unknown keys and wrong types are refused by name."""
    if not isinstance(values, dict):
        raise ConfigError(f"{where or cls.__name__}: expected a mapping, got {values!r}")
    hints = typing.get_type_hints(cls)
    known = [f.name for f in fields(cls)]
    arguments = {}
    for key, value in values.items():
        name = f"{where}.{key}" if where else str(key)
        if key not in known:
            raise ConfigError(f"{name}: unknown key; known are {', '.join(known)}")
        arguments[key] = _convert(hints[key], value, name)
    try:
        return cls(**arguments)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where or cls.__name__}: {error}") from None


def _convert(hint, value, name: str):
    if is_dataclass(hint):
        return from_dict(hint, value, name)
    origin = typing.get_origin(hint)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{name}: expected a list, got {value!r}")
        item = typing.get_args(hint)[0]
        return tuple(_convert(item, entry, f"{name}[{n}]") for n, entry in enumerate(value))
    if origin in (types.UnionType, typing.Union):
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise ConfigError(f"{name}: expected {hint.__name__}, got {value!r}")
    return value


def to_dict(config) -> dict:
    """Plain YAML values of a configuration (tuples become lists)."""

    def plain(value):
        if isinstance(value, dict):
            return {key: plain(entry) for key, entry in value.items()}
        return [plain(entry) for entry in value] if isinstance(value, list | tuple) else value

    return plain(asdict(config))


def load_config(name_or_path: str | Path, cls=OccLEConfig, shipped: Path | None = None):
    """Read a YAML file, or one of those that ship by name: for networks pico, nano, small, base."""
    shipped, path = shipped or CONFIGS / cls.model, Path(name_or_path)
    if not path.suffix:
        path = shipped / f"{name_or_path}.yaml"
    try:
        values = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        names = ", ".join(sorted(p.stem for p in shipped.glob("*.yaml")))
        raise ConfigError(f"{path}: no such configuration; shipped are {names}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {error}") from None
    if isinstance(values, dict) and "model" in values and hasattr(cls, "model"):
        named = values.pop("model")
        if named != cls.model:
            raise ConfigError(f"{path}: model: a configuration of {named}; expected one of {cls.model}")
    return from_dict(cls, values or {})


def load_saved(path: Path) -> OccLEConfig | MonoOccConfig:
    """The configuration of whichever network, as `save_config` wrote it."""
    values = yaml.safe_load(path.read_text())
    known = {cls.model: cls for cls in (OccLEConfig, MonoOccConfig)}
    named = values.get("model", OccLEConfig.model) if isinstance(values, dict) else None
    if named not in known:
        raise ConfigError(f"{path}: model: expected {' or '.join(known)}, got {named!r}")
    return load_config(path, known[named])


def network_values(config: OccLEConfig | MonoOccConfig) -> dict:
    """Plain values of a network's configuration, its name first."""
    return {"model": config.model, **to_dict(config)}


def save_config(config: OccLEConfig | MonoOccConfig, path: str | Path) -> None:
    """Write a network's effective configuration."""
    write_yaml(network_values(config), path)


def write_yaml(values: dict, path: str | Path) -> None:
    """Whole or not at all; processes that write the same at once do not disturb each other."""
    part = Path(f"{path}.{os.getpid()}.tmp")
    part.write_text(yaml.safe_dump(values, sort_keys=False))
    os.replace(part, path)
