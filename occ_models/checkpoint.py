"""Checkpoint folders: model.safetensors and config.yaml."""

import os
import textwrap
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from .config import ConfigError, MonoOccConfig, OccLEConfig, load_config, load_saved, save_config
from .monoocc import MonoOcc
from .occle import OccLE

WEIGHTS, CONFIG, LAST = "model.safetensors", "config.yaml", "last.ckpt"

Network = OccLE | MonoOcc


def make_network(config: OccLEConfig | MonoOccConfig) -> Network:
    """The network of a configuration, with fresh weights."""
    return OccLE(config) if isinstance(config, OccLEConfig) else MonoOcc(config)


def save_checkpoint(model: Network, folder: Path) -> None:
    """Write weights and configuration, each by rename; the weights last: where they are, the folder is complete."""
    folder.mkdir(parents=True, exist_ok=True)
    save_config(model.config, folder / CONFIG)
    part = folder / (WEIGHTS + ".tmp")
    # As bytes: safetensors' own files may be read by their owner alone.
    part.write_bytes(save({name: value.cpu().contiguous() for name, value in model.state_dict().items()}))
    os.replace(part, folder / WEIGHTS)


def load_checkpoint(folder: str | Path, config: OccLEConfig | MonoOccConfig | None = None) -> Network:
    """A network with trained weights; `config` overrides the folder's own where shapes agree.

    Raises ConfigError where the folder holds another network's weights, or some of other shapes.
    """
    folder = Path(folder)
    _expect(folder, WEIGHTS, CONFIG)
    saved = load_saved(folder / CONFIG) if config is None else load_config(folder / CONFIG, type(config))
    model = make_network(config or saved)
    try:
        model.load_state_dict(load_file(folder / WEIGHTS))
    except (RuntimeError, SafetensorError) as error:
        said = textwrap.shorten(str(error), 300)  # torch names every parameter, a line each
        raise ConfigError(f"{folder / WEIGHTS}: does not fit the configuration {model.config.name}: {said}") from None
    return model


def average_of(folder: Path) -> Network:
    """The averaged network inside a training's `last.ckpt`: what an interrupted training has so far."""
    _expect(folder, LAST, CONFIG)
    state = torch.load(folder / LAST, map_location="cpu", weights_only=True)["state_dict"]
    prefix = "average.module."
    model = make_network(load_saved(folder / CONFIG))
    model.load_state_dict({k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)})
    return model


def _expect(folder: Path, *names: str) -> None:
    for name in names:
        if not (folder / name).is_file():
            raise ConfigError(f"{folder / name}: missing; the folder must hold {' and '.join(names)}")
