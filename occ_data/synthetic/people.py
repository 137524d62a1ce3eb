"""People, bicycles and motorcycles, each a labelled mesh about the origin on z = 0, facing +x."""

import numpy as np

from .shapes import Material, Mesh, annulus, beam, box, ellipsoid, join, surface
from .vehicles import CAR_COLORS

_DARK = (0.03, 0.03, 0.03)


def _cloth(rng, brightest):
    return rng.uniform(0.03, brightest) * rng.uniform(0.55, 1, 3)


def bicycle(rng, label=11) -> Mesh:
    """Two wheels, frame, fork, handlebar and saddle."""
    color = rng.uniform(0.02, 0.5, 3)
    rear, front, pedal = (-0.52, 0, 0.34), (0.52, 0, 0.34), (-0.08, 0, 0.3)
    seat, head = (-0.2, 0, 0.92), (0.36, 0, 0.95)
    bars = [(rear, seat), (seat, pedal), (pedal, head), (rear, pedal), (seat, head), (head, front)]
    parts = [surface(beam(a, b, 0.025, sides=4), label, Material.METAL, color) for a, b in bars]
    parts += [surface(annulus(np.array(c), 0.29, 0.35), label, Material.RUBBER, _DARK) for c in (rear, front)]
    parts.append(surface(beam((0.3, -0.28, 1.05), (0.3, 0.28, 1.05), 0.025, sides=4), label, Material.METAL, _DARK))
    parts.append(surface(beam(head, (0.3, 0, 1.05), 0.02, sides=4), label, Material.METAL, _DARK))
    parts.append(surface(box((0.26, 0.15, 0.07), (-0.22, 0, 0.96)), label, Material.RUBBER, _DARK))
    return join(parts)


def motorcycle(rng, label=15) -> Mesh:
    """Road motorcycle or scooter."""
    color = CAR_COLORS[rng.integers(len(CAR_COLORS))]
    parts = []
    for x in (-0.68, 0.7):
        parts.append(surface(beam((x, -0.07, 0.31), (x, 0.07, 0.31), 0.31, sides=12), label, Material.RUBBER, _DARK))
    parts += [
        surface(ellipsoid((0.35, 0.17, 0.2), (0.18, 0, 0.78)), label, Material.PAINT, color),
        surface(ellipsoid((0.4, 0.2, 0.22), (0, 0, 0.48)), label, Material.METAL, (0.15, 0.15, 0.16)),
        surface(box((0.75, 0.26, 0.12), (-0.42, 0, 0.78)), label, Material.RUBBER, _DARK),
        surface(beam((0.7, 0, 0.31), (0.42, 0, 1.0), 0.06, sides=5), label, Material.METAL, (0.3, 0.3, 0.3)),
        surface(beam((0.4, -0.36, 1.03), (0.4, 0.36, 1.03), 0.03, sides=5), label, Material.METAL, _DARK),
        surface(ellipsoid((0.12, 0.14, 0.15), (0.56, 0, 0.88)), label, Material.PAINT, color),
    ]
    return join(parts)


def person(rng, label=30) -> Mesh:
    """Pedestrian."""
    height, stride = rng.uniform(0.9, 1.08), rng.uniform(0.05, 0.28)
    coat, trousers, skin = _cloth(rng, 0.6), _cloth(rng, 0.2), np.array((0.55, 0.38, 0.3))
    parts = []
    for side in (-1, 1):
        foot, hip = (side * stride, side * 0.1, 0.05), (0, side * 0.1, 0.88)
        parts.append(surface(beam(foot, hip, 0.07, 0.1), label, Material.CLOTH, trousers))
        hand, shoulder = (-side * stride * 0.8, side * 0.27, 0.82), (0, side * 0.21, 1.4)
        parts.append(surface(beam(hand, shoulder, 0.045, 0.06), label, Material.CLOTH, coat))
        parts.append(
            surface(box((0.24, 0.09, 0.08), (side * stride + 0.05, side * 0.1, 0.04)), label, Material.RUBBER, _DARK)
        )
    parts.append(surface(ellipsoid((0.15, 0.22, 0.36), (0, 0, 1.16)), label, Material.CLOTH, coat))
    parts.append(surface(ellipsoid((0.1, 0.09, 0.13), (0.01, 0, 1.62)), label, Material.CLOTH, skin))
    parts.append(
        surface(ellipsoid((0.105, 0.1, 0.1), (-0.02, 0, 1.67)), label, Material.CLOTH, rng.uniform(0.02, 0.25, 3))
    )
    body = join(parts)
    return Mesh(
        body.vertices * np.float32(height), body.uv, body.faces, body.label, body.instance, body.material, body.color
    )


def _rider(rng, label, hip, lean, grip) -> list[Mesh]:
    coat, trousers = _cloth(rng, 0.6), _cloth(rng, 0.2)
    hip, grip = np.array(hip), np.array(grip)

    def limb(start, end, *radii, color):
        return surface(beam(start, end, *radii), label, Material.CLOTH, color)

    def beside(point, x, y, z):
        return np.add(point, (x, y, z))

    shoulder = beside(hip, lean, 0, 0.52)
    parts = [surface(beam(hip, shoulder, 0.17, 0.19, 8), label, Material.CLOTH, coat)]
    for side in (-1, 1):
        knee = beside(hip, 0.38, side * 0.14, -0.12)
        foot = beside(hip, 0.16 + 0.08 * side, side * 0.13, -0.58)
        parts += [
            limb(beside(hip, 0, side * 0.09, 0), knee, 0.09, 0.07, color=trousers),
            limb(knee, foot, 0.065, 0.06, color=trousers),
            limb(beside(shoulder, 0, side * 0.18, -0.06), beside(grip, 0, side * 0.25, 0), 0.055, 0.045, color=coat),
        ]
    head = ellipsoid((0.12, 0.11, 0.15), beside(shoulder, 0.06, 0, 0.22))
    return [*parts, surface(head, label, Material.CLOTH, rng.uniform(0.05, 0.6, 3))]


def bicyclist(rng, label=31) -> Mesh:
    """Rider and bicycle in one, as SemanticKITTI labels them."""
    return join([bicycle(rng, label), *_rider(rng, label, (-0.2, 0, 0.98), 0.2, (0.3, 0, 1.07))])


def motorcyclist(rng, label=32) -> Mesh:
    """Rider and motorcycle in one."""
    return join([motorcycle(rng, label), *_rider(rng, label, (-0.35, 0, 0.86), 0.22, (0.4, 0, 1.05))])
