"""Where figures are kept: one JSON file a machine, and the tables of the README."""

import json
import os
import re
import tempfile
from pathlib import Path

from .measure import machine, machine_name

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
README = ROOT / "README.md"


def publish(section: str, result: dict, tables: dict[str, str], kept: bool) -> None:
    """Print a benchmark's tables; `kept`: keep its result with the others and bring the README up to date."""
    captioned = {name: f"{table}\n\n{caption(machine())}" for name, table in tables.items()}
    print("\n" + "\n\n".join(captioned.values()) + "\n", flush=True)
    if kept:
        print(f"kept in {keep(section, result)}")
        rewrite_readme(captioned)


def keep(section: str, result: dict) -> Path:
    """Put one benchmark's result into this machine's file; the other sections stay."""
    path = RESULTS / f"{machine_name()}.json"
    kept = json.loads(path.read_text()) if path.is_file() else {}
    kept[section] = {"machine": machine(), **result}
    write(path, json.dumps(kept, indent=2, ensure_ascii=False) + "\n")
    return path


def caption(m: dict) -> str:
    """One line under a table: what it was measured on, and when."""
    return f"*{m['cpu']}, {m['cores']} cores, Python {m['python']}, {m['date']}*"


def fill(text: str, tables: dict[str, str]) -> str:
    """Replace what stands between `<!-- bench:NAME -->` and `<!-- /bench -->`.

    Raises ValueError for a table that has no place.
    """
    for name, table in tables.items():
        place = re.compile(rf"(<!-- bench:{re.escape(name)} -->\n).*?(<!-- /bench -->)", re.DOTALL)
        if not place.search(text):
            raise ValueError(f"no place for the table {name!r}; expected <!-- bench:{name} --> and <!-- /bench -->")
        text = place.sub(lambda found, table=table: f"{found[1]}{table}\n{found[2]}", text, count=1)
    return text


def rewrite_readme(tables: dict[str, str]) -> None:
    """Bring the README's tables up to date."""
    write(README, fill(README.read_text(), tables))


def write(path: Path, text: str) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    with os.fdopen(handle, "w") as stream:
        stream.write(text)
    os.chmod(temporary, 0o644)
    os.replace(temporary, path)
