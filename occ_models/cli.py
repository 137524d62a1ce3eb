"""`occ-train`: train a network and take its weights out."""

import argparse
import sys
from dataclasses import fields, replace
from pathlib import Path


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="occ-train", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    _occle_arguments(verbs)
    _weights_arguments(verbs)
    arguments = parser.parse_args(argv)
    try:
        return arguments.run(arguments)
    except (ValueError, OSError) as error:
        print(f"occ-train {arguments.verb}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _occle_arguments(verbs) -> None:
    from .training import TrainingConfig

    parser = verbs.add_parser(
        "occle",
        help="train OccLE on voxel labels",
        description="Train OccLE on voxel labels. Goes on from OUTPUT/last.ckpt if an earlier run left one.",
        epilog="example: occ-train occle --config nano --train data/sequences/0[0-7] --validation data/sequences/08 "
        "--output out/nano",
    )
    parser.add_argument("--config", default="nano", help="nano, small, base or a YAML file (default nano)")
    parser.add_argument("--train", nargs="+", required=True, metavar="FOLDER", help="sequence folders to learn from")
    parser.add_argument(
        "--validation", nargs="+", required=True, metavar="FOLDER", help="sequence folders to measure on"
    )
    parser.add_argument("--output", type=Path, required=True, help="folder for checkpoints, logs and weights")
    parser.add_argument("--initial", type=Path, help="folder with the weights to start from")
    for field in fields(TrainingConfig):
        name = "--" + field.name.replace("_", "-")
        parser.add_argument(name, type=type(field.default), default=field.default, help=f"default {field.default}")
    parser.set_defaults(run=_occle)


def _occle(arguments) -> int:
    from .config import load_config
    from .training import TrainingConfig, train

    training = replace(TrainingConfig(), **{f.name: getattr(arguments, f.name) for f in fields(TrainingConfig)})
    config = load_config(arguments.config)
    train(config, training, arguments.train, arguments.validation, arguments.output, arguments.initial)
    print(f"weights in {arguments.output}")
    return 0


def _weights_arguments(verbs) -> None:
    parser = verbs.add_parser(
        "weights",
        help="take the averaged weights out of a training that is still going on or was stopped",
        description="Write model.safetensors from FOLDER/last.ckpt.",
    )
    parser.add_argument("folder", type=Path, help="a training's output folder")
    parser.add_argument("--output", type=Path, help="where to write (default: the same folder)")
    parser.set_defaults(run=_weights)


def _weights(arguments) -> int:
    from .config import load_config
    from .training import CONFIG, average_of, save_checkpoint

    model = average_of(arguments.folder / "last.ckpt", load_config(arguments.folder / CONFIG))
    save_checkpoint(model, arguments.output or arguments.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
