"""Where a training departs from MonoOcc's paper: every such setting, with the paper's value."""

from operator import attrgetter
from typing import NamedTuple

from .config import MonoOccConfig
from .recipe import MonoOccRecipe


class Setting(NamedTuple):
    """A setting of the recipe, or of a network's configuration, by its name there, and the paper's value."""

    name: str
    paper: object


OF_THE_RECIPE = (
    Setting("voxel_loss", "ssc"),
    Setting("least_mass", 0.0),
    Setting("image_labels", "points"),
    Setting("image_class_weights", "none"),
    Setting("unseen", 0.0),
    Setting("temperature", 1.0),
    Setting("first_stage", "frozen"),
    Setting("occupied_weight", 0.54 / 0.46),
    Setting("augmentation", "none"),
    Setting("share", 1.0),
    Setting("training.average", 0.0),
    Setting("training.weight_decay", 1e-2),
    Setting("training.learning_rate", 2e-4),
    Setting("training.warmup", 500),
    Setting("training.clip", 35.0),
    Setting("depth_epochs", 24.0),
    Setting("teacher_epochs", 20.0),
    Setting("student_epochs", 20.0),
)
OF_THE_NETWORK = (
    Setting("header_upsampling", 4),
    Setting("proposals", 0),
    Setting("proposal_rule", "threshold"),
    Setting("self_attention", "sheet"),
    Setting("embedding", "full"),
    Setting("position", "sheet"),
    Setting("depth_encoder", "own"),
    Setting("image_stride", 16),
    Setting("channels", 128),
    Setting("cross_layers", 3),
    Setting("self_layers", 2),
    Setting("conditioned_layers", 3),
    Setting("heads", 8),
    Setting("points", 8),
    Setting("dropout", 0.1),
)


def departures(recipe: MonoOccRecipe, *networks: MonoOccConfig) -> list[str]:
    """For the recipe and each of the networks the settings that have another value than the paper's, with both."""
    owners = [(recipe, "recipe", OF_THE_RECIPE), *((network, network.name, OF_THE_NETWORK) for network in networks)]
    lines = []
    for owner, where, settings in owners:
        values = [(name, attrgetter(name)(owner), paper) for name, paper in settings]
        found = [f"{name} {_shown(ours)} ({_shown(paper)})" for name, ours, paper in values if ours != paper]
        if found:
            lines.append(f"{where}: {', '.join(found)}")
    return lines


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else f"{value}"
