"""What stands at the kerb: parked vehicles, street trees, lamps, signs, bicycles, people."""

import numpy as np

from . import people, plants, structures, vehicles
from .canvas import SIDES, Canvas
from .ground import PARKING, Side

_PARKED = (vehicles.car, vehicles.van, vehicles.truck, vehicles.trailer)
_PARKED_CHANCES = (0.86, 0.06, 0.045, 0.035)


def furnish_kerbs(canvas: Canvas) -> None:
    """Both sides of the road."""
    for sign, side in zip(SIDES, canvas.ground.sides, strict=True):
        _park(canvas, sign, side)
        if side.strip_width and side.strip != PARKING:
            _street_trees(canvas, sign, side)
        _lamps_and_signs(canvas, sign, side)
        _pavement(canvas, sign, side)


def _park(canvas, sign, side):
    rng = canvas.rng
    for s0, s1 in side.parking:
        for s in np.arange(s0 + 3, s1 - 3, 6.0):
            if rng.random() < 0.62 and canvas.clear(side, s, 4):
                _parked(canvas, s + rng.uniform(-0.5, 0.5), sign * (side.road + side.strip_width / 2), sign)
    if canvas.style == "residential" and side.strip_width == 0:
        # On the road's edge, or half on the sidewalk where the lane needs the room.
        out, rate = max(side.road - 0.7, side.road / 2 + 2.1), 0.22 if sign < 0 or side.road > 3.4 else 0.1
        for s in np.arange(canvas.start, canvas.end, 7.0):
            if rng.random() < rate and canvas.clear(side, s, 4):
                _parked(canvas, s, sign * out, sign)


def _parked(canvas, s, d, sign):
    rng = canvas.rng
    mesh = _PARKED[rng.choice(4, p=_PARKED_CHANCES)](rng)
    # Traffic keeps to the right; some park the other way round.
    heading = (0 if sign < 0 else np.pi) + (np.pi if rng.random() < 0.15 else 0)
    canvas.put(mesh, s, d, heading + rng.normal(0, 0.03), thing=True)


def _street_trees(canvas, sign, side):
    rng = canvas.rng
    tree_chance = 0.5 if canvas.style == "country" else 0.8
    for s in np.arange(canvas.start, canvas.end, rng.uniform(7, 16)):
        bay = any(s0 - 1 < s < s1 + 1 for s0, s1 in side.parking)
        if bay or not canvas.clear(side, s, 2) or rng.random() < 0.2:
            continue
        d = sign * (side.road + side.strip_width / 2)
        if rng.random() < tree_chance:
            tree = plants.tree(rng, canvas.tone(), 1.3 if canvas.in_reach(s) else 0.4, clear=rng.uniform(2.6, 3.2))
            canvas.put(tree, s, d, rng.uniform(0, 6))
        else:
            canvas.put(plants.bush(rng, canvas.tone(), rng.uniform(0.3, 0.75)), s, d)


def _lamps_and_signs(canvas, sign, side):
    rng = canvas.rng
    kerb = side.road + side.strip_width + 0.35
    lamp_chance = 0.35 if canvas.style == "country" else 0.85
    for s in np.arange(canvas.start + rng.uniform(0, 20), canvas.end, rng.uniform(22, 35)):
        if canvas.clear(side, s, 1) and rng.random() < lamp_chance:
            canvas.put(structures.lamp(rng), s, sign * kerb, -sign * np.pi / 2)
    for s in np.arange(canvas.start + rng.uniform(0, 20), canvas.end, 16):
        if rng.random() < 0.5 and canvas.clear(side, s, 0.5):
            turn = (0 if sign < 0 else np.pi) + rng.normal(0, 0.1)
            out = sign * (kerb + rng.uniform(0, 0.4))
            canvas.put(structures.traffic_sign(rng), s + rng.uniform(0, 6), out, turn)


def _pavement(canvas: Canvas, sign: int, side: Side):
    """Parked bicycles and motorcycles, pedestrians."""
    rng = canvas.rng
    rate = {"residential": 0.8, "urban": 1.5, "country": 0.25}[canvas.style] * (canvas.end - canvas.start)
    inner = side.road + side.strip_width + 0.5
    outer = max(side.edge - 0.4, inner + 0.3)
    for make, spacing in ((people.bicycle, 50), (people.motorcycle, 70), (people.person, 65)):
        for _ in range(rng.poisson(rate / spacing)):
            s = rng.uniform(canvas.start, canvas.end)
            if not canvas.clear(side, s, 1.5):
                continue
            out = rng.uniform(inner, outer) if make is people.person else outer
            for k in range(int(rng.integers(1, 4)) if make is people.bicycle else 1):
                turn = rng.choice((0, np.pi / 2)) + rng.normal(0, 0.2)
                canvas.put(make(rng), s + 0.6 * k, sign * out, turn, thing=True)
