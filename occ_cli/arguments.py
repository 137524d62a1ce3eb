"""Types of command-line arguments that argparse does not have, and arguments that several verbs have."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from occ_core.rig import Rig


def positive(text: str) -> int:
    """An integer from 1 on."""
    return _at_least(1, text)


def count(text: str) -> int:
    """An integer from 0 on."""
    return _at_least(0, text)


def _at_least(least: int, text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = None
    if value is None or value < least:
        raise argparse.ArgumentTypeError(f"expected a whole number, {least} or more; got {text!r}")
    return value


def add_backend(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """`--backend`. Its names stand in `occ_runtime` only, which `--help` does not import."""
    parser.add_argument(
        "--backend", default=default,
        help="what runs the network: auto (default), or one that `occ-node run --parameters` lists",
    )  # fmt: skip


def add_rig(parser: argparse.ArgumentParser | argparse._ArgumentGroup, default: str) -> None:
    """`--rig`; see `chosen_rig`. default : what is used without it, for the help"""
    parser.add_argument(
        "--rig", metavar="RIG", help=f"where the LiDAR is: a rig.yaml, or a preset such as vlp16 (default: {default})"
    )


def chosen_rig(arguments: argparse.Namespace) -> "Rig | None":
    """What `add_rig` was given, if anything. Raises RigError."""
    from occ_core.rig import read_rig

    return None if arguments.rig is None else read_rig(arguments.rig)


def add_traceback(parser: argparse.ArgumentParser) -> None:
    """`--traceback`, which may stand before and after the verb."""
    parser.add_argument(
        "--traceback", action="store_true", default=argparse.SUPPRESS,
        help="show where in the code an error came from",
    )  # fmt: skip
