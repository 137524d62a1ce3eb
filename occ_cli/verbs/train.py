"""What the verbs that train a network have in common: their arguments, and the way from them to a trainer's run."""

import argparse
from dataclasses import fields, replace
from pathlib import Path


def add_training_arguments(parser: argparse.ArgumentParser, recipe: type, shipped: str) -> None:
    """The arguments of every training; `recipe` is the class of its settings, `shipped` names its recipes."""
    from occ_models.recipe import TrainingConfig

    parser.add_argument("--config", default="nano", help="pico, nano, small, base or a YAML file (default nano)")
    parser.add_argument("--recipe", help=f"{shipped} or a YAML file; the options below override it")
    phases = ("all", *recipe.all_phases)
    parser.add_argument("--phase", choices=phases, default="all", help="run only this phase (default all)")
    parser.add_argument("--train", nargs="+", required=True, metavar="FOLDER", help="sequence folders to learn from")
    parser.add_argument(
        "--validation", nargs="+", required=True, metavar="FOLDER", help="sequence folders to measure on"
    )
    parser.add_argument("--output", type=Path, required=True, help="folder for checkpoints, logs and weights")
    parser.add_argument("--initial", type=Path, help="folder with the weights to start from")
    for title, cls in (("the method", recipe), ("training", TrainingConfig)):
        group = parser.add_argument_group(title)
        for field in fields(cls):
            if "help" in field.metadata:
                kind, choices = type(field.default), field.metadata["choices"]
                group.add_argument(
                    f"--{field.name.replace('_', '-')}",
                    type=kind,  # the recipe checks the values
                    metavar=f"{{{','.join(choices)}}}" if choices else kind.__name__.upper(),
                    help=f"{field.metadata['help']} (default {field.default or 'none'})",
                )


def override(recipe, arguments: argparse.Namespace):
    """The recipe with the settings that were given on the command line."""
    return replace(_with(recipe, arguments), training=_with(recipe.training, arguments))


def _with(config, arguments: argparse.Namespace):
    given = {field.name: getattr(arguments, field.name, None) for field in fields(config)}
    return replace(config, **{name: value for name, value in given.items() if value is not None})


def run_training(trainer: type, config, recipe, arguments: argparse.Namespace) -> int:
    """Run the phases that were asked for."""
    running = trainer(config, recipe, arguments.train, arguments.validation, arguments.output, arguments.initial)
    running.run(() if arguments.phase == "all" else (arguments.phase,))
    return 0
