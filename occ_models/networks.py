"""The networks of this project: one entry each.

Readable without torch: configurations and recipes are plain dataclasses, models and trainings are imported when they
are made.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from occ_core.files import read_yaml

from .config import ConfigError, NetworkConfig, load_config
from .monoocc.config import MonoOccConfig
from .monoocc.recipe import TRAINING_HELP as MONOOCC_HELP
from .monoocc.recipe import MonoOccRecipe
from .occle.config import OccLEConfig
from .occle.recipe import TRAINING_HELP as OCCLE_HELP
from .occle.recipe import OccLERecipe
from .recipe import NetworkRecipe


@dataclass(frozen=True)
class Network:
    """What the command line, checkpoints, training and export know of a network.

    config, recipe : dataclasses of its configuration and of how it is trained; their protocols say what they hold
    make_model : configuration -> the network with fresh weights (`layers.head.OccupancyNetwork`)
    make_phases : `phases.TrainingRun` -> its `phases.Phase`s; refuses data and settings that do not fit
    training_help : text of its verb of `occ-train`, one line and then examples
    """

    config: type[NetworkConfig]
    recipe: type[NetworkRecipe]
    make_model: Callable[[Any], Any]
    make_phases: Callable[[Any], list]
    training_help: str

    @property
    def name(self) -> str:
        return self.config.model


def _occle_model(config: OccLEConfig):
    from .occle.model import OccLE

    return OccLE(config)


def _occle_phases(run) -> list:
    from .occle.trainer import OccLETraining

    return OccLETraining(run).phases()


def _monoocc_model(config: MonoOccConfig):
    from .monoocc.model import MonoOcc

    return MonoOcc(config)


def _monoocc_phases(run) -> list:
    from lightning.pytorch.utilities.rank_zero import rank_zero_only

    from .monoocc.trainer import MonoOccTraining

    training = MonoOccTraining(run)
    rank_zero_only(print)("\n".join(training.plan()))
    return training.phases()


OCCLE = Network(OccLEConfig, OccLERecipe, _occle_model, _occle_phases, OCCLE_HELP)
MONOOCC = Network(MonoOccConfig, MonoOccRecipe, _monoocc_model, _monoocc_phases, MONOOCC_HELP)
NETWORKS = (OCCLE, MONOOCC)


def saved_config(path: Path) -> tuple[Network, Any]:
    """The network that a saved config.yaml names, and its configuration. Raises ConfigError for an unknown one."""
    values = read_yaml(path)
    # Files from before there was a second network name none.
    name = values.get("model", OCCLE.name) if isinstance(values, dict) else None
    for network in NETWORKS:
        if network.name == name:
            return network, load_config(path, network.config)
    raise ConfigError(f"{path}: model: expected {' or '.join(n.name for n in NETWORKS)}, got {name!r}")
