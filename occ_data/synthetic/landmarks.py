"""What only some streets have: bridges, trams, bus stops, market stalls, construction sites, wide trees."""

import numpy as np

from . import people, vehicles
from .plants import foliage
from .shapes import Material, Mesh, beam, box, ellipsoid, join, surface

BUILDING, FENCE, OTHER_VEHICLE, OTHER_STRUCTURE, OTHER_OBJECT = 50, 51, 20, 52, 99
_RED, _WHITE = (0.6, 0.04, 0.03), (0.8, 0.8, 0.78)


def bridge(rng, inner: float, outer: float, width: float, height: float) -> Mesh:
    """A bridge across the street, its middle at the origin, the street along x, `width` metres of it below the deck.

    inner : of each abutment from the middle of the street, left and right alike; outer : half the deck's length
    """
    grey, brick = rng.uniform(0.25, 0.5), rng.random() < 0.3
    material, color = (Material.BRICK, (0.4, 0.24, 0.18)) if brick else (Material.CONCRETE, np.full(3, grey))
    deck = rng.uniform(0.7, 1.4)
    parts = [surface(box((width, 2 * outer, deck), (0, 0, height + deck / 2)), BUILDING, material, color)]
    for side in (-1, 1):
        middle, depth = side * (inner + outer) / 2, outer - inner
        block = box((width, depth, height + 1), (0, middle, (height - 1) / 2))
        rail = box((0.15, 2 * outer, 1.0), (side * width / 2, 0, height + deck + 0.5))
        parts += [surface(block, BUILDING, material, color), surface(rail, FENCE, Material.METAL, np.full(3, 0.3))]
    mesh = join(parts)
    mesh.uv[:, 1] = -np.abs(mesh.uv[:, 1]) - 0.01  # below every window
    return mesh


def tram(rng, label=16) -> Mesh:
    """Two or three long cars in a row."""
    cars, color = int(rng.integers(2, 4)), vehicles.CAR_COLORS[rng.integers(1, len(vehicles.CAR_COLORS))] + 0.08
    parts, length = [], rng.uniform(8, 11)
    for n in range(cars):
        x = (n - (cars - 1) / 2) * (length + 0.5)
        parts += [
            surface(box((length, 2.4, 2.7), (x, 0, 0.4 + 1.35)), label, Material.PAINT, color),
            surface(box((length - 0.4, 2.43, 1.0), (x, 0, 2.1)), label, Material.GLASS, (0.05, 0.06, 0.07)),
            surface(box((length + 0.04, 2.0, 1.2), (x, 0, 2.0)), label, Material.GLASS, (0.05, 0.06, 0.07)),
            surface(box((length * 0.5, 2.0, 0.35), (x, 0, 0.2)), label, Material.METAL, (0.05, 0.05, 0.05)),
            surface(box((length * 0.5, 1.4, 0.35), (x, 0, 3.25)), label, Material.METAL, (0.3, 0.3, 0.3)),
        ]
    joint = box(((cars - 1) * (length + 0.5), 1.9, 2.4), (0, 0, 1.7))
    return join([*parts, surface(joint, label, Material.RUBBER, (0.06, 0.06, 0.06))])


def shelter(rng) -> Mesh:
    """A bus stop's shelter along x, open to -y, with people who wait."""
    length, dark = rng.uniform(3, 5), (0.12, 0.13, 0.14)
    parts = [
        surface(box((length, 1.5, 0.1), (0, 0, 2.4)), OTHER_STRUCTURE, Material.METAL, dark),
        surface(box((length, 0.03, 2.0), (0, 0.7, 1.2)), OTHER_STRUCTURE, Material.GLASS, (0.25, 0.3, 0.32)),
        surface(box((length * 0.6, 0.4, 0.06), (0, 0.4, 0.45)), OTHER_STRUCTURE, Material.WOOD, (0.3, 0.2, 0.12)),
    ]
    for x in (-length / 2, length / 2):
        parts.append(surface(box((0.08, 0.08, 2.4), (x, 0.7, 1.2)), OTHER_STRUCTURE, Material.METAL, dark))
    for n in range(int(rng.integers(0, 4))):
        parts.append(people.person(rng).tagged(instance=0).placed((n - 1.2, -0.2, 0), rng.uniform(0, 6)))
    return join(parts)


def stall(rng) -> Mesh:
    """A market stall along x: roof of cloth on poles, a table of goods."""
    length, depth, cloth = rng.uniform(2.5, 6), rng.uniform(2, 3), rng.uniform(0.15, 0.75, 3)
    parts = [
        surface(box((length + 0.4, depth + 0.6, 0.06), (0, 0, 2.5)), OTHER_STRUCTURE, Material.CLOTH, cloth),
        surface(box((length, 1.0, 0.8), (0, -depth / 2 + 0.5, 0.4)), OTHER_OBJECT, Material.WOOD, (0.35, 0.25, 0.15)),
    ]
    for x in (-length / 2, length / 2):
        for y in (-depth / 2, depth / 2):
            pole = beam((x, y, 0), (x, y, 2.5), 0.035, sides=5)
            parts.append(surface(pole, OTHER_STRUCTURE, Material.METAL, (0.5, 0.5, 0.5)))
    for x in np.arange(-length / 2 + 0.3, length / 2, 0.5):
        goods = ellipsoid((0.22, 0.4, 0.14), (x, -depth / 2 + 0.5, 0.85))
        parts.append(surface(goods, OTHER_OBJECT, Material.CLOTH, rng.uniform(0.05, 0.6, 3)))
    return join(parts)


