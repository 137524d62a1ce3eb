"""The trainings behind OccLE's tables, and the phases that they take from each other."""

from dataclasses import replace

from occ_models.config import load_config
from occ_models.networks import OCCLE
from occ_models.recipe import load_recipe, network_of

from .departures import Departure, departure_rows, paper_rows
from .rows import Row
from .setup import Setup

ALL = "10 %"
"""The row with every module and a tenth of the labels, from which others take phases."""
LENGTHS = {"semantic": 3.0, "teacher": 1.0, "student": 1.0, "joint": 2.0}
HEADS = ("scan", "fused")
WITH_TEACHER = ("teacher", "student", "joint")


def _joint(**changes) -> Row:
    return Row(changes, ("joint",), ALL)


def _student(**changes) -> Row:
    return Row(changes, ("student",), ALL)


def _teacher(longer: float = 1.0, **changes) -> Row:
    return Row(changes, ("teacher",), ALL, {"teacher": longer})


SHARES = {
    # As many steps for the geometric branch as teacher and student have together.
    "100 %": Row({"share": 1.0}, ("teacher", "joint"), ALL, {"teacher": 2.0}),
    ALL: Row(),
    "1 %": Row({"share": 0.01}, WITH_TEACHER, ALL),
    "pseudo labels only": _joint(share=0.0),
}
MODULES = {
    "none": Row({"semantic_loss": "none", "geometric_loss": "none", "projection": "none"}),
    "semantic, geometric": _joint(projection="none"),
    "semantic, projection": _joint(geometric_loss="none"),
    "geometric, projection": Row({"semantic_loss": "none"}),
    ALL: Row(),
}
GEOMETRY = {
    "teacher, longer": _teacher(2.0),
    "teacher, longest": _teacher(5.0),
    "weak": _student(strength="weak"),
    "middle": _student(strength="middle"),
    # The paper's student trains four times as long as its teacher.
    "student, longer": replace(_student(), lengths={"student": 4.0}),
}
VARIANTS = {
    "distance": _joint(projection="distance"),
    "teacher in phase III": _joint(geometric_loss="pretrain+joint"),
}
PSEUDO = {"unaligned": Row({}, ("semantic",), data="unaligned")}
SYNERGY = {"dense synergy": _teacher(network={"synergy": "dense"})}
DEPARTURES = {
    **{
        name: Departure((name,))
        for name in (
            "labelled_draws", "move_scene", "augment_sensors", "jitter", "black_images", "loss_weights.iou",
            "occupancy_mean", "affinity_mass", "projection_scale", "lifted_labels", "training.average",
        )
    },
    "loss_weights.ce": Departure(("loss_weights.ce", "loss_weights.ce_occupied", "loss_weights.ce_class")),
    "student_start": Departure(("student_start",), first="student"),
    "keep": Departure(("keep",), first="student"),
    "occupied_weight": Departure(("occupied_weight",), first="teacher"),
}  # fmt: skip
"""By the name of their rows. Those that act in phases I and III are taken off in phase III only."""
NETWORK_FIRST = {
    "head": "joint",
    "fusion": "joint",
    "added_planes": "teacher",
    "sparse": "teacher",
    "frames": "teacher",
}
"""The first phase that a setting of the network matters to; of the others phase I."""


def own_head(setup: Setup) -> str:
    """The head of the network of the size."""
    return network_of(load_config(setup.size, OCCLE.config), setup.recipe).head


def headed(setup: Setup, name: str, head: str) -> str:
    """Name of a row of the module table with a head."""
    return name if head == own_head(setup) else f"{name}, {head} head"


def with_head(setup: Setup, name: str, head: str) -> Row:
    """A row with another head, which only phase III trains: the phases before come from the row itself."""
    row = MODULES[name]
    trains_others = len(row.phases(setup.recipe)) > 1
    return replace(
        row, changes={**row.changes, "network": {"head": head}}, trains=("joint",),
        takes=name if trains_others else row.takes,
    )  # fmt: skip


def departures() -> dict[str, Departure]:
    """Those of the recipe, and each setting that the paper's recipe changes of the network."""
    firsts = {name: NETWORK_FIRST.get(name, "semantic") for name in network_settings()}
    return DEPARTURES | {f"network.{n}": Departure((f"network.{n}",), first) for n, first in firsts.items()}


def network_settings() -> tuple[str, ...]:
    """Settings of the network that the paper's recipe changes."""
    return tuple(load_recipe(OCCLE.recipe.paper, OCCLE.recipe).network)


def rows_of(setup: Setup) -> dict[str, Row]:
    """Every row of OccLE's tables, by name, on the data that there are."""
    (other,) = (head for head in HEADS if head != own_head(setup))
    heads = {headed(setup, name, other): with_head(setup, name, other) for name in MODULES}
    rows = MODULES | heads | SHARES | GEOMETRY | PSEUDO | VARIANTS
    rows |= departure_rows(setup, departures(), ALL, Row()) | paper_rows(setup, Row(), network_settings())
    return {name: row for name, row in rows.items() if row.data in setup.drives}
