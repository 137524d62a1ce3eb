"""Bring the parts of these pages that come from the code up to date: `python -m docs.generate`.

They stand between `<!-- generated:NAME -->` and `<!-- /generated -->`.
"""

import argparse
from pathlib import Path

from benchmarks.report import fill
from occ_cli import data, node, train
from occ_cli.command import CommandLine
from occ_core.files import write_text
from occ_node.counters import Drop
from occ_node.parameters import parameter_table

FOLDER = Path(__file__).parent
DROPS = {
    "no_partner.image": "an image without a cloud within `sync_tolerance`",
    "no_partner.points": "a cloud without an image within `sync_tolerance`",
    "superseded": "a newer pair came before this one was processed",
    "stale.image": "an image that is not newer than the one before",
    "stale.points": "a cloud that is not newer than the one before",
    "clock_jumped_back": "stamps went back by more than 0.5 s, as when a bag loops; counts jumps",
    "malformed.image": "an image that cannot be decoded",
    "malformed.points": "a cloud that cannot be decoded",
    "malformed.camera_info": "intrinsics that cannot be used",
    "malformed.tf": "a transform that cannot be used",
    "no_calibration": "intrinsics or extrinsics are not known yet, or do not fit the image",
    "failed": "the frame could not be processed or published",
}
"""What each reason of a drop means."""


def pages() -> dict[Path, str]:
    """The pages with generated parts, as they should be."""
    parts = {
        "robot.md": {"parameters": parameter_table(), "drops": drop_table()},
        "cli.md": {line.name: command_reference(line) for line in (n.COMMAND_LINE for n in (node, data, train))},
    }
    return {FOLDER / page: fill((FOLDER / page).read_text(), tables, "generated") for page, tables in parts.items()}


def drop_table() -> str:
    """Why the node drops frames. Raises KeyError for a reason that is not explained here."""
    rows = [f"| `{reason.value}` | {DROPS[reason.value]} |" for reason in Drop]
    return "\n".join(["| reason | |", "| --- | --- |", *rows])


def command_reference(line: CommandLine) -> str:
    """A section for each verb: what it does, its examples and its options."""
    sections = []
    for name, module in line.verbs.items():
        parser = argparse.ArgumentParser(prog=f"{line.name} {name}", add_help=False)
        module.add_arguments(parser)
        summary, _, text = module.__doc__.partition("\n")
        sections += [f"### {parser.prog}", summary, f"```text\n{text.strip()}\n```", *option_tables(parser)]
    return "\n\n".join(sections)


def option_tables(parser: argparse.ArgumentParser) -> list[str]:
    """The arguments of a verb in Markdown, and those of each of its actions where it has some."""
    rows, tables = [], []
    for action in parser._actions:  # argparse has no public list of them
        if isinstance(action, argparse._SubParsersAction):
            for nested in action.choices.values():
                tables += [f"`{' '.join(nested.prog.split())}`: {nested.description}", *option_tables(nested)]
        elif not isinstance(action, argparse._HelpAction):
            rows.append(f"| `{usage(action)}` | {cell(action)} |")
    return ["\n".join(["| argument | |", "| --- | --- |", *rows]), *tables] if rows else tables


def usage(action: argparse.Action) -> str:
    """`--points TOPIC`, or the name of a positional argument."""
    if not action.option_strings:
        return action.metavar or action.dest
    choices = "{" + ",".join(map(str, action.choices)) + "}" if action.choices else action.dest.upper()
    value = "" if action.nargs == 0 else f" {action.metavar or choices}"
    return ", ".join(action.option_strings) + value


def cell(action: argparse.Action) -> str:
    """The help of an argument, with its defaults, for a cell of a table."""
    text = (action.help or "") % {**vars(action), "prog": ""}
    required = " (required)" if action.required and action.option_strings else ""
    return text.replace("|", "\\|").replace("<", "&lt;") + required


def main() -> int:
    for path, text in pages().items():
        write_text(path, text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
