"""`occ-train`: train a network and make a bundle of it."""

import argparse
import sys
from dataclasses import fields, replace
from pathlib import Path

from .verbs.export import ERRORS, add_export_arguments, add_precision_arguments


def main(argv: list[str] | None = None) -> int:
    """0 when done; 2 with one line on stderr for input that cannot be used, 3 where the training broke down."""
    parser = argparse.ArgumentParser(prog="occ-train", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    _occle_arguments(verbs)
    _monoocc_arguments(verbs)
    _weights_arguments(verbs)
    add_export_arguments(verbs.add_parser("export", help="weights to an engine bundle"))
    add_precision_arguments(verbs.add_parser("precision", help="f16 and int8 models for a bundle, measured"))
    arguments = parser.parse_args(argv)
    try:
        return arguments.run(arguments)
    except ArithmeticError as error:
        print(f"occ-train {arguments.verb}: {error}", file=sys.stderr)
        return 3
    except ERRORS as error:
        print(f"occ-train {arguments.verb}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _occle_arguments(verbs) -> None:
    from occ_models.recipe import Recipe

    parser = verbs.add_parser(
        "occle",
        help="train OccLE with few voxel labels",
        description="Train OccLE in its three phases: the semantic branch on pseudo labels, the geometric branch by a\n"
        "teacher and a student, then both together. What is complete in OUTPUT is left alone, what was\n"
        "interrupted goes on from its last checkpoint.",
        epilog="examples:\n"
        "  occ-train occle --train data/sequences/0[0-7] --validation data/sequences/08 --output out/nano\n"
        "  occ-train occle --recipe paper --config base --devices 8 --precision bf16-mixed --output out/base \\\n"
        "      --train kitti/sequences/{00,01,02,03,04,05,06,07,09,10} --validation kitti/sequences/08\n"
        "  occ-train occle --recipe supervised --train data/sequences/0[0-7] --validation data/sequences/08 \\\n"
        "      --output out/supervised\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _training_arguments(parser, Recipe, "paper, supervised")


def _monoocc_arguments(verbs) -> None:
    from occ_models.recipe import MonoOccRecipe

    parser = verbs.add_parser(
        "monoocc",
        help="train MonoOcc, which sees with a camera alone",
        description="Train MonoOcc in its phases: depth and query proposals, the privileged teacher that sees several\n"
        "frames (where --teacher names its network), then the student. What is complete in OUTPUT is left\n"
        "alone, what was interrupted goes on from its last checkpoint.",
        epilog="examples:\n"
        "  occ-train monoocc --train data/sequences/0[0-7] --validation data/sequences/08 --output out/mono\n"
        "  occ-train monoocc --teacher nano-l --train data/sequences/0[0-7] --validation data/sequences/08 \\\n"
        "      --output out/distilled\n"
        "  occ-train monoocc --recipe monoocc-paper --config base --devices 4 --precision bf16-mixed \\\n"
        "      --teacher-backbone internimage_xl_22k_192to384.pth --output out/base \\\n"
        "      --train kitti/sequences/{00,01,02,03,04,05,06,07,09,10} --validation kitti/sequences/08\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _training_arguments(parser, MonoOccRecipe, "monoocc-paper")


def _training_arguments(parser, recipe, shipped: str) -> None:
    """What the trainings of both networks have; `recipe` is the class of their settings."""
    from occ_models.recipe import TrainingConfig

    parser.add_argument("--config", default="nano", help="pico, nano, small, base or a YAML file (default nano)")
    parser.add_argument("--recipe", help=f"{shipped} or a YAML file; the options below override it")
    phases = ("all", *recipe.all_phases)
    parser.add_argument("--phase", choices=phases, default="all", help="run this one alone (default all)")
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
                    type=kind,  # what a setting may be is the recipe's to check
                    metavar=f"{{{','.join(choices)}}}" if choices else kind.__name__.upper(),
                    help=f"{field.metadata['help']} (default {field.default or 'none'})",
                )
    parser.set_defaults(run=_train, recipe_class=recipe)


def _train(arguments) -> int:
    from occ_models.config import MonoOccConfig, OccLEConfig, load_config
    from occ_models.recipe import MonoOccRecipe, load_recipe

    if arguments.recipe_class is MonoOccRecipe:
        from occ_models.monoocc.trainer import Trainer

        network = MonoOccConfig
    else:
        from occ_models.occle.trainer import Trainer

        network = OccLEConfig
    recipe = load_recipe(arguments.recipe, arguments.recipe_class)
    recipe = replace(_override(recipe, arguments), training=_override(recipe.training, arguments))
    trainer = Trainer(
        load_config(arguments.config, network), recipe, arguments.train, arguments.validation, arguments.output,
        arguments.initial,
    )  # fmt: skip
    trainer.run(() if arguments.phase == "all" else (arguments.phase,))
    return 0


def _override(config, arguments):
    """The configuration with what the command line says instead."""
    given = {field.name: getattr(arguments, field.name, None) for field in fields(config)}
    return replace(config, **{name: value for name, value in given.items() if value is not None})


def _weights_arguments(verbs) -> None:
    parser = verbs.add_parser(
        "weights",
        help="take the averaged weights out of a training that is still going on or was stopped",
        description="Write model.safetensors from FOLDER/last.ckpt.",
    )
    parser.add_argument("folder", type=Path, help="folder of a phase, such as out/nano/joint")
    parser.add_argument("--output", type=Path, required=True, help="folder to write; not the phase's own")
    parser.set_defaults(run=_weights)


def _weights(arguments) -> int:
    from occ_models.checkpoint import average_of, save_checkpoint

    save_checkpoint(average_of(arguments.folder), arguments.output)
    print(f"weights in {arguments.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
