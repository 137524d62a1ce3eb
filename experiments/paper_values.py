"""Settings with the values that a network's paper has for them: those of the recipe and the network that ship."""

from dataclasses import is_dataclass
from operator import attrgetter

from occ_models.config import load_config, to_dict
from occ_models.networks import Network
from occ_models.recipe import load_recipe, network_of


def paper_changes(network: Network, *names: str) -> dict:
    """Changes of a recipe that give settings their paper's values. Names are as in "keep", "training.average",
    "loss_weights.iou" and, of the network, "network.added_planes".
    """
    recipe = load_recipe(network.recipe.paper, network.recipe)
    sized = network_of(load_config(recipe.size, network.config), recipe)
    result: dict = {}
    for name in names:
        *groups, last = name.split(".")
        place = result
        for group in groups:
            place = place.setdefault(group, {})
        if groups == ["network"]:
            # A part of a setting, where the recipe changes no more than that: the rest belongs to the size.
            value = recipe.network.get(last, getattr(sized, last))
        else:
            value = attrgetter(name)(recipe)
        place[last] = to_dict(value) if is_dataclass(value) else value
    return result
