"""Types of command-line arguments that argparse does not have."""

import argparse


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


def add_traceback(parser: argparse.ArgumentParser) -> None:
    """`--traceback`, which may stand before and after the verb."""
    parser.add_argument(
        "--traceback", action="store_true", default=argparse.SUPPRESS,
        help="show where in the code an error came from",
    )  # fmt: skip
