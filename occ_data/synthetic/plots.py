"""What stands beyond the sidewalk: gardens with houses, city blocks, fields."""

import numpy as np

from . import structures, vehicles
from .canvas import SIDES, Canvas
from .ground import OTHER_GROUND, PARKING, Side

# Chances of tree, conifer, bush, thicket.
_FRONT, _BACK = (0.2, 0.12, 0.38, 0.3), (0.45, 0.15, 0.1, 0.3)
_WOODEN, _RAILING, _WALL, _GUARD_RAIL, _WIRE = range(5)


def fill_plots(canvas: Canvas) -> None:
    """Build on every plot, leaving the side streets open."""
    fill = {"residential": _garden, "urban": _block, "country": _field}[canvas.style]
    for sign, side in zip(SIDES, canvas.ground.sides, strict=True):
        for s0, s1, label in side.plots:
            for a, b in _between_junctions(side, s0, s1):
                if b - a > 4:
                    fill(canvas, sign, side, a, b, label)


def _between_junctions(side: Side, s0: float, s1: float) -> list[tuple[float, float]]:
    pieces, a = [], s0
    for middle, half in side.junctions:
        low, high = middle - half - 1.7, middle + half + 1.7
        if high > s0 and low < s1:
            pieces.append((a, low))
            a = high
    return [*pieces, (a, s1)]


def _building(canvas, sign, s0, s1, out, depth, height, pitched):
    mesh = structures.house(canvas.rng, s1 - s0, depth, height, pitched)
    middle = (s0 + s1) / 2
    yaw = canvas.path.yaw(middle)
    # The house lies along +x and extends to its left: on the right side it is turned by 180 degrees and begins at s1.
    begin = (s0 if sign > 0 else s1) - middle
    position = canvas.path.at(middle, sign * out) + begin * np.array((np.cos(yaw), np.sin(yaw), 0))
    position[2] = canvas.ground.at(middle, sign * (out + depth / 2))[2] - 0.1
    canvas.parts.append(mesh.placed(position, yaw if sign > 0 else yaw + np.pi))


def _boundary(canvas, sign, side, s0, s1):
    """Hedge, fence, wall or nothing towards the sidewalk, open at the drives."""
    rng, out = canvas.rng, side.edge
    gaps = sorted((a, b) for a, b, *_ in side.drives if b > s0 and a < s1)
    if not gaps and rng.random() < 0.5:
        gate = rng.uniform(s0, s1)
        gaps = [(gate, gate + 1.2)]
    kind = rng.choice(5, p=(0.32, 0.27, 0.13, 0.15, 0.13))
    height, depth, a = rng.uniform(0.8, 1.7), rng.uniform(0.5, 1.1), s0
    backed = rng.random() < 0.4
    for opens, closes in [*gaps, (s1, s1)]:
        b = min(opens, s1)
        if b - a > 1:
            if kind == 0:
                canvas.hedge(a, b, sign * (out + depth / 2), height * 1.1, depth)
            else:
                fence = (_WOODEN, _RAILING, _WALL, _WIRE)[kind - 1]
                canvas.fence(a, b, sign * (out + 0.15), height * (0.6 if fence == _WALL else 0.85), fence)
                if backed:
                    canvas.hedge(a, b, sign * (out + 0.5 + depth / 2), height * 1.2, depth)
        a = max(a, closes)


def _scatter(canvas, sign, s0, s1, out0, out1, area, chances, thick=1.0):
    """One plant for every `area` square metres."""
    for _ in range(canvas.rng.poisson((s1 - s0) * max(out1 - out0, 0.5) / area)):
        canvas.plant(canvas.rng.uniform(s0, s1), sign * canvas.rng.uniform(out0, out1), chances, thick)


