"""One street: its static mesh and what moves."""

from dataclasses import dataclass

import numpy as np

from .canvas import Canvas
from .ground import OTHER_GROUND, PARKING, ROAD, SIDEWALK, TERRAIN, Ground
from .kerbside import furnish_kerbs
from .path import Path
from .plan import draw_side, road_half_width
from .plots import fill_plots
from .shapes import Material, Mesh, join, quads, surface
from .traffic import Mover, make_traffic
from .variety import add_landmarks, bridge_places, road_surface, vary_sides, with_trams

_STYLES, _STYLE_CHANCES = ("residential", "urban", "country"), (0.52, 0.2, 0.28)
_BEND = {"residential": 0.2, "urban": 0.1, "country": 0.25}
_HILL = {"residential": 0.8, "urban": 0.4, "country": 1.5}
_ROUGH = {"residential": 0.08, "urban": 0.04, "country": 0.22}
_BEFORE, _BEYOND, _REACH = 70.0, 150.0, 62.0


@dataclass(frozen=True, eq=False)
class World:
    """A street: everything static in one mesh, and what moves; `lane` is the offset of the car's lane."""

    style: str
    path: Path
    ground: Ground
    static: Mesh
    movers: list[Mover]
    lane: float

    def moving(self, time: float) -> Mesh | None:
        """What moves, where it is `time` seconds into the drive; None where nothing does."""
        placed = []
        for mover in self.movers:
            s = mover.s + mover.speed * time
            if self.path.s[0] + 2 < s < self.path.s[-1] - 2:
                yaw = self.path.yaw(s) + (np.pi if mover.speed < 0 else 0)
                pitch = self.path.pitch(s) * np.sign(mover.speed)
                placed.append(mover.mesh.placed(self.ground.at(s, mover.d), yaw, pitch))
        return join(placed) if placed else None


def build_world(seed: int, length: float, speed: float, duration: float, varied: bool = False) -> World:
    """The street of `seed` for a drive of `length` metres at `speed` m/s lasting `duration` seconds.

    varied : with steeper slopes, other roads, and what `variety` adds
    """
    rng = np.random.default_rng([seed, 1])
    style = _STYLES[rng.choice(3, p=_STYLE_CHANCES)]
    start, end = -_BEFORE, length + _BEYOND
    change = np.random.default_rng([seed, 8])
    steeper = change.uniform(1, 4) if varied else 1.0
    path = Path(rng, start, end, _BEND[style], _HILL[style] * steeper)
    half = road_half_width(rng, style)
    sides = tuple(draw_side(rng, style, half, start, end) for _ in range(2))
    road, shade, bridges = Material.ASPHALT, np.ones(3), []
    if varied:
        road, shade = road_surface(change)
        vary_sides(change, style, sides, start, end)
        bridges = bridge_places(change, sides, length)
    tints = _tints(rng)
    tints[ROAD] = tints[ROAD] * shade
    ground = Ground(path, sides, tints, _REACH, rng.uniform(0, 6, 4), _ROUGH[style] * rng.uniform(0.6, 1.6), road)

    canvas = Canvas(rng, style, path, ground, end, length)
    canvas.parts.append(ground.mesh(start, end))
    fill_plots(canvas)
    furnish_kerbs(canvas)
    canvas.parts += _horizon(canvas, max(4.0, path.z.max() - path.z.min() + 3) if varied else 4.0)
    movers = make_traffic(canvas, speed, duration)
    if varied:
        add_landmarks(canvas, bridges)
        movers = with_trams(canvas, movers)
    return World(style, path, ground, join(canvas.parts), movers, -half / 2)


def _tints(rng) -> dict[int, np.ndarray]:
    """Colours of the ground's classes in this street."""
    grass = np.array((0.16, 0.18, 0.075)) * rng.uniform(0.7, 1.25)
    return {
        ROAD: rng.uniform(0.2, 0.36) * np.array((1, 0.99, 0.97)),
        PARKING: rng.uniform(0.25, 0.4) * rng.uniform((0.95, 0.9, 0.85), (1.1, 1, 1)),
        SIDEWALK: rng.uniform(0.32, 0.5) * rng.uniform((0.98, 0.94, 0.88), (1.06, 1, 0.98)),
        OTHER_GROUND: rng.uniform(0.3, 0.45) * np.array((1.05, 0.95, 0.8)),
        TERRAIN: grass * rng.uniform((0.8, 0.95, 0.8), (1.25, 1.05, 1.2)),
    }


def _horizon(canvas: Canvas, drop: float) -> list[Mesh]:
    """Far land and a belt of trees beyond the LiDAR's reach, so that the image does not end in the sky.

    drop : metres from the street down to the far land
    """
    rng = canvas.rng
    center = canvas.path.at((canvas.start + canvas.end) / 2)
    radius = (canvas.end - canvas.start) / 2 + 90
    angle = np.linspace(0, 2 * np.pi, 97)
    low = center + np.stack([np.cos(angle) * radius, np.sin(angle) * radius, np.full(97, -6.0)], 1)
    height = 12 + rng.uniform(3, 6) * np.sin(angle * 3 + rng.uniform(0, 6)) + rng.uniform(0, 3.5, 97)
    height[-1] = height[0]
    high = low + np.stack([np.zeros(97), np.zeros(97), height + 6], 1)
    belt = quads(np.stack([low[:-1], low[1:], high[1:], high[:-1]], 1))
    floor = np.array([(-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0)]) * 600.0 + center + (0, 0, -drop)
    return [
        surface(belt, 70, Material.LEAVES, canvas.leaf * 0.8),
        surface(quads(floor[None]), 72, Material.GRASS, canvas.ground.tints[TERRAIN]),
    ]
