"""bundle.yaml: its keys, the values each accepts, reading and writing."""

import math
from collections.abc import Collection
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from occ_core import CLASS_NAMES, Grid, PreprocessConfig, VoxelizerConfig
from occ_core.errors import InputError
from occ_core.voxelizer import POINT_FEATURES
from occ_core.yaml_text import dump_yaml, parse_yaml, shown

FORMAT_VERSION = 1
GOLDEN = "golden.npz"
MODELS = {"f32": "model.onnx", "f16": "model.f16.onnx", "int8": "model.int8.onnx"}
"""ONNX files by the precision of their content; a bundle has the f32 one and may have the others."""
CARD = "MODEL_CARD.md"
FAILURES = "failures.png"
"""What the model card shows of frames on which the network fails."""
CHECKPOINT = ("model.safetensors", "config.yaml", "confidence.yaml")
"""The weights with all heads, the network's configuration and its calibration: to train on from, not for a robot."""
MAX_TENSOR_BYTES = 1 << 30


class BundleError(InputError):
    """A bundle that must not be run; the message names the file or key and what was expected."""


@dataclass(frozen=True)
class TensorSpec:
    """Name, dtype and fixed shape of one engine tensor."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    def __str__(self):
        return f"{self.name} {self.dtype}{list(self.shape)}"

    @property
    def bytes(self) -> int:
        """Size of the tensor."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class FileEntry:
    """What a file of the bundle must be: sha256 in hexadecimal and length in bytes."""

    sha256: str
    bytes: int


@dataclass(frozen=True, eq=False)
class BundleInfo:
    """What a network is and how it was trained.

    inputs are a selection of `input_specs(preprocess)`.
    training and metrics are free mappings: data and recipe; figures by the name of their data set.
    """

    name: str
    model: str
    size: str
    version: str
    preprocess: PreprocessConfig
    inputs: tuple[TensorSpec, ...]
    training: dict[str, Any]
    license: str
    metrics: dict[str, Any]


def input_specs(config: PreprocessConfig, names: Collection[str] | None = None) -> tuple[TensorSpec, ...]:
    """All tensors that `FramePreprocessor` makes with this configuration, or those of `names`, in that order."""
    width, height = config.image_size
    rows, points = config.voxelizer.max_voxels, config.voxelizer.max_points
    lx, ly, lz = config.grid.coarsen(config.lifting_factor).shape
    specs = (
        TensorSpec("image", "float32", (1, 3, height, width)),
        TensorSpec("voxels", "float32", (rows, points, POINT_FEATURES)),
        TensorSpec("voxel_counts", "int32", (rows,)),
        TensorSpec("voxel_table", "int32", (1, *config.grid.coarsen(config.voxelizer.factor).shape)),
        TensorSpec("occupancy", "uint8", (1, *config.grid.shape)),
        TensorSpec("lifting", "float32", (1, lx * ly, lz, 2)),
        TensorSpec("voxel_depth", "float32", (1, lx * ly, lz)),
        TensorSpec("depth", "float32", (1, *config.depth_shape)),
    )
    by_name = {spec.name: spec for spec in specs}
    return specs if names is None else tuple(by_name[name] for name in names)


def output_specs(grid: Grid) -> tuple[TensorSpec, ...]:
    """The outputs of every engine: labels and confidence over the grid."""
    return tuple(TensorSpec(name, "uint8", (1, *grid.shape)) for name in ("labels", "confidence"))


def dump(bundle: Any) -> str:
    """The text of a `Bundle`'s manifest, as `parse` reads it."""
    preprocess = _plain(asdict(bundle.preprocess))
    manifest = {
        "format_version": FORMAT_VERSION,
        "name": bundle.name,
        "model": bundle.model,
        "size": bundle.size,
        "version": bundle.version,
        "license": bundle.license,
        "grid": preprocess.pop("grid"),
        "classes": list(bundle.class_names),
        "tensors": {side: [_plain(asdict(t)) for t in getattr(bundle, side)] for side in ("inputs", "outputs")},
        "preprocess": preprocess,
        "training": bundle.training,
        "metrics": bundle.metrics,
        "files": {name: asdict(entry) for name, entry in bundle.files.items()},
    }
    return dump_yaml(manifest, default_flow_style=None, width=120)


def _plain(value: Any) -> Any:
    """Tuples to lists, as YAML needs them."""
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


def parse(text: str) -> dict[str, Any]:
    """The fields of a `Bundle` except its path, from the text of `bundle.yaml`. Raises BundleError."""
    try:
        manifest = parse_yaml(text)
    except InputError as error:
        raise BundleError(str(error)) from None
    if not isinstance(manifest, dict) or "format_version" not in manifest:
        raise BundleError("missing key 'format_version'")
    if manifest["format_version"] != FORMAT_VERSION:
        found = manifest["format_version"]
        raise BundleError(f"format_version {shown(found)} is unknown; this release reads {FORMAT_VERSION}")
    try:
        return _fields(manifest)
    except BundleError:
        raise
    except ValueError as error:  # from the dataclasses of occ_core
        raise BundleError(str(error)) from None


_TOP_KEYS = (
    "format_version", "name", "model", "size", "version", "license", "grid", "classes", "tensors", "preprocess",
    "training", "metrics", "files",
)  # fmt: skip