def _garden(canvas, sign, side, s0, s1, label):
    rng, edge, width = canvas.rng, side.edge, s1 - s0
    setback = rng.uniform(3.0, 12.0)
    built = width > 9 and rng.random() < 0.76
    if built:
        a, b = s0 + rng.uniform(0.5, width * 0.25), s1 - rng.uniform(0.5, width * 0.25)
        depth, height = rng.uniform(8, 12), rng.uniform(4.5, 8.5)
        _building(canvas, sign, a, b, edge + setback, depth, height, rng.random() < 0.85)
    if rng.random() < 0.85:
        _boundary(canvas, sign, side, s0, s1)
    _scatter(canvas, sign, s0, s1, edge + 1.8, edge + (max(setback - 0.5, 2.2) if built else 18), 11, _FRONT)
    _scatter(canvas, sign, s0, s1, edge + 13, 34, 32, _BACK, 0.7)
    if rng.random() < 0.4:
        canvas.fence(s0 + 0.1, s1, sign * (edge + setback + (12 if built else 3)), 1.5, _WOODEN)
    if rng.random() < 0.35:  # between neighbours
        kind, height = int(rng.choice((_WOODEN, _WALL, _WIRE))), rng.uniform(0.9, 1.7)
        line = (s0 + 0.05, sign * edge), (s0 + 0.05, sign * (edge + setback + 10))
        canvas.span(lambda length: structures.fence(rng, length, height, kind), *line)
    for a, b, *_ in side.drives:
        if a >= s0 and b <= s1 and rng.random() < 0.3 and setback > 5.2:
            canvas.put(vehicles.car(rng), (a + b) / 2, sign * (edge + 2.9), sign * np.pi / 2, thing=True)


def _block(canvas, sign, side, s0, s1, label):
    rng, edge = canvas.rng, side.edge
    setback = rng.choice((0.2, 0.6, 3.0, 6.0), p=(0.4, 0.25, 0.2, 0.15))
    if rng.random() < 0.85:
        depth, height = rng.uniform(9, 14), rng.uniform(6.5, 14)
        _building(canvas, sign, s0, s1 - rng.uniform(0, 0.5), edge + setback, depth, height, rng.random() < 0.6)
    else:
        setback = 18
        if label in (PARKING, OTHER_GROUND):
            for s in np.arange(s0 + 2, s1 - 2, 2.7):
                if rng.random() < 0.6 and canvas.clear(side, s, 3):
                    canvas.put(vehicles.car(rng), s, sign * (edge + 3.5), sign * np.pi / 2, thing=True)
    if setback > 2:
        if rng.random() < 0.5:
            _boundary(canvas, sign, side, s0, s1)
        _scatter(canvas, sign, s0, s1, edge + 1.2, edge + setback - 0.6, 12, (0.25, 0.1, 0.35, 0.3))


def _field(canvas, sign, side, s0, s1, label):
    """Meadow with a guard rail, a wire fence, a wood's edge, single bushes, or a farmhouse."""
    rng, edge = canvas.rng, side.edge
    kind = rng.choice(5, p=(0.32, 0.24, 0.22, 0.14, 0.08))
    out = edge + rng.uniform(0.6, 3.5)
    if kind == 0:
        canvas.fence(s0, s1, sign * (edge + 0.5), 0.8, _GUARD_RAIL)
    elif kind == 1:
        canvas.fence(s0, s1, sign * out, 1.3, _WIRE)
    spacing = (5, 8, 1.0, 2.5, 8)[kind]
    for _ in range(rng.poisson((s1 - s0) / spacing)):
        canvas.plant(rng.uniform(s0, s1), sign * (out + 2 + abs(rng.normal(0, 5))), (0.3, 0.07, 0.33, 0.3))
    _scatter(canvas, sign, s0, s1, edge + 9, 45, 85, (0.4, 0.1, 0.2, 0.3), 0.6)
    if kind == 4 and s1 - s0 > 16:
        width, height = rng.uniform(8, 12), rng.uniform(4, 7)
        _building(canvas, sign, s0 + 3, s0 + 3 + width, edge + rng.uniform(6, 14), 9, height, True)
