"""Departures from a network's paper, taken off one at a time and all together, with the values of its recipe."""

from dataclasses import dataclass, fields
from statistics import mean

from benchmarks.measure import markdown
from occ_models.config import load_config, merged, overlaid
from occ_models.networks import Network
from occ_models.recipe import load_recipe, network_of

from .figures import spread
from .paper_values import paper_changes
from .rows import Row
from .setup import Setup

OPTIMISER = ("batch", "accumulate", "learning_rate", "weight_decay", "warmup", "clip", "average")
OUR_OPTIMISER, PAPER = "paper's method, our optimiser", "paper"
"""Rows of the paper's recipe, at the table's size and with as many frames seen."""
# What belongs to the table, its data and its size, in all rows.
_OF_THE_TABLE = {"size", "network", "training", "pseudo_table", "teacher", "teacher_features"}


@dataclass(frozen=True)
class Departure:
    """Settings that belong together, and the phases that a row with the paper's values trains.

    settings : names as `paper_changes` takes them
    first : phase from which on it trains; "": the last one only; skips : phases after it that it takes all the same
    """

    settings: tuple[str, ...]
    first: str = ""
    skips: tuple[str, ...] = ()


def departure_rows(setup: Setup, departures: dict[str, Departure], takes: str, base: Row) -> dict[str, Row]:
    """A row for each departure that the table's recipe and network have: `base` with the paper's values."""
    rows = {}
    for name, departure in departures.items():
        changes = merged(base.changes, paper_changes(setup.network, *departure.settings))
        if _trained(setup, changes) == _trained(setup, base.changes):
            continue
        phases = base.recipe(setup.recipe).phases
        own = phases[phases.index(departure.first or phases[-1]) :]
        trains = tuple(phase for phase in own if phase not in departure.skips)
        rows[name] = Row(changes, trains, "" if trains == phases else takes)
    return rows


def paper_rows(setup: Setup, base: Row, network_settings: tuple[str, ...], needs: dict | None = None) -> dict[str, Row]:
    """The paper's recipe in the place of the table's: with our optimiser but for averaged weights, and with its own.

    base : the row that it is compared with; network_settings : names of those that are the paper's
    needs : other changes, such as a teacher that fits
    """
    kind = setup.network.recipe
    paper, ours = load_recipe(kind.paper, kind), kind()
    lengths = {f"{phase}_{unit}" for phase in kind.all_phases for unit in ("steps", "epochs")}
    names = [f.name for f in fields(kind) if f.name not in _OF_THE_TABLE | lengths]
    names = [name for name in names if getattr(paper, name) != getattr(ours, name)]
    names += [f"network.{name}" for name in network_settings]
    rows = {}
    for title, settings in ((OUR_OPTIMISER, ("average",)), (PAPER, OPTIMISER)):
        values = paper_changes(setup.network, *names, *(f"training.{setting}" for setting in settings))
        rows[title] = Row(merged(merged(base.changes, values), needs or {}))
    return rows


def _trained(setup: Setup, changes: dict) -> tuple:
    """What is trained with some changes: the recipe, and the network."""
    recipe = overlaid(setup.recipe, changes)
    config = network_of(load_config(setup.size, setup.network.config), recipe)
    return overlaid(recipe, {"training": {"seed": 0}}), config


def departures_table(rows: dict, departures: dict[str, Departure], network: Network, phase: str, base: str) -> str:
    """Rows that were measured, against the base row. rows : figures by row and phase"""
    ours = rows[base][phase]
    lines = [[f"ours ({base})", "", *(spread(ours[key]) for key in ("miou", "iou")), ""]]
    for name, departure in departures.items():
        if phase in rows.get(name, {}):
            found = rows[name][phase]
            values = ", ".join(f"`{setting}` {paper_value(network, setting)}" for setting in departure.settings)
            against = f"{mean(found['miou']) - mean(ours['miou']):+.2f}"
            trained = f"from {departure.first} on" if departure.first else phase
            lines.append([values, trained, *(spread(found[key]) for key in ("miou", "iou")), against])
    return markdown(["one departure off", "trained anew", "mIoU", "IoU", "mIoU against ours"], lines)


def paper_table(rows: dict, phase: str, base: str) -> str:
    """The paper's recipe against the base row, with equal numbers of frames seen."""
    names = [name for name in (base, OUR_OPTIMISER, PAPER) if phase in rows.get(name, {})]
    return markdown(
        ["recipe, equal frames seen", "mIoU", "IoU"],
        [[f"ours ({n})" if n == base else n, *(spread(rows[n][phase][key]) for key in ("miou", "iou"))] for n in names],
    )


def paper_value(network: Network, setting: str):
    """The paper's value of a setting."""
    value = paper_changes(network, setting)
    for part in setting.split("."):
        value = value[part]
    return value
