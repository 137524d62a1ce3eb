"""Streets beyond the ordinary: how their plan and their ground differ, and what else stands there."""

import numpy as np

from . import landmarks, people, vehicles
from .canvas import SIDES, Canvas
from .ground import OTHER_GROUND, PARKING, SIDEWALK, TERRAIN, Side
from .shapes import Material
from .traffic import Mover

_SURFACES = (
    (Material.ASPHALT, (1.0, 1.0, 1.0)), (Material.ASPHALT, (0.6, 0.6, 0.62)), (Material.ASPHALT, (1.6, 1.57, 1.48)),
    (Material.COBBLES, (1.1, 1.0, 0.9)), (Material.GRAVEL, (1.25, 1.1, 0.85)),
)  # fmt: skip


def road_surface(rng: np.random.Generator) -> tuple[Material, np.ndarray]:
    """Material of a road, and its colour in shares of asphalt's: new or old asphalt, concrete, cobbles, gravel."""
    material, color = _SURFACES[rng.choice(5, p=(0.35, 0.2, 0.2, 0.15, 0.1))]
    return material, np.array(color)


def vary_sides(rng: np.random.Generator, style: str, sides: tuple[Side, Side], start: float, end: float) -> None:
    """Crossroads, open places, and tracks into the fields, written into both sides' plans."""
    right, left = sides
    if rng.random() < 0.5:  # side streets meet those of the other side, and are wider
        right.junctions[:] = [(s, half * rng.uniform(1, 1.5)) for s, half in right.junctions]
        left.junctions[:] = right.junctions
    for side in sides:
        for s in np.arange(start + rng.uniform(0, 60), end, rng.uniform(50, 110)):
            if rng.random() < 0.6:
                label = int(rng.choice((SIDEWALK, PARKING, TERRAIN, OTHER_GROUND), p=(0.3, 0.3, 0.25, 0.15)))
                _clear(side, s, s + rng.uniform(16, 38), label)
        if style == "country":
            for s in np.arange(start, end, 40.0):
                if rng.random() < 0.5:
                    side.drives.append((s, s + rng.uniform(1.5, 3.5), int(rng.choice((OTHER_GROUND, SIDEWALK))), 35))


def bridge_places(rng: np.random.Generator, sides: tuple[Side, Side], length: float) -> list[tuple[float, float]]:
    """Where bridges cross the street, (s, width); the plots there become grass."""
    if rng.random() > 0.35:
        return []
    s, width = rng.uniform(15, length + 45), rng.uniform(4, 12)
    for side in sides:
        _clear(side, s - width / 2 - 3, s + width / 2 + 3, TERRAIN)
        side.junctions[:] = [(at, half) for at, half in side.junctions if abs(at - s) > half + width / 2 + 3]
        side.parking[:] = [(a, b) for a, b in side.parking if b < s - width or a > s + width]
    return [(s, width)]


def _clear(side: Side, s0: float, s1: float, label: int) -> None:
    """An open place instead of the plots from s0 to s1."""
    side.plots[:] = [plot for plot in side.plots if plot[1] <= s0 or plot[0] >= s1]
    side.drives[:] = [drive for drive in side.drives if drive[1] <= s0 or drive[0] >= s1]
    side.places[:] = [place for place in side.places if place[1] <= s0 or place[0] >= s1]
    side.places.append((s0, s1, label))


def with_trams(canvas: Canvas, movers: list[Mover]) -> list[Mover]:
    """In some towns, trams instead of what comes towards the car."""
    rng = canvas.rng
    if canvas.style != "urban" or rng.random() < 0.4:
        return movers
    kept = [mover for mover in movers if mover.d < 0 or mover.speed > -2]
    for s in np.arange(rng.uniform(15, 50), canvas.length + 150, rng.uniform(60, 120)):
        mesh = landmarks.tram(rng, 256).tagged(instance=canvas.next_instance())
        kept.append(Mover(mesh, s, canvas.half / 2, -rng.uniform(6, 9)))
    return kept


def add_landmarks(canvas: Canvas, bridges: list[tuple[float, float]]) -> None:
    """Everything that stands in a varied street beside what every street has."""
    for s, width in bridges:
        inner = max(side.edge for side in canvas.ground.sides) + canvas.rng.uniform(0.3, 2)
        canvas.put(landmarks.bridge(canvas.rng, inner, 40, width, canvas.rng.uniform(4.3, 6)), s, 0)
    for sign, side in zip(SIDES, canvas.ground.sides, strict=True):
        for s0, s1, label in side.places:
            _fill_place(canvas, sign, side, s0, s1, label)
        _avenue(canvas, sign, side, [s for s, _ in bridges])
        _stops(canvas, sign, side)
        _sites(canvas, sign, side)
        _people(canvas, sign, side)


