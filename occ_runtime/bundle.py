"""The engine bundle: one folder with everything a robot needs to run a network.

bundle.yaml       what the network is, its tensors, how it was trained, and the sha256 of the other files
model.onnx        the network, with argmax and confidence in the graph
model.f16.onnx    the same network typed float16, and
model.int8.onnx   with explicit quantisation: the same inputs and outputs; both optional
golden.npz        one frame's input tensors and the expected outputs, for a self-test on the target
MODEL_CARD.md     what it was trained on, what it can do and what not; optional, as are
model.safetensors, config.yaml and confidence.yaml, the checkpoint to train on from
"""

import hashlib
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from occ_core import CLASS_NAMES, CLOUD_TENSORS, Grid
from occ_core.arrays import read_npz
from occ_core.files import MAX_YAML_BYTES, FileError, read_bytes, read_text

from .manifest import (
    CARD,
    CHECKPOINT,
    FAILURES,
    GOLDEN,
    MODELS,
    BundleError,
    BundleInfo,
    FileEntry,
    TensorSpec,
    dump,
    input_specs,
    output_specs,
    parse,
)
from .onnx_file import has_external_data

# The bundles that come with the package.
OCCLE_SYNTHETIC = "occle-nano-synthetic"
OCCLE = "occle-nano"
MONOOCC_SYNTHETIC = "monoocc-nano-synthetic"
MONOOCC = "monoocc-nano"
SHIPPED_BUNDLES = (OCCLE_SYNTHETIC, OCCLE, MONOOCC_SYNTHETIC, MONOOCC)
DEFAULT_BUNDLE = OCCLE_SYNTHETIC
"""What the node and the demo run where no bundle is named."""
MANIFEST = "bundle.yaml"
MAX_MODEL_BYTES = 1 << 31
"""What a protocol buffer can hold."""


