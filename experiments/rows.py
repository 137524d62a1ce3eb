"""A row of a table: one training, as changes of the table's recipe and of its network."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from occ_models.config import ConfigError, overlaid
from occ_models.recipe import frames_per_step


@dataclass(frozen=True)
class Row:
    """What a row changes, and which phases it trains.

    changes : plain values over the recipe's, as in a recipe file; `network` has those of the network
    trains : the phases that it trains itself; none: all of its recipe
    takes : the row from which its earlier phases come; "": from none
    lengths : factors on the lengths of phases, 1 where it names none
    data : drives to train on, by their name in `Setup.drives`
    """

    changes: dict[str, Any] = field(default_factory=dict)
    trains: tuple[str, ...] = ()
    takes: str = ""
    lengths: dict[str, float] = field(default_factory=dict)
    data: str = "train"

    def recipe(self, base):
        """The table's recipe with the row's changes. A phase sees as many frames as in the table's recipe, whatever the
        row's batch, times its factor in `lengths`.
        """
        recipe = overlaid(base, self.changes)
        factor = frames_per_step(base.training) / frames_per_step(recipe.training)
        lengths = {}
        for phase in base.all_phases:
            longer = self.lengths.get(phase, 1)
            lengths[f"{phase}_steps"] = round(getattr(base, f"{phase}_steps") * factor * longer)
            lengths[f"{phase}_epochs"] = getattr(base, f"{phase}_epochs") * longer
        return overlaid(recipe, lengths)

    def phases(self, base) -> tuple[str, ...]:
        """The phases that it trains itself."""
        return self.trains or self.recipe(base).phases

    def taken(self, base) -> tuple[str, ...]:
        """The phases that come from the row that it takes."""
        if not self.takes:
            return ()
        own, every = self.phases(base), self.recipe(base).phases
        return tuple(phase for phase in every[: every.index(own[-1])] if phase not in own)


def folder_of(root: Path, name: str, seed: int) -> Path:
    """Folder of a row's training."""
    return root / f"seed{seed}" / re.sub(r"[^\w.+-]+", "-", name.replace(" %", "")).strip("-")


def with_taken(wanted: Iterable[str], rows: dict[str, Row], base) -> dict[str, set[str]]:
    """The phases to train of each row: those that are wanted, and of others the phases that they take.

    Raises ConfigError for an unknown row.
    """
    result: dict[str, set[str]] = {}

    def add(name: str, phases: set[str]) -> None:
        row = rows[name]
        own, taken = phases & set(row.phases(base)), set(row.taken(base))
        result.setdefault(name, set()).update(own)
        if needed := taken if own else phases & taken:
            add(row.takes, needed)

    for name in wanted:
        if name not in rows:
            raise ConfigError(f"row {name!r}: expected one of {', '.join(rows)}")
        add(name, set(rows[name].phases(base)))
    return result