def _fill_place(canvas, sign, side, s0, s1, label):
    rng, edge = canvas.rng, side.edge
    spots = [s for s in np.arange(s0 + 2, s1 - 2, 2.8) if canvas.clear(side, s, 3)]
    if label == PARKING:
        for out in (3.5, 14.5, 20.0):
            for s in spots:
                if rng.random() < 0.65:
                    make = vehicles.van if rng.random() < 0.1 else vehicles.car
                    canvas.put(make(rng), s, sign * (edge + out), sign * np.pi / 2, thing=True)
    elif label == SIDEWALK:
        for s in spots[1::2]:
            kind, out = rng.choice(4, p=(0.3, 0.25, 0.3, 0.15)), edge + rng.uniform(2.5, 14)
            if kind == 0:
                canvas.put(landmarks.stall(rng), s, sign * out, rng.normal(0, 0.1) + (np.pi if sign < 0 else 0))
            elif kind == 1:
                _group(canvas, s, sign * out)
            elif kind == 2:
                canvas.put(landmarks.wide_tree(rng, canvas.tone(), rng.uniform(2.5, 4), 0.8), s, sign * (edge + 6))
    elif label == TERRAIN:
        wood = rng.random() < 0.6
        chances = (0.5, 0.2, 0.05, 0.25) if wood else (0.25, 0.05, 0.35, 0.35)
        for _ in range(rng.poisson((s1 - s0) * (1.6 if wood else 0.3))):
            s = rng.uniform(s0, s1)
            if canvas.clear(side, s, 3):
                canvas.plant(s, sign * (edge + 2.5 + abs(rng.normal(0, 9))), chances)
    else:
        for s in spots[::4]:
            canvas.put(vehicles.truck(rng), s, sign * (edge + rng.uniform(6, 12)), rng.uniform(0, 6), thing=True)


def _avenue(canvas, sign, side, bridges):
    """Trees whose crowns reach over the road."""
    rng = canvas.rng
    if rng.random() > 0.45:
        return
    spread, spacing = rng.uniform(3.5, 5.5), rng.uniform(8, 14)
    out = side.road + side.strip_width / 2 if side.strip_width else side.edge + 0.9
    for s in np.arange(max(canvas.start, -40), min(canvas.end, canvas.length + 80), spacing):
        bay = side.strip_width and any(s0 - 1 < s < s1 + 1 for s0, s1 in side.parking)
        below = any(abs(s - at) < 12 for at in bridges)
        if not bay and not below and canvas.clear(side, s, 2) and rng.random() < 0.8:
            tree = landmarks.wide_tree(rng, canvas.tone(), spread * rng.uniform(0.8, 1.1))
            canvas.put(tree, s, sign * out, rng.uniform(0, 6))


def _stops(canvas, sign, side):
    """Bus stops, sometimes with a bus; where there is room."""
    rng = canvas.rng
    for s in np.arange(rng.uniform(-20, 60), canvas.length + 60, 90):
        if side.sidewalk > 1.4 and canvas.clear(side, s, 8) and rng.random() < 0.6:
            turn = 0 if sign > 0 else np.pi  # open towards the road
            canvas.put(landmarks.shelter(rng), s, sign * (side.edge - 0.9), turn)
            if side.strip_width:
                bus = vehicles.bus(rng)
                canvas.put(bus, s, sign * (side.road + side.strip_width - 1.1), turn, thing=True)


def _sites(canvas, sign, side):
    rng = canvas.rng
    for s in np.arange(rng.uniform(-10, 80), canvas.length + 60, 100):
        length = rng.uniform(5, 18)
        if rng.random() < 0.5 and all(canvas.clear(side, at, 3) for at in (s, s + length / 2, s + length)):
            out = side.road + (0.4 if side.strip_width + side.sidewalk > 1 else 1.0)
            begin = s if sign > 0 else s + length
            canvas.put(landmarks.construction(rng, length), begin, sign * out, 0 if sign > 0 else np.pi)


def _people(canvas, sign, side):
    """People at the edge of the road, close to the car, and in groups."""
    rng = canvas.rng
    for _ in range(rng.poisson((canvas.length + 60) / (25 if canvas.style != "country" else 80))):
        s = rng.uniform(-10, canvas.length + 60)
        if rng.random() < 0.5:
            out = side.road + rng.uniform(-0.3, 0.6)
            canvas.put(people.person(rng), s, sign * out, rng.uniform(0, 6), thing=True)
        elif side.sidewalk:
            _group(canvas, s, sign * (side.edge - side.sidewalk / 2))


def _group(canvas, s, d):
    rng = canvas.rng
    for _ in range(int(rng.integers(2, 5))):
        turn = rng.uniform(0, 2 * np.pi)
        canvas.put(people.person(rng), s + rng.normal(0, 0.7), d + rng.normal(0, 0.4), turn, thing=True)