def construction(rng, length: float) -> Mesh:
    """A construction site along x from 0 to `length`, to the left of y = 0: barriers, cones, earth, digger, hut."""
    parts, earth = [], np.array((0.3, 0.23, 0.16)) * rng.uniform(0.7, 1.2)
    for n, x in enumerate(np.arange(0.8, length - 0.8, 1.7)):
        if rng.random() < 0.8:
            parts.append(_barrier().placed((x, 0, 0), rng.normal(0, 0.1)))
        elif n % 2:
            parts.append(_cone().placed((x, -0.2, 0)))
    for _ in range(int(rng.integers(1, 4))):
        size = rng.uniform((0.8, 0.6, 0.4), (2.2, 1.4, 1.3))
        heap = ellipsoid(size, (rng.uniform(2, length - 2), rng.uniform(1.7, 3), 0), 10, 6)
        parts.append(surface(heap, 49, Material.GRAVEL, earth))
    if length > 9:
        parts.append(_digger(rng).placed((length * 0.6, 2.6, 0), rng.uniform(-0.3, 0.3)))
    if rng.random() < 0.5:
        hut = surface(box((4, 2.2, 2.5), (2.5, 3.4, 1.25)), BUILDING, Material.METAL, rng.uniform(0.1, 0.6, 3))
        parts.append(hut)
    return join(parts)


def _barrier() -> Mesh:
    stripes = [
        surface(box((0.3, 0.05, 0.22), (x, 0, 0.9)), FENCE, Material.SIGN, (_RED, _WHITE)[n % 2])
        for n, x in enumerate(np.arange(-0.6, 0.7, 0.3))
    ]
    low = [surface(box((1.5, 0.05, 0.12), (0, 0, 0.45)), FENCE, Material.SIGN, _WHITE)]
    feet = [surface(box((0.08, 0.5, 0.1), (x, 0, 0.05)), FENCE, Material.RUBBER, (0.05,) * 3) for x in (-0.6, 0.6)]
    posts = [surface(box((0.05, 0.05, 1.0), (x, 0, 0.5)), FENCE, Material.METAL, (0.5,) * 3) for x in (-0.6, 0.6)]
    return join([*stripes, *low, *feet, *posts])


def _cone() -> Mesh:
    parts = [surface(beam((0, 0, 0.03), (0, 0, 0.7), 0.17, 0.03, 10), OTHER_OBJECT, Material.SIGN, (0.75, 0.2, 0.03))]
    return join([*parts, surface(box((0.4, 0.4, 0.05), (0, 0, 0.025)), OTHER_OBJECT, Material.RUBBER, (0.05,) * 3)])


def _digger(rng, label=OTHER_VEHICLE) -> Mesh:
    yellow, dark = np.array((0.65, 0.42, 0.03)) * rng.uniform(0.8, 1.2), (0.05, 0.05, 0.05)
    parts = [surface(box((2.6, 0.45, 0.6), (0, y, 0.3)), label, Material.RUBBER, dark) for y in (-0.8, 0.8)]
    parts += [
        surface(box((2.2, 1.9, 0.9), (-0.4, 0, 1.15)), label, Material.PAINT, yellow),
        surface(box((1.1, 1.0, 1.2), (0.3, 0.45, 2.1)), label, Material.GLASS, (0.06, 0.07, 0.08)),
        surface(beam((0.7, -0.3, 1.3), (2.2, -0.3, 2.9), 0.2, sides=5), label, Material.PAINT, yellow),
        surface(beam((2.2, -0.3, 2.9), (3.2, -0.3, 1.0), 0.15, sides=5), label, Material.PAINT, yellow),
        surface(box((0.6, 0.8, 0.6), (3.1, -0.3, 0.6)), label, Material.METAL, dark),
    ]
    return join(parts)


def wide_tree(rng, tone, spread: float, detail=1.0) -> Mesh:
    """A tall tree whose crown reaches `spread` metres to all sides, above 3.8 m."""
    clear, bark = rng.uniform(3.4, 4.6), np.array((0.15, 0.12, 0.09)) * rng.uniform(0.7, 1.3)
    trunk, fork = rng.uniform(0.16, 0.35), np.array((0, 0, clear - 0.8))
    parts = [surface(beam((0, 0, -0.2), fork, trunk, trunk * 0.75, 8), 71, Material.BARK, bark)]
    for k in range(9):
        angle, out = k * 2.4 + rng.normal(0, 0.3), spread * (0.2 + 0.5 * np.sqrt(k / 8))
        radii = spread * rng.uniform(0.3, 0.42) * np.array((1, 1, rng.uniform(0.5, 0.75)))
        center = np.array((out * np.cos(angle), out * np.sin(angle), clear + radii[2] * rng.uniform(0.85, 2.2)))
        center[2] = max(center[2], 3.8 + radii[2])
        leaves = foliage(rng, radii, tone * rng.uniform(0.8, 1.2), 45 * detail, 0.2 / np.sqrt(detail))
        parts += [
            surface(beam(fork, center, trunk * 0.45, trunk * 0.1, 5), 71, Material.BARK, bark),
            leaves.placed(center),
        ]
    return join(parts)
