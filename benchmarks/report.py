"""Where figures are kept: one JSON file per machine, and the tables of docs/results.md."""

import json
import re
from pathlib import Path

from occ_core.files import write_json, write_text

from .measure import machine, machine_name

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
RESULTS_PAGE = ROOT / "docs" / "results.md"


def publish(section: str, result: dict, tables: dict[str, str], kept: bool) -> None:
    """Print a benchmark's tables; `kept`: keep its result with the others and update the page of results."""
    captioned = {name: f"{table}\n\n{caption(machine())}" for name, table in tables.items()}
    print("\n" + "\n\n".join(captioned.values()) + "\n", flush=True)
    if kept:
        print(f"kept in {keep(section, result)}")
        write_text(RESULTS_PAGE, fill(RESULTS_PAGE.read_text(), captioned))


def keep(section: str, result: dict) -> Path:
    """Put one benchmark's result into this machine's file; the other sections stay."""
    path = RESULTS / f"{machine_name()}.json"
    kept = json.loads(path.read_text()) if path.is_file() else {}
    kept[section] = {"machine": machine(), **result}
    return write_json(path, kept)


def caption(m: dict) -> str:
    """One line under a table: what it was measured on, and when."""
    return f"*{m['cpu']}, {m['cores']} cores, Python {m['python']}, {m['date']}*"


def fill(text: str, tables: dict[str, str], kind: str = "bench") -> str:
    """Replace the text between `<!-- bench:NAME -->` and `<!-- /bench -->`, or between marks of another kind.

    Raises ValueError for a table that has no place.
    """
    for name, table in tables.items():
        place = re.compile(rf"(<!-- {kind}:{re.escape(name)} -->\n).*?(<!-- /{kind} -->)", re.DOTALL)
        if not place.search(text):
            raise ValueError(f"no place for the table {name!r}; expected <!-- {kind}:{name} --> and <!-- /{kind} -->")
        text = place.sub(lambda found, table=table: f"{found[1]}{table}\n{found[2]}", text, count=1)
    return text
