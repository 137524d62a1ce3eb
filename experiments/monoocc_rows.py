"""The trainings behind MonoOcc's tables: the rows of its Tables II and III, and single departures from the paper."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from occ_models.config import load_config, overlaid, save_config, to_dict
from occ_models.monoocc.config import MonoOccConfig
from occ_models.monoocc.recipe import MonoOccRecipe
from occ_models.networks import MONOOCC

from .departures import Departure, departure_rows, paper_rows
from .paper_values import paper_changes
from .rows import Row
from .setup import Setup

LENGTHS = {"depth": 1.0, "teacher": 1.5, "student": 1.25}
# The same frames for all rows: cached features allow no turned scenes, so none is turned in any phase.
DEFAULTS = {"teacher_features": "cached", "augment": "appearance", "unseen": 0.0}
SHARED = "all"
"""The row that trains depth, proposals and teacher for every other that does not do so itself."""
LARGE, SMALL, PAPER_FORM = "large", "small", "paper"
"""Privileged teachers: with a larger backbone ("distill-L"), with the student's ("distill-S"), and the second in the
form that the paper's networks have."""
NETWORK_SETTINGS = (
    "header_upsampling", "proposals", "proposal_rule", "self_attention", "embedding", "position", "depth_encoder",
)  # fmt: skip
"""Of the network, those whose values are the paper's at any size."""
TABLE_2 = {
    "none": (False, False, False),
    "2D": (True, False, False),
    "distillation": (False, True, False),
    "conditioned": (False, False, True),
    "2D, distillation": (True, True, False),
    "2D, conditioned": (True, False, True),
    "distillation, conditioned": (False, True, True),
    "all, small teacher": (True, True, True),
    SHARED: (True, True, True),
}
"""The nine rows of Table II: L_sem on the image, L_distill, image-conditioned attention."""
LARGER = "none, larger backbone"
"""Table III beside "none": the same network with a larger backbone."""
DEPARTURES = {
    **{
        name: Departure((name,))
        for name in (
            "affinity_mass", "image_class_weights", "temperature", "augment", "training.average",
            "training.learning_rate", "training.warmup", "training.clip",
        )
    },
    "voxel_loss": Departure(("voxel_loss",)),
    "occupied_weight": Departure(("occupied_weight",), "depth", ("teacher",)),
    **{f"network.{name}": Departure((f"network.{name}",)) for name in NETWORK_SETTINGS},
    "network.depth_encoder": Departure(("network.depth_encoder",), "depth", ("teacher",)),
}  # fmt: skip
"""By the name of their rows. The teacher stays ours."""
UNSEEN = "unseen"
"""The row with our own loss on what was never observed, which the table's recipe leaves out, as the paper."""


def teacher_file(setup: Setup, which: str) -> Path:
    """The network of a privileged teacher."""
    return setup.output / "teachers" / f"{which}.yaml"


def write_teachers(setup: Setup, large: MonoOccConfig) -> None:
    """Write the networks of all privileged teachers; `large` has the larger backbone."""
    for which, config in teachers(load_config(setup.size, MonoOccConfig), large).items():
        save_config(replace(config, name=f"{which}-teacher"), teacher_file(setup, which))


def teachers(student: MonoOccConfig, large: MonoOccConfig) -> dict[str, MonoOccConfig]:
    """The networks of all privileged teachers by name."""
    small = replace(large, image=student.image, intern=student.intern)
    names = (f"network.{name}" for name in NETWORK_SETTINGS)
    return {LARGE: large, SMALL: small, PAPER_FORM: overlaid(small, paper_changes(MONOOCC, *names)["network"])}


def changes_of(setup: Setup, semantic_2d: bool, distilled: bool, conditioned: bool, teacher: str = LARGE) -> dict:
    """Changes of the recipe for a student with some parts of the method."""
    changes = {
        "image_labels": "points" if semantic_2d else "none",
        "teacher": str(teacher_file(setup, teacher)) if distilled else "",
    }
    return changes if conditioned else changes | {"network": {"conditioned_layers": 0}}


def rows_of(setup: Setup, large: MonoOccConfig) -> dict[str, Row]:
    """Every row of MonoOcc's tables, by name. large : the network of the privileged teacher with the larger backbone"""
    changes, student = partial(changes_of, setup), ("student",)
    rows = {name: Row(changes(*parts), student, SHARED) for name, parts in TABLE_2.items()}
    rows[SHARED] = whole = Row(changes(True, True, True))
    rows["all, small teacher"] = Row(changes(True, True, True, SMALL), ("teacher", "student"), SHARED)
    backbone = {"image": to_dict(large.image), "intern": large.intern}
    without = changes(False, False, False)
    rows[LARGER] = Row({**without, "network": {**without["network"], **backbone}})
    rows[UNSEEN] = Row({**whole.changes, "unseen": MonoOccRecipe().unseen}, student, SHARED)
    rows |= departure_rows(setup, DEPARTURES, SHARED, whole)
    return rows | paper_rows(setup, whole, NETWORK_SETTINGS, {"teacher": str(teacher_file(setup, PAPER_FORM))})
