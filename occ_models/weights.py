"""A network's weights in a folder: model.safetensors, and config.yaml beside it."""

import textwrap
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from occ_core.files import write_bytes

from .config import ConfigError, load_config, save_config
from .layers.head import OccupancyNetwork

WEIGHTS, CONFIG, LAST = "model.safetensors", "config.yaml", "last.ckpt"


def save_weights(model: OccupancyNetwork, folder: Path) -> None:
    """Write configuration and weights; the weights last: where they are, the folder is complete."""
    save_config(model.config, folder / CONFIG)
    write_bytes(folder / WEIGHTS, save({name: v.cpu().contiguous() for name, v in model.state_dict().items()}))


def load_weights(model: OccupancyNetwork, folder: str | Path) -> OccupancyNetwork:
    """Put the weights of a folder into the network, and give it back.

    Raises ConfigError where the folder holds another network's weights, or some of other shapes.
    """
    folder = Path(folder)
    need_files(folder, WEIGHTS, CONFIG)
    load_config(folder / CONFIG, type(model.config))
    try:
        model.load_state_dict(load_file(folder / WEIGHTS))
    except (RuntimeError, SafetensorError) as error:
        reason = textwrap.shorten(str(error), 300)  # torch names every parameter on a line of its own
        raise ConfigError(f"{folder / WEIGHTS}: does not fit the configuration {model.config.name}: {reason}") from None
    return model


def load_parts(model: OccupancyNetwork, folder: Path, parts: tuple[str, ...]) -> str:
    """Put those weights of a folder into the network that have the same name and shape in both; says what is not there.

    parts : beginnings of the names of those that must be there

    Raises ConfigError where one of these has no weights, or some of another shape.
    """
    need_files(folder, WEIGHTS)
    found, wanted = load_file(folder / WEIGHTS), model.state_dict()
    fitting = {name: v for name, v in found.items() if name in wanted and wanted[name].shape == v.shape}
    missing = [name for name in wanted if name not in fitting]
    lost = [name for name in missing if name.startswith(parts)]
    if lost:
        raise ConfigError(
            f"{folder / WEIGHTS}: does not fit the configuration {model.config.name}: {lost[0]} is missing or has "
            f"another shape (as have {len(lost) - 1} more)"
        )
    model.load_state_dict(fitting, strict=False)
    fresh = ", ".join(sorted({name.partition(".")[0] for name in missing}))
    return f"weights of {folder}" + (f"; fresh weights, where they do not fit: {fresh}" if fresh else "")


def mix_weights(trained: Path, initial: Path, share: float) -> bytes:
    """The file of a network between two of the same configuration: `share` of the weights of the folder `initial`, the
    rest of `trained`. Whole numbers are those of `trained`.
    """
    before, after = load_file(initial / WEIGHTS), load_file(trained / WEIGHTS)
    return save({n: torch.lerp(v, before[n], share) if v.is_floating_point() else v for n, v in after.items()})


def load_average(model: OccupancyNetwork, folder: Path) -> OccupancyNetwork:
    """Put the averaged weights of a training's `last.ckpt` into the network, and give it back."""
    state = torch.load(folder / LAST, map_location="cpu", weights_only=True)["state_dict"]
    prefix = "average.module."
    model.load_state_dict({name[len(prefix) :]: v for name, v in state.items() if name.startswith(prefix)})
    return model


def need_files(folder: Path, *names: str) -> None:
    """Raise ConfigError where a file of the folder is missing."""
    for name in names:
        if not (folder / name).is_file():
            raise ConfigError(f"{folder / name}: missing; the folder must hold {' and '.join(names)}")
