"""Configurations of networks and trainings: defaults in dataclasses, YAML overlays, unknown keys refused."""

import types
import typing
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

from occ_core import PreprocessConfig
from occ_core.errors import InputError
from occ_core.files import FileError, read_yaml, write_yaml
from occ_core.yaml_text import shown


class ConfigError(InputError):
    """A configuration that cannot be used; names the key and what was expected."""


@runtime_checkable
class NetworkConfig(Protocol):
    """What training, checkpoints and export read of a network's configuration, a frozen dataclass.

    model : the network's name; inputs : the tensors of `FramePreprocessor` that it takes, in order
    shipped : folder of the sizes that ship; "nano" is the default
    name : of the size; preprocess : how its inputs are made, and its grid
    views : how many scans before the current one each input frame was taken, 0 first; only (0,) can be exported
    image_stride : pixels of the network's image for each cell of its image features
    header_upsampling : how many times as high and as wide as these features `labels_2d` of a batch is
    grid_upsampling : how many times as fine as the feature grid `geometry` and `labels_3d` of a batch are
    """

    model: ClassVar[str]
    inputs: ClassVar[tuple[str, ...]]
    shipped: ClassVar[Path]
    name: str
    preprocess: PreprocessConfig
    image_stride: int

    @property
    def header_upsampling(self) -> int: ...

    @property
    def grid_upsampling(self) -> int: ...

    @property
    def views(self) -> tuple[int, ...]: ...


NAMED_BACKBONES = {
    "resnet18": ((2, 2, 2, 2), False),
    "resnet34": ((3, 4, 6, 3), False),
    "resnet50": ((3, 4, 6, 3), True),
    "resnet101": ((3, 4, 23, 3), True),
    "mobilenetv2": None,
    "espnetv2": None,
}
"""Image backbones that have public weights; of ResNets the depths, and whether blocks are bottlenecks."""


NORMS = ("batch", "group")
"""Normalisations of a network and of a backbone."""


def check_words(config, choices: dict[str, tuple[str, ...]]) -> None:
    """Raise ValueError for a setting whose value is not among its choices."""
    for name, allowed in choices.items():
        if getattr(config, name) not in allowed:
            raise ValueError(f"{name}: expected {' or '.join(allowed)}, got {getattr(config, name)!r}")


@dataclass(frozen=True)
class ImageEncoderConfig:
    """An image backbone: a named one, or a ResNet of any size.

    width, depths, bottleneck : of a ResNet: width of its first stage, blocks per stage (strides 4, 8, 16, 32),
        bottleneck blocks or basic ones
    name : resnet18, resnet34, resnet50, resnet101, mobilenetv2 or espnetv2, in the place of these three; stages : how
        many of its four are built
    norm : "batch" or "group" normalisation; public weights are made for "batch"
    """

    width: int = 64
    depths: tuple[int, ...] = (3, 4, 6)
    bottleneck: bool = False
    name: str = ""
    stages: int = 4
    norm: str = "batch"

    def __post_init__(self):
        if self.name and self.name not in NAMED_BACKBONES:
            raise ValueError(f"name: expected one of {', '.join(NAMED_BACKBONES)}, or nothing, got {self.name!r}")
        if self.name and (self.width, self.depths, self.bottleneck) != (64, (3, 4, 6), False):
            raise ValueError(f"width, depths, bottleneck: do not go with a name, {self.name}, which has its own")
        if not self.name and self.stages != 4:
            raise ValueError("stages: goes with a name; otherwise depths has an entry for each stage")
        if self.stages not in (1, 2, 3, 4):
            raise ValueError(f"stages: expected 1 to 4, got {self.stages}")
        check_words(self, {"norm": NORMS})


def from_dict(cls, values: dict, where: str = ""):
    """Build a (nested) dataclass from plain YAML values; unknown keys and wrong types are refused by name."""
    if not isinstance(values, dict):
        raise ConfigError(f"{where or cls.__name__}: expected a mapping, got {shown(values)}")
    hints = typing.get_type_hints(cls)
    known = [f.name for f in fields(cls)]
    arguments = {}
    for key, value in values.items():
        name = f"{where}.{key}" if where else str(key)
        if key not in known:
            raise ConfigError(f"{name[:100]}: unknown key; known are {', '.join(known)}")
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
            raise ConfigError(f"{name}: expected a list, got {shown(value)}")
        item = typing.get_args(hint)[0]
        return tuple(_convert(item, entry, f"{name}[{n}]") for n, entry in enumerate(value))
    if origin in (types.UnionType, typing.Union):
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise ConfigError(f"{name}: expected a float, got {shown(value)}") from None
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise ConfigError(f"{name}: expected {hint.__name__}, got {shown(value)}")
    return value


def to_dict(config) -> dict:
    """Plain YAML values of a configuration (tuples become lists)."""

    def plain(value):
        if isinstance(value, dict):
            return {key: plain(entry) for key, entry in value.items()}
        return [plain(entry) for entry in value] if isinstance(value, list | tuple) else value

    return plain(asdict(config))


def overlaid(config, values: dict, where: str = ""):
    """The configuration with some (nested) plain values in the place of its own; refuses what `from_dict` does."""
    return from_dict(type(config), merged(to_dict(config), values), where)


def merged(old: dict, new: dict) -> dict:
    """The values of `old` with those of `new` in their place, mappings within them too."""
    return old | {
        key: merged(old[key], value) if isinstance(value, dict) and isinstance(old.get(key), dict) else value
        for key, value in new.items()
    }


def load_config(name_or_path: str | Path, cls):
    """Read a YAML file, or one that ships by its name.

    cls : dataclass of a network or a recipe; its `shipped` is the folder of the files that ship, and its `model`, where
        it has one, is the network that a file may name
    """
    path = Path(name_or_path)
    if not path.suffix:
        path = cls.shipped / f"{name_or_path}.yaml"
    if not path.exists():
        raise ConfigError(f"{path}: no such configuration; shipped are {', '.join(shipped_names(cls))}")
    try:
        values = read_yaml(path)
    except FileError as error:
        raise ConfigError(str(error)) from None
    if isinstance(values, dict) and "model" in values and hasattr(cls, "model"):
        named = values.pop("model")
        if named != cls.model:
            raise ConfigError(f"{path}: model: a configuration of {named}; expected one of {cls.model}")
    return from_dict(cls, values or {})


def shipped_names(cls) -> list[str]:
    """Names of the shipped files of a configuration or recipe."""
    return sorted(path.stem for path in cls.shipped.glob("*.yaml"))


def network_values(config) -> dict:
    """Plain values of a network's configuration, its name first."""
    return {"model": config.model, **to_dict(config)}


def save_config(config, path: str | Path) -> None:
    """Write a network's effective configuration."""
    write_yaml(path, network_values(config))


def map_shape(config) -> tuple[int, int]:
    """(h, w) of a network's image features: its image size at its stride, rounded up."""
    width, height = config.preprocess.image_size
    return -(-height // config.image_stride), -(-width // config.image_stride)


def label_factor(config) -> int:
    """Edge of the voxels of `geometry` and `labels_3d` in grid voxels."""
    return config.preprocess.lifting_factor // config.grid_upsampling


def label_shape(config) -> tuple[int, int]:
    """(h, w) of the labels of an image that a network is trained with."""
    height, width = map_shape(config)
    return height * config.header_upsampling, width * config.header_upsampling
