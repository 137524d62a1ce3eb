"""Network and training configurations: defaults here, YAML overlays, unknown keys refused."""

import os
import types
import typing
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path

import yaml

from occ_node.perception import PreprocessConfig

CONFIGS = Path(__file__).parent / "configs"


class ConfigError(ValueError):
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

    channels: C of the feature grid (edge: preprocess.lifting_factor grid voxels); voxel_channels: learned voxel
    feature; lidar_widths: U-Net over heights as channels, from half resolution down; head_width: at half resolution;
    frames: N of the geometric branch; gate: its own decision holds down the final one (`head.gate`); sparse: its
    LiDAR convolutions compute at voxels with points alone, as the paper's do, and not at their neighbours.
    """

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


def load_config(name_or_path: str | Path, cls=OccLEConfig, shipped: Path = CONFIGS):
    """Read a YAML file, or one of those that ship by name: for networks pico, nano, small, base."""
    path = Path(name_or_path)
    if not path.suffix:
        path = shipped / f"{name_or_path}.yaml"
    try:
        values = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        names = ", ".join(sorted(p.stem for p in shipped.glob("*.yaml")))
        raise ConfigError(f"{path}: no such configuration; shipped are {names}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {error}") from None
    return from_dict(cls, values or {})


def save_config(config, path: str | Path) -> None:
    """Write the effective configuration."""
    write_yaml(to_dict(config), path)


def write_yaml(values: dict, path: str | Path) -> None:
    """Whole or not at all; processes that write the same at once do not disturb each other."""
    part = Path(f"{path}.{os.getpid()}.tmp")
    part.write_text(yaml.safe_dump(values, sort_keys=False))
    os.replace(part, path)
