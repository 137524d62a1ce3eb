"""Buildings, fences, lamps and signs, each a labelled mesh."""

from itertools import pairwise

import numpy as np

from .shapes import Material, Mesh, beam, box, extrude, join, quads, surface


def lamp(rng) -> Mesh:
    """Street lamp."""
    height, arm, grey = rng.uniform(4.5, 8), rng.uniform(0, 1.6), np.array((0.4, 0.42, 0.4)) * rng.uniform(0.6, 1.1)
    parts = [
        surface(beam((0, 0, -0.1), (0, 0, 1.0), 0.09, sides=8), 80, Material.METAL, grey),
        surface(beam((0, 0, 1.0), (0, 0, height), 0.065, 0.05, 8), 80, Material.METAL, grey),
        surface(beam((0, 0, height), (arm + 0.05, 0, height + 0.1), 0.04), 80, Material.METAL, grey),
        surface(box((0.6, 0.25, 0.12), (arm + 0.2, 0, height + 0.1)), 80, Material.METAL, (0.7, 0.7, 0.68)),
    ]
    return join(parts)


def traffic_sign(rng) -> Mesh:
    """Plate (81) on a pole (80), its face towards -x (to somebody driving along +x)."""
    height, grey = rng.uniform(2.2, 3.0), (0.45, 0.46, 0.47)
    kind = rng.integers(4)
    parts = [surface(beam((0, 0, -0.1), (0, 0, height), 0.04, sides=7), 80, Material.METAL, grey)]
    red, white, blue, yellow = (0.6, 0.03, 0.03), (0.85, 0.85, 0.85), (0.03, 0.12, 0.5), (0.85, 0.65, 0.05)
    x = -0.07
    if kind == 0:
        parts.append(
            surface(beam((x + 0.02, 0, height - 0.35), (x, 0, height - 0.35), 0.34, sides=16), 81, Material.SIGN, red)
        )
        parts.append(
            surface(beam((x, 0, height - 0.35), (x - 0.01, 0, height - 0.35), 0.25, sides=16), 81, Material.SIGN, white)
        )
    elif kind == 1:
        size = rng.uniform(0.45, 0.7)
        parts.append(surface(box((0.02, size, size), (x, 0, height - 0.35)), 81, Material.SIGN, blue))
        parts.append(
            surface(box((0.02, size * 0.3, size * 0.6), (x - 0.005, 0, height - 0.35)), 81, Material.SIGN, white)
        )
    elif kind == 2:
        plate = np.array([[x, -0.45, height - 0.7], [x, 0.45, height - 0.7], [x, 0, height + 0.05]])
        parts.append(surface((plate, [(0, 1, 2)], plate[:, 1:]), 81, Material.SIGN, red))
        middle = plate.mean(0)
        parts.append(
            surface(
                (middle + (plate - middle) * 0.62 - (0.01, 0, 0), [(0, 1, 2)], plate[:, 1:]), 81, Material.SIGN, white
            )
        )
    else:
        size = (0.03, rng.uniform(0.8, 1.8), rng.uniform(0.35, 0.9))
        parts.append(
            surface(box(size, (x, 0, height - size[2] / 2)), 81, Material.SIGN, yellow if rng.random() < 0.5 else white)
        )
    return join(parts)


