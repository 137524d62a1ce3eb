"""Trees, bushes and hedges: clouds of small triangles that rays enter, as they do real leaves."""

import numpy as np

from .shapes import Material, Mesh, beam, box, facets, join, surface


def _leaf_colors(rng, count, tone, depth):
    """Leaves: one tone, darker inside the crown."""
    light = rng.uniform(0.55, 1.25, (count, 1)) * (0.35 + 0.65 * depth[:, None])
    return tone * light * rng.uniform(0.9, 1.1, (count, 3))


def _clump(rng, count):
    """Points in the unit ball, somewhat denser towards its skin; returns them and their radii."""
    direction = rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    radius = rng.random(count) ** 0.27
    return direction * radius[:, None], radius


def foliage(rng, radii, tone, density=120, leaf=0.12, label=70) -> Mesh:
    """A mass of leaves about the origin, `density` in a cubic metre: rays enter some decimetres before they hit."""
    radii = np.asarray(radii, float)
    points, depth = _clump(rng, max(int(4.19 * radii.prod() * density), 24))
    shape = facets(rng, points * radii, leaf * rng.uniform(0.6, 1.3, (len(points), 1, 1)))
    shade = (depth**2) * (0.75 + 0.25 * points[:, 2])
    return surface(shape, label, Material.LEAVES, _leaf_colors(rng, len(points), tone, shade))


def tree(rng, tone, detail=1.0, clear=None) -> Mesh:
    """Trunk (71) with a few boughs and a crown (70) of several leafy masses, none below 0.8 of the `clear` height."""
    height = rng.uniform(3.5, 10) if clear is None else rng.uniform(6, 10)
    if clear is None:
        clear = rng.uniform(0.8, 2.2) if height < 7 else rng.uniform(1.4, 2.8)
    spread, trunk = height * rng.uniform(0.24, 0.36), 0.04 + height * rng.uniform(0.01, 0.019)
    bark = np.array((0.16, 0.12, 0.09)) * rng.uniform(0.7, 1.4)
    fork = np.array((rng.normal(0, 0.15), rng.normal(0, 0.15), clear))
    parts = [surface(beam((0, 0, -0.2), fork, trunk, trunk * 0.75, 8), 71, Material.BARK, bark)]
    for k in range(int(rng.integers(6, 11))):
        angle, out = rng.uniform(0, 2 * np.pi), spread * rng.uniform(0.2, 0.75)
        up = clear + (height - clear) * rng.uniform(0.22, 0.8)
        center = np.array((out * np.cos(angle), out * np.sin(angle), up))
        radii = spread * rng.uniform(0.35, 0.65) * np.array((1, 1, rng.uniform(0.7, 1.0)))
        radii[2] = min(radii[2], up - clear * 0.8)
        leaves = foliage(rng, radii, tone * rng.uniform(0.8, 1.2), 110 * detail, 0.13 / np.sqrt(detail))
        if k < 5:
            parts.append(surface(beam(fork, center, trunk * 0.45, trunk * 0.12, 5), 71, Material.BARK, bark))
        parts.append(leaves.placed(center))
    return join(parts)


def conifer(rng, tone, detail=1.0) -> Mesh:
    """Pointed evergreen, leafy nearly to the ground."""
    height = rng.uniform(2.5, 9)
    radius, base = height * rng.uniform(0.17, 0.28), rng.uniform(0.0, 0.4)
    count = int(radius**2 * height * 1.05 * 170 * detail)
    up = 1 - rng.random(count) ** (1 / 3)
    angle, depth = rng.uniform(0, 2 * np.pi, count), rng.random(count) ** 0.4
    out = radius * (1 - up) * depth * (0.8 + 0.3 * np.sin(up * height * 7)) + 0.05
    points = np.stack([out * np.cos(angle), out * np.sin(angle), base + up * (height - base)], 1)
    shape = facets(rng, points, 0.12 / np.sqrt(detail))
    leaves = surface(shape, 70, Material.LEAVES, _leaf_colors(rng, count, tone * 0.8, depth**2))
    stem = beam((0, 0, -0.2), (0, 0, base + height * 0.4), 0.03 + height * 0.014, 0.03, 6)
    return join([surface(stem, 71, Material.BARK, (0.14, 0.11, 0.08)), leaves])


def bush(rng, tone, size=None, detail=1.0) -> Mesh:
    """A round bush, leafy down to the ground."""
    size = rng.uniform(0.3, 1.2) if size is None else size
    radii = size * np.array((rng.uniform(0.8, 1.4), rng.uniform(0.8, 1.4), rng.uniform(0.7, 1.1)))
    leaves = foliage(rng, radii, tone, 260 * detail, 0.09 / np.sqrt(detail))
    return leaves.placed((0, 0, radii[2] * 0.75))


def shrubs(rng, tone, detail=1.0) -> Mesh:
    """A thicket of overlapping bushes, some metres across."""
    length, depth, parts = rng.uniform(1.5, 4), rng.uniform(0.6, 1.5), []
    for _ in range(int(length * depth * 1.1) + 2):
        radii = np.array((rng.uniform(0.6, 1.2), rng.uniform(0.6, 1.2), rng.uniform(0.4, 1.4)))
        leaves = foliage(rng, radii, tone * rng.uniform(0.75, 1.25), 130 * detail, 0.115 / np.sqrt(detail))
        parts.append(leaves.placed((rng.uniform(-length, length), rng.uniform(-depth, depth), radii[2] * 0.7)))
    return join(parts)


def hedge(rng, tone, length, height, depth, detail=1.0) -> Mesh:
    """Clipped hedge along x, from 0 to `length`."""
    count = int(length * (2 * height + depth) * 75 * detail)
    x, up = rng.uniform(0, length, count), rng.random(count)
    wave = 1 + 0.1 * np.sin(x * 2.1 + height) + 0.07 * np.sin(x * 5.3)
    # Distance from the skin, then a place on the section's outline: left flank, top, right flank.
    inward = rng.random(count) ** 1.6 * 0.35
    place = rng.uniform(0, 2 * height + depth, count)
    left, top = place < height, (place >= height) & (place < height + depth)
    y = np.where(left, depth / 2 - inward, np.where(top, place - height - depth / 2, inward - depth / 2)) * wave
    z = np.where(top, height - inward, up * height) * (1 + 0.04 * np.sin(x * 3.7))
    shade = (0.45 + 0.55 * z / height) * (1 - inward)
    shape = facets(rng, np.stack([x, y, z], 1), 0.1 / np.sqrt(detail))
    leaves = surface(shape, 70, Material.LEAVES, _leaf_colors(rng, count, tone, shade))
    core = box((max(length - 0.5, 0.2), depth * 0.3, height * 0.8), (length / 2, 0, height * 0.4))
    return join([leaves, surface(core, 70, Material.LEAVES, tone * 0.15)])
