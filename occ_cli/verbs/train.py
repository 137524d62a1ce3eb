"""The verbs that train a network: one for each entry of `NETWORKS`."""

import argparse
from dataclasses import fields, replace
from pathlib import Path

from occ_models.config import load_config, shipped_names
from occ_models.networks import Network
from occ_models.recipe import TrainingConfig, load_recipe, network_of

from ..arguments import add_rig, chosen_rig


class TrainingVerb:
    """`occ-train NETWORK`; its text is the network's."""

    def __init__(self, network: Network):
        self.network, self.__doc__ = network, network.training_help

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """The folders, and an option for each setting of the network's recipe and of every training."""
        default = "default: what the recipe names, else nano"
        parser.add_argument("--config", help=f"{_files(self.network.config)} ({default})")
        parser.add_argument("--recipe", help=f"{_files(self.network.recipe)}; the options below override it")
        phases = ("all", *self.network.recipe.all_phases)
        parser.add_argument("--phase", choices=phases, default="all", help="run only this phase (default all)")
        drives = "sequence folders, bags, or synthetic:SEED:FRAMES[:RIG[:varied]], where RIG is a preset or random,"
        parser.add_argument("--train", nargs="+", required=True, metavar="DRIVE", help=f"{drives} to train on")
        parser.add_argument("--validation", nargs="+", required=True, metavar="DRIVE", help=f"{drives} to measure on")
        add_rig(parser, "each sequence's rig.yaml, each bag's base_footprint, or KITTI's")
        parser.add_argument("--output", type=Path, required=True, help="folder for checkpoints, logs and weights")
        parser.add_argument(
            "--print", action="store_true", help="print what would be trained, with an estimate of GPU hours, and end"
        )
        parser.add_argument("--initial", type=Path, help="folder with the weights to start from")
        for title, cls in (("the method", self.network.recipe), ("training", TrainingConfig)):
            _add_settings(parser.add_argument_group(title), cls)

    def command(self, arguments: argparse.Namespace) -> int:
        """Train the phases that were asked for."""
        from occ_data import open_drive
        from occ_models.phases import TrainingRun, log, train
        from occ_models.plan import plan_of

        recipe, rig = load_recipe(arguments.recipe, self.network.recipe), chosen_rig(arguments)
        run = TrainingRun(
            config=network_of(load_config(arguments.config or recipe.size, self.network.config), recipe),
            recipe=replace(_override(recipe, arguments), training=_override(recipe.training, arguments)),
            train=[open_drive(source, rig=rig) for source in arguments.train],
            validation=[open_drive(source, rig=rig) for source in arguments.validation],
            output=arguments.output,
            initial=arguments.initial,
        )
        phases = self.network.make_phases(run)
        log(plan_of(run, phases, self.network.make_model))
        if not arguments.print:
            train(run, phases, () if arguments.phase == "all" else (arguments.phase,))
        return 0


def _files(cls: type) -> str:
    """What an option for a configuration or a recipe takes: names of those that ship, if any, or a file."""
    return " or ".join(filter(None, [", ".join(shipped_names(cls)), "a YAML file"]))


def _add_settings(group: argparse._ArgumentGroup, cls: type) -> None:
    for field in fields(cls):
        if "choices" not in field.metadata:  # a mapping: files only
            continue
        name, kind, choices = f"--{field.name.replace('_', '-')}", type(field.default), field.metadata["choices"]
        text = f"{field.metadata['help']} (default {_shown(field.default)})"
        if kind is tuple:
            group.add_argument(name, type=float, nargs="+", metavar="FLOAT", help=text)
        elif kind is bool:
            group.add_argument(name, action=argparse.BooleanOptionalAction, default=None, help=text)
        else:
            metavar = f"{{{','.join(choices)}}}" if choices else kind.__name__.upper()
            group.add_argument(name, type=kind, metavar=metavar, help=text)  # the recipe checks the values


def _shown(default) -> str:
    """A setting's default for the help."""
    if isinstance(default, bool):
        return "yes" if default else "no"
    return "none" if default in ("", ()) else str(default)


def _override(config, arguments: argparse.Namespace):
    """The settings with those that were given on the command line."""
    given = {field.name: getattr(arguments, field.name, None) for field in fields(config)}
    tuples = {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
    return replace(config, **{name: value for name, value in (given | tuples).items() if value is not None})
