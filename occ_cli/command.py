"""What occ-node, occ-data and occ-train have in common: parsing, and one way to report errors."""

import argparse
import os
import sys
import traceback
from dataclasses import dataclass
from typing import Protocol

from .arguments import add_traceback

_EXIT_CODES = """`{name} VERB --help` explains each. Exit codes: 0 done, 1 failed on the way, 2 unusable input,
3 the training diverged, 130 interrupted."""

_EXTRAS = {
    "PIL": "viz", "trimesh": "synth", "embreex": "synth", "torch": "train", "lightning": "train",
    "safetensors": "train", "onnx": "train", "onnxscript": "train", "transformers": "segment", "torchvision": "segment",
}  # fmt: skip
"""Optional packages, and the extra of pyproject.toml that installs each."""


class Verb(Protocol):
    """One verb, usually a module: the first line of its docstring is the summary, the rest examples and explanation."""

    __doc__: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare its arguments."""

    def command(self, arguments: argparse.Namespace) -> int:
        """Run it; gives the exit code."""


@dataclass(frozen=True)
class CommandLine:
    """A program of several verbs.

    What a verb needs is imported when it runs, so that `--help` answers at once.
    """

    name: str
    description: str
    examples: str
    verbs: dict[str, Verb]

    def parser(self) -> argparse.ArgumentParser:
        """The parser of all verbs."""
        top = argparse.ArgumentParser(
            prog=self.name,
            description=self.description,
            epilog=f"examples:\n{self.examples}\n\n{_EXIT_CODES.format(name=self.name)}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        top.add_argument("--version", action="version", version=f"{self.name} {_version()}")
        add_traceback(top)
        verbs = top.add_subparsers(dest="verb", metavar="VERB", required=True)
        for name, module in self.verbs.items():
            summary, _, text = (module.__doc__ or "").partition("\n")
            verb = verbs.add_parser(
                name, help=summary.rstrip("."), description=summary, epilog=text.strip() or None,
                formatter_class=argparse.RawDescriptionHelpFormatter,
            )  # fmt: skip
            module.add_arguments(verb)
            add_traceback(verb)
            verb.set_defaults(command=module.command, verb_parser=verb)
        return top

    def run(self, argv: list[str] | None = None) -> int:
        """Run one verb; gives the process's exit code. A fault of the program is a traceback and 1."""
        os.environ.setdefault("TQDM_MININTERVAL", "0.1" if sys.stderr.isatty() else "10")  # a log wants few lines
        arguments, unknown = self.parser().parse_known_args(argv)
        if unknown:
            arguments.verb_parser.error(f"unrecognized arguments: {' '.join(unknown)}")
        try:
            return arguments.command(arguments)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130
        except BrokenPipeError:  # `occ-node ... | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except Exception as error:
            message, code = _report(error)
            if message is None or getattr(arguments, "traceback", False):
                traceback.print_exc()
            else:
                print(f"{self.name} {arguments.verb}: {message}", file=sys.stderr)
            return code


def _report(error: Exception) -> tuple[str | None, int]:
    """One line for the user, None where the program is at fault; and the exit code."""
    from occ_core.errors import InputError, ReportedError  # late: it loads numba, which --help does not need

    if isinstance(error, ReportedError):
        return " ".join(str(error).split()), error.exit_code
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error), InputError.exit_code
    if isinstance(error, ModuleNotFoundError) and error.name and (package := error.name.partition(".")[0]) in _EXTRAS:
        return f"needs {package}; install it with: pip install 'occ_node[{_EXTRAS[package]}]'", InputError.exit_code
    return None, 1


def _version() -> str:
    from occ_node import __version__

    return __version__
