"""What moves: vehicles in both lanes, cyclists, people walking."""

from dataclasses import dataclass

from . import people, vehicles
from .canvas import SIDES, Canvas
from .shapes import Mesh

# Makers, raw ids of the moving class, chances (rare classes come more often than in real streets).
_KINDS = (
    (vehicles.car, 252, 0.38), (vehicles.truck, 258, 0.1), (vehicles.van, 259, 0.07), (vehicles.bus, 257, 0.07),
    (people.bicyclist, 253, 0.2), (people.motorcyclist, 255, 0.18),
)  # fmt: skip
_BICYCLIST = 4


@dataclass(frozen=True, eq=False)
class Mover:
    """An object that moves along the street from arc length s at offset d; `speed` in m/s, negative: oncoming."""

    mesh: Mesh
    s: float
    d: float
    speed: float


def make_traffic(canvas: Canvas, speed: float, duration: float) -> list[Mover]:
    """Traffic for a drive at `speed` m/s lasting `duration` seconds; the car catches up with nothing in its lane."""
    rng, movers, half = canvas.rng, [], canvas.half
    chances = [chance for *_, chance in _KINDS]

    def add(kind, s, d, velocity):
        make, raw, _ = _KINDS[kind]
        movers.append(Mover(make(rng, raw).tagged(instance=canvas.next_instance()), s, d, velocity))

    s = rng.uniform(9, 22)
    while s < 80:
        kind = rng.choice(len(_KINDS), p=chances)
        if rng.random() < 0.65:
            if kind == _BICYCLIST:  # passed where the road is wide enough, followed where not
                add(kind, s, -half + 0.6, 4.0 if half > 3.9 else speed)
            else:
                add(kind, s, -half / 2, speed * rng.uniform(0.97, 1.1))
        s += rng.uniform(14, 40)
    s = rng.uniform(-30, 20)
    while s < canvas.length + 70 + 11 * duration:
        kind = rng.choice(len(_KINDS), p=chances)
        if rng.random() < 0.5:
            if kind == _BICYCLIST:
                add(kind, s, half - 0.6, -5.0)
            else:
                add(kind, s, half / 2, -rng.uniform(7, 11))
        s += rng.uniform(18, 60)
    if canvas.style != "country":
        movers += _walkers(canvas)
    return movers


def _walkers(canvas):
    rng, walkers = canvas.rng, []
    for sign, side in zip(SIDES, canvas.ground.sides, strict=True):
        for _ in range(rng.poisson(canvas.length / 35 + 2)):
            out = side.road + side.strip_width + rng.uniform(0.4, max(side.sidewalk - 0.3, 0.5))
            mesh = people.person(rng, 254).tagged(instance=canvas.next_instance())
            pace = rng.choice((-1, 1)) * rng.uniform(0.9, 1.6)
            walkers.append(Mover(mesh, rng.uniform(-10, canvas.length + 60), sign * out, pace))
    return walkers