@dataclass(frozen=True, eq=False)
class Bundle(BundleInfo):
    """A bundle folder and its checked manifest; `load` reads one.

    outputs are `output_specs(grid)`.
    """

    path: Path
    class_names: tuple[str, ...]
    outputs: tuple[TensorSpec, ...]
    files: dict[str, FileEntry]

    @property
    def grid(self) -> Grid:
        """The grid of the output labels."""
        return self.preprocess.grid

    @property
    def needs_cloud(self) -> bool:
        """Whether the network uses the LiDAR."""
        return any(spec.name in CLOUD_TENSORS for spec in self.inputs)

    @property
    def model_file(self) -> Path:
        """The ONNX file in float32."""
        return self.path / MODELS["f32"]

    @property
    def precisions(self) -> tuple[str, ...]:
        """Precisions with their own ONNX file in this bundle: "f32", and "f16" and "int8" where present."""
        return tuple(precision for precision, name in MODELS.items() if name in self.files)

    def model_file_of(self, precision: str) -> Path:
        """The ONNX file for "f32", "bf16" (the f32 file), "f16" or "int8". Raises BundleError where it is missing."""
        stored = "f32" if precision == "bf16" else precision
        if stored not in self.precisions:
            raise BundleError(f"bundle {self.name} has no {precision} model; it has {', '.join(self.precisions)}")
        return self.path / MODELS[stored]

    @classmethod
    def load(cls, folder: str | Path, verify: bool = True) -> "Bundle":
        """Read and check a bundle folder; `verify` compares each file with its sha256.

        Raises BundleError for a missing or damaged file, an unknown format version, an unknown, missing or
        malformed key.
        """
        folder = Path(folder)
        manifest = folder / MANIFEST
        try:
            bundle = cls(path=folder, **parse(read_text(manifest, MAX_YAML_BYTES)))
        except FileError as error:
            raise BundleError(str(error)) from None
        except BundleError as error:
            raise BundleError(f"{manifest}: {error}") from None
        for name, entry in bundle.files.items():
            _check_file(folder / name, entry, verify)
            if verify and name in MODELS.values():
                _check_model(folder / name)
        return bundle

    def golden(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """The golden sample: input tensors and expected outputs by name, checked against the specifications."""
        path = self.path / GOLDEN
        try:
            # It may hold tensors that this network does not use.
            arrays = read_npz(path, sum(spec.bytes for spec in (*input_specs(self.preprocess), *self.outputs)))
        except FileError as error:
            raise BundleError(str(error)) from None
        sides = []
        for side, specs in (("inputs", self.inputs), ("outputs", self.outputs)):
            for spec in specs:
                array = arrays.get(f"{side}/{spec.name}")
                if array is None:
                    raise BundleError(f"{path}: no array {side}/{spec.name}")
                if (str(array.dtype), array.shape) != (spec.dtype, spec.shape):
                    raise BundleError(
                        f"{path}: {side}/{spec.name} is {array.dtype}{list(array.shape)}, expected {spec}"
                    )
            sides.append({spec.name: arrays[f"{side}/{spec.name}"] for spec in specs})
        return sides[0], sides[1]


def find_bundle(name_or_path: str | Path) -> Path:
    """Folder of a bundle given by path, or by name in the checkout's `engines/` or the installed ones."""
    path = Path(name_or_path).expanduser()
    if (path / MANIFEST).is_file():
        return path
    known = known_bundles()
    if str(path) in known:
        return known[str(path)]
    if path.is_dir():
        raise BundleError(f"{path}: no {MANIFEST} in this folder")
    raise BundleError(
        f"bundle {str(name_or_path)!r}: no such folder; bundles known by name: {', '.join(known) or 'none'}"
    )


def known_bundles() -> dict[str, Path]:
    """Folders of the bundles that can be given by name, sorted by name."""
    # Next to the package in a checkout; in share/ of pip's prefix or of a colcon workspace's install folder.
    places = [Path(__file__).parents[1] / "engines"]
    places += [prefix / "share/occ_node/engines" for prefix in (Path(sys.prefix), *Path(__file__).parents)]
    folders = {p.parent.name: p.parent for place in reversed(places) for p in place.glob(f"*/{MANIFEST}")}
    return dict(sorted(folders.items()))


def write_bundle(
    folder: str | Path,
    info: BundleInfo,
    onnx: bytes,
    golden: tuple[dict[str, np.ndarray], dict[str, np.ndarray]],
    typed: Mapping[str, bytes] | None = None,
    beside: Mapping[str, bytes] | None = None,
) -> Bundle:
    """Write a bundle folder and check it by loading it. The folder appears complete or not at all; it replaces an older
    bundle.

    onnx : the serialised model
    golden : inputs and expected outputs by tensor name
    typed : the same model in "f16" or "int8", serialised, by precision
    beside : content of the model card, its picture and the checkpoint's files, by name
    """
    folder = Path(folder)
    if folder.exists() and not (folder / MANIFEST).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise BundleError(f"{folder}: exists and is not a bundle; not replaced")
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        temporary.chmod(0o755)
        models = {MODELS[precision]: content for precision, content in {"f32": onnx, **(typed or {})}.items()}
        written = {**models, **(beside or {})}
        for file, content in written.items():
            (temporary / file).write_bytes(content)
        arrays: dict[str, Any] = {
            f"{side}/{key}": a
            for side, part in zip(("inputs", "outputs"), golden, strict=True)
            for key, a in part.items()
        }
        np.savez_compressed(temporary / GOLDEN, **arrays)
        files = {file: _entry(temporary / file) for file in (*written, GOLDEN)}
        facts = {field.name: getattr(info, field.name) for field in fields(BundleInfo)}
        outputs = output_specs(info.preprocess.grid)
        bundle = Bundle(**facts, path=folder, class_names=CLASS_NAMES, outputs=outputs, files=files)
        (temporary / MANIFEST).write_text(dump(bundle), encoding="utf-8")
        Bundle.load(temporary).golden()
        _swap(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return bundle


def with_typed_models(bundle: Bundle, folder: str | Path, typed: Mapping[str, bytes]) -> Bundle:
    """Write `bundle` to its own or another folder, with `typed` in place of its typed models."""
    beside = {name: (bundle.path / name).read_bytes() for name in (CARD, FAILURES, *CHECKPOINT) if name in bundle.files}
    return write_bundle(folder, bundle, bundle.model_file.read_bytes(), bundle.golden(), typed, beside)


def _swap(temporary: Path, folder: Path) -> None:
    """Rename over an existing folder; one with files cannot be replaced in a single step."""
    previous = temporary.with_name(temporary.name + ".previous")
    if folder.exists():
        folder.rename(previous)
    temporary.rename(folder)
    shutil.rmtree(previous, ignore_errors=True)


def _entry(path: Path) -> FileEntry:
    return FileEntry(_sha256(path), path.stat().st_size)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        digest = hashlib.sha256()
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _check_model(path: Path) -> None:
    try:
        model = read_bytes(path, MAX_MODEL_BYTES)
    except FileError as error:
        raise BundleError(str(error)) from None
    if has_external_data(model):
        raise BundleError(f"{path}: keeps weights in other files; expected all of them in this one")


def _check_file(path: Path, entry: FileEntry, verify: bool) -> None:
    if not path.is_file():
        raise BundleError(f"{path}: missing; {MANIFEST} lists it")
    if path.stat().st_size != entry.bytes:
        raise BundleError(
            f"{path}: {path.stat().st_size} bytes, expected {entry.bytes}: the file is damaged or not this bundle's"
        )
    if verify and (found := _sha256(path)) != entry.sha256:
        raise BundleError(
            f"{path}: sha256 is {found[:12]}…, expected {entry.sha256[:12]}…: the file is damaged or not this bundle's"
        )
