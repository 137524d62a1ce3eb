"""The plan of a street's two sides: widths, parking bays, plots, side streets."""

import numpy as np

from .ground import OTHER_GROUND, PARKING, SIDEWALK, TERRAIN, Side

_PLOT_GROUND = (TERRAIN, SIDEWALK, OTHER_GROUND, PARKING)
_PLOT_CHANCES = {
    "residential": (0.86, 0.05, 0.06, 0.03),
    "urban": (0.5, 0.33, 0.12, 0.05),
    "country": (0.96, 0, 0.02, 0.02),
}


def road_half_width(rng: np.random.Generator, style: str) -> float:
    """Metres from the centre line to the kerb."""
    return rng.uniform(3.2, 5.5) if style == "country" else rng.uniform(2.7, 4.2)


def draw_side(rng: np.random.Generator, style: str, half: float, start: float, end: float) -> Side:
    """One side of a street whose road is `half` metres wide on this side, from arc length `start` to `end`."""
    country = style == "country"
    sidewalk = rng.uniform(1.5, 2.9) + (1.2 if style == "urban" else 0)
    if country and rng.random() < 0.65:
        sidewalk = 0.0
    strip_width = 2.2 if rng.random() < {"residential": 0.55, "urban": 0.8, "country": 0.6}[style] else 0.0
    strip = TERRAIN if country or rng.random() < 0.35 else (SIDEWALK if rng.random() < 0.8 else OTHER_GROUND)
    bank = rng.uniform(-0.1, 0.14) if country else rng.uniform(-0.02, 0.05)
    side = Side(half, strip_width, strip, sidewalk, bank)
    _side_streets(rng, side, start, end)
    if strip_width and not country:
        _bays(rng, side, start, end)
    _plots(rng, side, style, start, end)
    return side


def _side_streets(rng, side, start, end):
    s = start + rng.uniform(10, 50)
    while s < end - 20:
        if rng.random() < 0.65:
            side.junctions.append((s, rng.uniform(2.6, 4.0)))
        s += rng.uniform(45, 110)


def _bays(rng, side, start, end):
    s = start
    while s < end:
        stretch = rng.uniform(12, 45)
        if rng.random() < 0.45:
            side.parking.append((s, s + stretch))
        s += stretch


def _plots(rng, side, style, start, end):
    s = start
    while s < end:
        width = rng.uniform(25, 60) if style == "country" else rng.uniform(12, 24)
        side.plots.append((s, s + width, int(rng.choice(_PLOT_GROUND, p=_PLOT_CHANCES[style]))))
        if style == "residential" and rng.random() < 0.6:
            at = s + rng.uniform(1, width - 5)
            label = int(rng.choice((SIDEWALK, PARKING, OTHER_GROUND), p=(0.6, 0.18, 0.22)))
            side.drives.append((at, at + rng.uniform(2.6, 5), label, rng.uniform(5, 11)))
        s += width
