"""The command of a table: a list of rows, what is measured of them, and how it is shown."""

import argparse
import sys
from collections.abc import Callable

from benchmarks.report import publish
from occ_core.errors import ReportedError

from .figures import described, measured
from .rows import Row
from .setup import Setup
from .trainings import train_rows


def run_tables(
    name: str,
    arguments: argparse.Namespace,
    make_setup: Callable[[argparse.Namespace], Setup],
    rows_of: Callable[[Setup], dict[str, Row]],
    tables: Callable[[Setup, dict], dict[str, str]],
    measure: Callable[[Setup, dict[str, Row]], dict] = measured,
) -> int:
    """Train what is missing, measure, print; kept with the other figures when asked. Errors that are written for the
    user become one line. Gives the exit code.
    """
    try:
        setup = make_setup(arguments)
        rows = rows_of(setup)
        if arguments.list:
            print(listing(setup, rows))
            return 0
        train_rows(setup, rows, arguments.rows or rows)
        found = measure(setup, rows)
        publish(name, {**described(setup), "rows": found}, tables(setup, found), arguments.keep)
    except ReportedError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def listing(setup: Setup, rows: dict[str, Row]) -> str:
    """A line for each row: phases with their lengths, and the row from which the others come."""
    lines = []
    for name, row in rows.items():
        recipe, parts = row.recipe(setup.recipe), []
        for phase in row.phases(setup.recipe):
            steps, epochs = (getattr(recipe, f"{phase}_{unit}") for unit in ("steps", "epochs"))
            parts.append(f"{phase} {f'{steps} steps' if steps else f'{epochs:g} epochs'}")
        taken = ", ".join(row.taken(setup.recipe))
        lines.append(f"{name}: {', '.join(parts)}" + (f"; {taken} of {row.takes}" if taken else ""))
    return "\n".join(lines)
