"""Cars, vans, trucks, buses and trailers, each a labelled mesh about the origin on z = 0, facing +x."""

import numpy as np

from .shapes import Material, Mesh, beam, box, extrude, join, surface

CAR_COLORS = np.array(
    [(0.03, 0.03, 0.035), (0.55, 0.56, 0.58), (0.75, 0.75, 0.74), (0.3, 0.31, 0.33), (0.05, 0.08, 0.22),
     (0.35, 0.03, 0.03), (0.1, 0.12, 0.12), (0.04, 0.2, 0.12), (0.6, 0.52, 0.36), (0.12, 0.2, 0.4)]
)  # fmt: skip
_DARK = (0.03, 0.03, 0.03)
_GLASS = (0.05, 0.06, 0.07)


def _wheels(label, xs, track, radius, width=0.2) -> list[Mesh]:
    wheels = []
    for x in xs:
        for y in (-track / 2, track / 2):
            tyre = beam((x, y - width / 2, radius), (x, y + width / 2, radius), radius, sides=12)
            hub_y = y + np.sign(y) * (width / 2 + 0.005)
            hub = beam((x, y, radius), (x, hub_y, radius), radius * 0.6, sides=8)
            wheels += [
                surface(tyre, label, Material.RUBBER, _DARK),
                surface(hub, label, Material.METAL, (0.45, 0.45, 0.47)),
            ]
    return wheels


def car(rng, label=10) -> Mesh:
    """Hatchback, saloon or estate: body with bonnet and bumpers, tapered glass cabin, lights, plate, wheels."""
    length, width, height = rng.uniform(3.7, 4.8), rng.uniform(1.66, 1.84), rng.uniform(1.4, 1.56)
    color = CAR_COLORS[rng.integers(len(CAR_COLORS))] * rng.uniform(0.8, 1.2)
    f, r, belt = length / 2, -length / 2, 0.88
    kind = rng.integers(3)
    tail = {0: 0.08, 1: 0.65, 2: 0.05}[kind]
    body = [(r + 0.03, 0.28), (f - 0.06, 0.25), (f, 0.42), (f - 0.04, 0.6), (f - 0.35, 0.73), (f - 1.2, belt),
            (r + tail, belt + 0.04), (r + 0.02, 0.75), (r, 0.45)]  # fmt: skip
    rake = {0: 0.35, 1: 0.6, 2: 0.25}[kind]
    cabin = [(f - 1.15, belt), (f - 1.85, height), (r + tail + rake, height - 0.03), (r + tail + 0.03, belt + 0.02)]
    roof = box((length - 1.95 - tail - rake, width * 0.72, 0.03), ((f - 1.85 + r + tail + rake) / 2, 0, height))
    parts = [
        surface(extrude(body, width, 0.94), label, Material.PAINT, color),
        surface(extrude(cabin, width * 0.92, 0.78), label, Material.GLASS, _GLASS),
        surface(roof, label, Material.PAINT, color),
        surface(box((0.04, 0.5, 0.11), (r - 0.01, 0, 0.62)), label, Material.PAINT, (0.75, 0.75, 0.7)),
        surface(box((0.04, 0.5, 0.11), (f + 0.01, 0, 0.42)), label, Material.PAINT, (0.75, 0.75, 0.7)),
        surface(box((length * 0.97, width * 0.9, 0.12), (0, 0, 0.24)), label, Material.RUBBER, _DARK),
    ]
    for y in (-1, 1):
        parts.append(
            surface(
                box((0.06, 0.26, 0.16), (r + 0.01, y * width * 0.37, 0.78)), label, Material.PAINT, (0.5, 0.02, 0.02)
            )
        )
        parts.append(
            surface(box((0.1, 0.3, 0.13), (f - 0.09, y * width * 0.35, 0.62)), label, Material.PAINT, (0.8, 0.8, 0.78))
        )
        parts.append(surface(box((0.12, 0.16, 0.12), (f - 1.45, y * width * 0.54, 0.97)), label, Material.PAINT, color))
        for x in (f - 1.85, (f - 1.85 + r + tail + rake) / 2 - 0.1):  # pillars between the windows
            foot, top = (x + 0.05, y * width * 0.45, belt), (x, y * width * 0.365, height)
            parts.append(surface(beam(foot, top, 0.04, sides=4), label, Material.PAINT, color))
    return join(parts + _wheels(label, (f - 0.8, r + 0.75), width - 0.2, 0.31))


