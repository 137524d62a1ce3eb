"""Checkpoint folders of any network: the folder's config.yaml says which one."""

from pathlib import Path

from .confidence import read_confidence
from .layers.head import OccupancyNetwork
from .networks import saved_config
from .weights import CONFIG, LAST, WEIGHTS, load_average, load_weights, need_files


def load_checkpoint(folder: str | Path) -> OccupancyNetwork:
    """A network with its trained weights, and its confidence where the folder has one."""
    need_files(Path(folder), WEIGHTS, CONFIG)
    network, config = saved_config(Path(folder) / CONFIG)
    model = load_weights(network.make_model(config), folder)
    model.confidence = read_confidence(folder)
    return model


def average_of(folder: str | Path) -> OccupancyNetwork:
    """The averaged network inside a training's `last.ckpt`: the result so far of a training that is not complete."""
    need_files(Path(folder), LAST, CONFIG)
    network, config = saved_config(Path(folder) / CONFIG)
    return load_average(network.make_model(config), Path(folder))


def trained_network(folder: str | Path) -> OccupancyNetwork:
    """The network of a folder with weights, or of a phase that is not complete, as `average_of` has it."""
    complete = (Path(folder) / WEIGHTS).is_file() or not (Path(folder) / LAST).is_file()
    return load_checkpoint(folder) if complete else average_of(folder)