def fence(rng, length, height, kind) -> Mesh:
    """Along x from 0 to `length`; kind 0 wooden slats, 1 metal railing, 2 low wall, 3 guard rail, 4 mesh with posts."""
    label = 51
    if kind == 2:
        color = rng.uniform(0.35, 0.65) * np.array((1, 0.97, 0.92))
        return surface(box((length, 0.22, height), (length / 2, 0, height / 2)), label, Material.CONCRETE, color)
    posts = np.arange(0, length, 2.0)
    if kind == 3:
        grey = (0.5, 0.51, 0.52)
        parts = [surface(box((0.08, 0.12, 0.7), (x, -0.06, 0.35)), label, Material.METAL, grey) for x in posts]
        profile = [(0.45, 0), (0.5, 0.05), (0.57, 0.0), (0.63, 0.0), (0.7, 0.05), (0.76, 0)]
        strip = [
            [(0, y0, z0), (length, y0, z0), (length, y1, z1), (0, y1, z1)] for (z0, y0), (z1, y1) in pairwise(profile)
        ]
        return join([*parts, surface(quads(strip), label, Material.METAL, grey)])
    if kind == 0:
        color, material, width, pitch = (
            rng.uniform(0.1, 0.45) * np.array((1, 0.78, 0.55)),
            Material.WOOD,
            0.1,
            rng.uniform(0.13, 0.17),
        )
    else:
        color, material, width, pitch = (
            rng.uniform(0.03, 0.3) * np.ones(3),
            Material.METAL,
            0.025,
            0.12 if kind == 1 else 0.3,
        )
    parts = [surface(box((0.09, 0.09, height), (x, 0, height / 2)), label, material, color) for x in posts]
    parts += [
        surface(box((length, 0.04, 0.07), (length / 2, 0.03, height * z)), label, material, color) for z in (0.2, 0.85)
    ]
    x = np.arange(pitch / 2, length, pitch)
    slats = np.zeros((len(x), 4, 3))
    slats[:, :, 0] = x[:, None] + np.array((-1, 1, 1, -1)) * width / 2
    slats[:, :, 2] = np.array((0.06, 0.06, 1, 1)) * height
    return join([*parts, surface(quads(slats), label, material, color)])


def house(rng, width, depth, height, pitched=True) -> Mesh:
    """Building with its front along x from 0 to `width`, reaching `depth` to +y (away from the street)."""
    brick = rng.random() < 0.2
    wall = (
        np.array((0.42, 0.22, 0.16))
        if brick
        else np.array((0.78, 0.75, 0.68)) * rng.uniform(0.65, 1.05) * (1, rng.uniform(0.9, 1), rng.uniform(0.72, 1))
    )
    material = Material.BRICK if brick else Material.PLASTER
    tiles = np.array((0.42, 0.14, 0.08)) * rng.uniform(0.5, 1.1) if rng.random() < 0.7 else np.array((0.12, 0.12, 0.13))
    body = surface(box((width, depth, height + 1), (width / 2, depth / 2, (height - 1) / 2)), 50, material, wall)
    # The box starts a metre below the ground so that slopes leave no gap; windows count from the ground.
    body.uv[:, 1] -= 1.0
    parts = [body]
    if pitched:
        rise, over = depth * rng.uniform(0.3, 0.5), 0.4
        gable = [(-over, height - 0.1), (depth / 2, height + rise), (depth + over, height - 0.1)]
        vertices, faces, uv = extrude(np.array(gable), width + 2 * over)
        roof = (np.stack([vertices[:, 1] + width / 2, vertices[:, 0], vertices[:, 2]], 1), faces, uv)
        parts.append(surface(roof, 50, Material.ROOF, tiles))
        chimney = box((0.5, 0.5, 1.6), (width * rng.uniform(0.2, 0.8), depth * 0.4, height + rise * 0.8 + 0.4))
        parts.append(surface(chimney, 50, Material.BRICK, (0.3, 0.17, 0.13)))
    if rng.random() < 0.4:
        x = width * rng.uniform(0.25, 0.75)
        balcony = box((2.4, 1.1, 0.9), (x, -0.55, min(3.6, height - 1.2)))
        parts.append(surface(balcony, 50, Material.CONCRETE, wall * 0.8))
    door = box((1.0, 0.08, 2.1), (width * rng.uniform(0.3, 0.7), -0.02, 1.05))
    parts.append(surface(door, 50, Material.WOOD, rng.uniform(0.08, 0.4, 3)))
    return join(parts)