def van(rng, label=20) -> Mesh:
    """Delivery van or camper."""
    length, width, height = rng.uniform(4.8, 6.2), rng.uniform(1.9, 2.1), rng.uniform(1.95, 2.6)
    color = (0.7, 0.7, 0.68) if rng.random() < 0.6 else CAR_COLORS[rng.integers(len(CAR_COLORS))]
    f, r = length / 2, -length / 2
    body = [
        (r, 0.35),
        (f - 0.05, 0.3),
        (f, 0.75),
        (f - 0.55, 1.1),
        (f - 1.2, height - 0.1),
        (f - 1.5, height),
        (r, height),
    ]
    glass = [(f - 0.52, 1.14), (f - 1.14, height - 0.15), (f - 1.17, height - 0.15), (f - 0.56, 1.14)]
    parts = [
        surface(extrude(body, width, 0.9), label, Material.PAINT, color),
        surface(extrude(glass, width * 0.84), label, Material.GLASS, _GLASS),
        surface(box((0.8, width * 0.96, 0.5), (f - 1.75, 0, 1.45)), label, Material.GLASS, _GLASS),
        surface(box((0.03, width * 0.7, 0.5), (r - 0.01, 0, height - 0.6)), label, Material.GLASS, _GLASS),
        surface(box((0.04, 0.5, 0.11), (r - 0.01, 0, 0.7)), label, Material.PAINT, (0.75, 0.75, 0.7)),
    ]
    return join(parts + _wheels(label, (f - 0.9, r + 1.0), width - 0.25, 0.34))


def truck(rng, label=18) -> Mesh:
    """Cab and cargo box, or an open bed."""
    length, height = rng.uniform(6.5, 10), rng.uniform(2.8, 3.6)
    color, cargo = CAR_COLORS[rng.integers(1, len(CAR_COLORS))], rng.uniform(0.2, 0.75) * rng.uniform(0.85, 1, 3)
    f, r = length / 2, -length / 2
    bed = rng.random() < 0.3
    cab = [(f - 1.9, 0.5), (f, 0.45), (f, 1.3), (f - 0.15, 2.5), (f - 0.3, 2.65), (f - 1.9, 2.65)]
    parts = [
        surface(extrude(cab, 2.3, 0.95), label, Material.PAINT, color),
        surface(box((0.05, 2.0, 0.8), (f - 0.06, 0, 1.85)), label, Material.GLASS, _GLASS),
        surface(box((0.7, 2.26, 0.6), (f - 0.9, 0, 1.9)), label, Material.GLASS, _GLASS),
        surface(box((length - 0.6, 1.0, 0.25), (-0.2, 0, 0.75)), label, Material.METAL, _DARK),
    ]
    if bed:
        parts.append(surface(box((length - 2.1, 2.4, 0.15), (-1.05, 0, 1.0)), label, Material.WOOD, (0.3, 0.22, 0.15)))
        for y in (-1.18, 1.18):
            parts.append(surface(box((length - 2.1, 0.05, 0.55), (-1.05, y, 1.3)), label, Material.PAINT, cargo))
    else:
        size = (length - 2.1, 2.4, height - 0.95)
        parts.append(surface(box(size, (-1.05, 0, 0.95 + size[2] / 2)), label, Material.PAINT, cargo))
    return join(parts + _wheels(label, (f - 1.0, r + 1.1, r + 2.2), 2.0, 0.48, 0.3))


def bus(rng, label=13) -> Mesh:
    """City bus: one long body with a window band."""
    length, color = rng.uniform(9, 12), CAR_COLORS[rng.integers(1, len(CAR_COLORS))] * 0.8 + 0.08
    parts = [
        surface(box((length, 2.5, 2.65), (0, 0, 0.35 + 1.325)), label, Material.PAINT, color),
        surface(box((length - 0.6, 2.53, 0.95), (0, 0, 1.95)), label, Material.GLASS, _GLASS),
        surface(box((length + 0.04, 2.2, 1.2), (0, 0, 1.9)), label, Material.GLASS, _GLASS),
    ]
    return join(parts + _wheels(label, (length / 2 - 2.2, -length / 2 + 2.8), 2.35, 0.48, 0.28))


def trailer(rng, label=20) -> Mesh:
    """Parked car trailer or caravan."""
    if rng.random() < 0.5:
        body = [(-2.4, 0.5), (2.3, 0.5), (2.5, 1.2), (2.1, 2.4), (-2.4, 2.4)]
        parts = [
            surface(extrude(body, 2.1, 0.97), label, Material.PAINT, (0.75, 0.74, 0.7)),
            surface(box((1.1, 2.12, 0.5), (0.2, 0, 1.7)), label, Material.GLASS, _GLASS),
        ]
    else:
        parts = [surface(box((2.4, 1.4, 0.5), (0, 0, 0.75)), label, Material.METAL, (0.4, 0.41, 0.4))]
    parts.append(surface(beam((2.3, 0, 0.45), (3.2, 0, 0.42), 0.05), label, Material.METAL, _DARK))
    return join(parts + _wheels(label, (-0.1,), 1.7, 0.3))