def _fields(manifest: dict[str, Any]) -> dict[str, Any]:
    top = _mapping(manifest, "", _TOP_KEYS)
    preprocess = _preprocess(top["preprocess"], _grid(top["grid"]))
    for spec in (*input_specs(preprocess), *output_specs(preprocess.grid)):
        if spec.bytes > MAX_TENSOR_BYTES:
            raise BundleError(f"grid and preprocess: tensor {spec} takes more than {MAX_TENSOR_BYTES:,} bytes")
    classes = _tuple(top["classes"], "classes", str)
    if classes != CLASS_NAMES:
        raise BundleError(f"classes: expected {', '.join(CLASS_NAMES)}; got {shown(list(classes))}")
    tensors = _mapping(top["tensors"], "tensors", ("inputs", "outputs"))
    optional = (MODELS["f16"], MODELS["int8"], CARD, FAILURES, *CHECKPOINT)
    files = _mapping(top["files"], "files", (MODELS["f32"], GOLDEN), optional)
    return dict(
        **{key: _value(top[key], key, str) for key in ("name", "model", "size", "version", "license")},
        preprocess=preprocess,
        class_names=classes,
        inputs=_tensors(tensors["inputs"], "tensors.inputs", input_specs(preprocess), complete=False),
        outputs=_tensors(tensors["outputs"], "tensors.outputs", output_specs(preprocess.grid), complete=True),
        training=_value(top["training"], "training", dict),
        metrics=_value(top["metrics"], "metrics", dict),
        files={name: _file_entry(entry, f"files.{name}") for name, entry in files.items()},
    )


def _grid(value: Any) -> Grid:
    keys = _mapping(value, "grid", [f.name for f in fields(Grid)])
    return Grid(
        shape=_tuple(keys["shape"], "grid.shape", int, 3),
        voxel_size=_value(keys["voxel_size"], "grid.voxel_size", float),
        origin=_tuple(keys["origin"], "grid.origin", float, 3),
    )


def _preprocess(value: Any, grid: Grid) -> PreprocessConfig:
    keys = _mapping(value, "preprocess", [f.name for f in fields(PreprocessConfig) if f.name != "grid"])
    voxelizer = _mapping(keys["voxelizer"], "preprocess.voxelizer", [f.name for f in fields(VoxelizerConfig)])
    return PreprocessConfig(
        grid=grid,
        image_size=_tuple(keys["image_size"], "preprocess.image_size", int, 2),
        mean=_tuple(keys["mean"], "preprocess.mean", float, 3),
        std=_tuple(keys["std"], "preprocess.std", float, 3),
        voxelizer=VoxelizerConfig(**{k: _value(v, f"preprocess.voxelizer.{k}", int) for k, v in voxelizer.items()}),
        lifting_factor=_value(keys["lifting_factor"], "preprocess.lifting_factor", int),
    )


def _tensors(value: Any, where: str, expected: tuple[TensorSpec, ...], complete: bool) -> tuple[TensorSpec, ...]:
    """The tensors listed, each with the dtype and shape expected; `complete`: exactly those expected."""
    by_name = {spec.name: spec for spec in expected}
    specs = []
    for n, entry in enumerate(_value(value, where, list)):
        keys = _mapping(entry, f"{where}[{n}]", ("name", "dtype", "shape"))
        spec = TensorSpec(
            _value(keys["name"], f"{where}[{n}].name", str),
            _value(keys["dtype"], f"{where}[{n}].dtype", str),
            _tuple(keys["shape"], f"{where}[{n}].shape", int),
        )
        if spec.name not in by_name:
            raise BundleError(f"{where}: unknown tensor {shown(spec.name)}; expected {', '.join(by_name)}")
        if spec != by_name[spec.name]:
            raise BundleError(
                f"{where}: {str(spec)[:200]} does not follow from grid and preprocess, which give {by_name[spec.name]}"
            )
        specs.append(spec)
    if len({spec.name for spec in specs}) != len(specs) or not specs or (complete and len(specs) != len(expected)):
        raise BundleError(f"{where}: expected each of {', '.join(by_name)} once, got {shown([s.name for s in specs])}")
    return tuple(specs)


def _file_entry(value: Any, where: str) -> FileEntry:
    keys = _mapping(value, where, ("sha256", "bytes"))
    return FileEntry(_value(keys["sha256"], f"{where}.sha256", str), _value(keys["bytes"], f"{where}.bytes", int))


def _mapping(value: Any, where: str, keys: Collection[str], optional: Collection[str] = ()) -> dict[str, Any]:
    """A mapping with all of `keys` and any of `optional`."""
    prefix = f"{where}." if where else ""
    if not isinstance(value, dict):
        raise BundleError(f"{where}: expected a mapping of {', '.join(keys)}, got {shown(value)}")
    for key in value:
        if key not in keys and key not in optional:
            raise BundleError(f"unknown key {shown(prefix + str(key))}; known here: {', '.join((*keys, *optional))}")
    for key in keys:
        if key not in value:
            raise BundleError(f"missing key {prefix + key!r}")
    return value


def _value(value: Any, where: str, kind: type) -> Any:
    accepted: Any = (int, float) if kind is float else kind
    if not isinstance(value, accepted) or isinstance(value, bool):
        raise BundleError(f"{where}: expected {kind.__name__}, got {shown(value)}")
    try:
        return float(value) if kind is float else value
    except OverflowError:
        raise BundleError(f"{where}: expected {kind.__name__}, got {shown(value)}") from None


def _tuple(value: Any, where: str, kind: type, length: int | None = None) -> tuple:
    if not isinstance(value, list) or (length is not None and len(value) != length):
        raise BundleError(
            f"{where}: expected a list of {length or 'any number of'} {kind.__name__}, got {shown(value)}"
        )
    return tuple(_value(item, where, kind) for item in value)
