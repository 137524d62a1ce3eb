"""Public weights for image backbones: which tensors of a file fit, and a report of those that do not."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from occ_core.errors import InputError

from .config import ConfigError
from .layers.backbone import ImageBackbone


class LoadReport(NamedTuple):
    """Tensors of a checkpoint by outcome, under their public names."""

    loaded: list[str]
    missing: list[str]
    unexpected: list[str]
    mismatched: list[str]

    def __str__(self) -> str:
        unexpected = Counter(".".join(name.split(".")[:2]) for name in self.unexpected)
        return (
            f"{len(self.loaded)} tensors loaded. Missing in the file, left as initialised: {_listed(self.missing)}. "
            f"Unexpected, so left out: {_listed([f'{name} ({count})' for name, count in unexpected.items()])}. "
            f"Of another shape, so left out: {_listed(self.mismatched)}."
        )


def _listed(names: list[str], shown: int = 8) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more if names else "none"


PREFIXES = ("module.", "model.", "backbone.", "img_backbone.")


def load_public(backbone: ImageBackbone, path: str | Path) -> LoadReport:
    """Load the tensors that fit from a public checkpoint (.pth or .safetensors), and report the others.

    Reads only tensors, at the top of the file or under "state_dict" or "model", without the prefixes that training
    wrappers add to names. Names are the file's. Raises InputError where the file cannot be read so, or nothing in it
    fits.
    """
    values = _read(Path(path))
    values = next((values[key] for key in ("state_dict", "model") if isinstance(values.get(key), dict)), values)
    found = {_bare(name): value for name, value in values.items() if isinstance(value, Tensor)}
    state = backbone.state_dict()
    own = {backbone.public_name(name): name for name in state}
    known = [name for name in found if name in own]
    fitting = [name for name in known if found[name].shape == state[own[name]].shape]
    if not fitting:
        names = _listed(list(found), 3)
        raise InputError(
            f"{path}: nothing in it fits {type(backbone).__name__}; it holds {names}, not {next(iter(own))}"
        )
    backbone.load_state_dict({own[name]: found[name] for name in fitting}, strict=False)
    return LoadReport(
        loaded=fitting,
        # How many batches a normalisation has seen is not in old files, and nothing here uses it.
        missing=[name for name in own if name not in found and not name.endswith(".num_batches_tracked")],
        unexpected=[name for name in found if name not in own],
        mismatched=[
            f"{name} (file {tuple(found[name].shape)}, network {tuple(state[own[name]].shape)})"
            for name in known
            if name not in fitting
        ],
    )


def check_file(setting: str, path: str, initial: Path | None) -> None:
    """Raise ConfigError before a training starts where the setting of a recipe names a file that is missing, or one
    that weights to start from would replace at once.
    """
    if path and not Path(path).is_file():
        raise ConfigError(f"{setting}: {path}: no such file")
    if path and initial:
        raise ConfigError(
            f"{setting}: {path}: does not go with weights to start from, {initial}, which have a backbone"
        )


def _read(path: Path) -> dict:
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: cannot be read: not a file with weights, but a folder, a pipe or a device")
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except SafetensorError as error:
            raise InputError(f"{path}: not a safetensors file: {error}") from None
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # torch raises many kinds, the unpickler's among them
        raise InputError(
            f"{path}: damaged, or needs code to be read, which is never run; save its tensors as .safetensors "
            f"({str(error).partition(chr(10))[0]})"
        ) from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected a dictionary of tensors, got {type(values).__name__}")
    return values


def _bare(name: str) -> str:
    while prefix := next((p for p in PREFIXES if name.startswith(p)), ""):
        name = name.removeprefix(prefix)
    return name
