"""What each class costs a robot that drives over it or touches it: presets, and changes to them."""

import numpy as np

from .errors import InputError
from .taxonomy import CLASS_NAMES

GROUND_CLASSES = tuple(
    CLASS_NAMES.index(name) for name in ("road", "parking", "sidewalk", "other-ground", "terrain")
)  # SemanticKITTI counts lane markings as road
FREE, LETHAL = 0, 100
PRESETS = {
    "car": ("road", "parking"),
    "sidewalk-robot": tuple(CLASS_NAMES[label] for label in GROUND_CLASSES),
}
"""Classes that cost nothing; all others are LETHAL."""
DEFAULT_COSTS = ("sidewalk-robot",)


def class_costs(entries: tuple[str, ...]) -> np.ndarray:
    """Cost of each label, (256,) int8: 0 free to 100 lethal; labels that are no class cost nothing.

    entries : first, if wanted, the name of a preset ("sidewalk-robot" where there is none); then `class=cost`

    Raises InputError.
    """
    preset = DEFAULT_COSTS[0]
    if entries and "=" not in entries[0]:
        preset, entries = entries[0], entries[1:]
    if preset not in PRESETS:
        raise InputError(
            f"{preset!r} is no preset; expected one of {', '.join(PRESETS)}, or entries such as person=100"
        )
    costs = np.zeros(256, np.int8)
    costs[1 : len(CLASS_NAMES)] = LETHAL
    costs[[CLASS_NAMES.index(name) for name in PRESETS[preset]]] = FREE
    for entry in entries:
        name, separator, cost = entry.partition("=")
        if not separator:
            raise InputError(f"{entry!r}: expected class=cost; a preset stands first")
        if name not in CLASS_NAMES[1:]:
            raise InputError(f"{name!r} is not a class; expected some of {', '.join(CLASS_NAMES[1:])}")
        if not (cost.isascii() and cost.isdecimal() and len(cost) <= 3 and int(cost) <= LETHAL):
            raise InputError(f"{entry!r}: expected a whole number from {FREE} to {LETHAL} as the cost")
        costs[CLASS_NAMES.index(name)] = int(cost)
    return costs
