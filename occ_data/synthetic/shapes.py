"""Labelled triangle meshes and the primitives that the street is built from."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np


class Material(IntEnum):
    """What a surface is made of: how it looks in the image and what the LiDAR returns from it."""

    ASPHALT = 0
    PAVING = 1
    COBBLES = 2
    GRASS = 3
    GRAVEL = 4
    PLASTER = 5
    BRICK = 6
    ROOF = 7
    LEAVES = 8
    BARK = 9
    METAL = 10
    PAINT = 11
    GLASS = 12
    RUBBER = 13
    WOOD = 14
    CLOTH = 15
    SIGN = 16
    CONCRETE = 17


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles with, for each face, a raw SemanticKITTI id, an instance, a material and a colour.

    vertices : (V, 3) float32 metres; uv : (V, 2) float32 metres along the surface (ground: s and d)
    faces : (F, 3) int32; label : (F,) uint16; instance : (F,) uint16; material : (F,) uint8
    color : (F, 3) float32 0..1
    """

    vertices: np.ndarray
    uv: np.ndarray
    faces: np.ndarray
    label: np.ndarray
    instance: np.ndarray
    material: np.ndarray
    color: np.ndarray

    def placed(self, position, yaw=0.0, pitch=0.0) -> "Mesh":
        """Turned by `pitch` (nose up), then `yaw` (to the left), then moved to `position`, radians and metres."""
        cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
        rotation = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]]) @ np.array([[cp, 0, -sp], [0, 1, 0], [sp, 0, cp]])
        vertices = self.vertices @ rotation.T.astype(np.float32) + np.asarray(position, np.float32)
        return Mesh(vertices, self.uv, self.faces, self.label, self.instance, self.material, self.color)

    def tagged(self, label=None, instance=None) -> "Mesh":
        """The same shape under another raw id or instance."""
        labels = self.label if label is None else np.full_like(self.label, label)
        instances = self.instance if instance is None else np.full_like(self.instance, instance)
        return Mesh(self.vertices, self.uv, self.faces, labels, instances, self.material, self.color)


def surface(shape, label, material, color) -> Mesh:
    """A mesh of a shape (vertices, faces, uv) with label and material; `color` is (3,) or one a face (F, 3)."""
    vertices, faces, uv = shape
    count = len(faces)
    return Mesh(
        np.asarray(vertices, np.float32),
        np.asarray(uv, np.float32),
        np.asarray(faces, np.int32),
        np.full(count, label, np.uint16),
        np.zeros(count, np.uint16),
        np.full(count, material, np.uint8),
        np.broadcast_to(np.asarray(color, np.float32), (count, 3)).copy(),
    )


def join(meshes: list[Mesh]) -> Mesh:
    """One mesh of many."""
    offsets = np.cumsum([0] + [len(m.vertices) for m in meshes[:-1]])
    stack = {
        name: np.concatenate([getattr(m, name) for m in meshes])
        for name in ("vertices", "uv", "label", "instance", "material", "color")
    }
    faces = np.concatenate([m.faces + np.int32(o) for m, o in zip(meshes, offsets, strict=True)])
    return Mesh(
        stack["vertices"], stack["uv"], faces, stack["label"], stack["instance"], stack["material"], stack["color"]
    )


def quads(corners):
    """(N, 4, 3) corners in order -> shape whose uv are metres along the first edge and along the last."""
    corners = np.asarray(corners, float)
    n = len(corners)
    width = np.linalg.norm(corners[:, 1] - corners[:, 0], axis=1)
    height = np.linalg.norm(corners[:, 3] - corners[:, 0], axis=1)
    zero = np.zeros(n)
    uv = np.stack([zero, zero, width, zero, width, height, zero, height], -1).reshape(-1, 2)
    faces = (np.arange(n)[:, None, None] * 4 + np.array([[0, 1, 2], [0, 2, 3]])).reshape(-1, 3)
    return corners.reshape(-1, 3), faces, uv


def box(size, center=(0, 0, 0)):
    """Axis-aligned box; the sides' uv are (metres along, metres up)."""
    x, y, z = np.asarray(size, float) / 2
    a = np.array([[-x, -y, -z], [x, -y, -z], [x, y, -z], [-x, y, -z], [-x, -y, z], [x, -y, z], [x, y, z], [-x, y, z]])
    a = a + np.asarray(center, float)
    sides = [(0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7), (4, 5, 6, 7), (3, 2, 1, 0)]
    return quads(a[np.array(sides)])


def extrude(profile, width, top=None):
    """Side profile (N, 2) of (x, z), star-shaped, drawn out over y by `width`.

    `top` narrows it: y is scaled by a factor that falls from 1 at the lowest point to `top` at the highest.
    """
    profile = np.asarray(profile, float)
    n = len(profile)
    z = profile[:, 1]
    rise = (z - z.min()) / max(z.max() - z.min(), 1e-6)
    half = width / 2 * (1 - (1 - (1.0 if top is None else top)) * rise)
    left = np.stack([profile[:, 0], half, z], 1)
    right = left * (1, -1, 1)
    after = np.roll(np.arange(n), -1)
    corners = np.stack([left, left[after], right[after], right], 1)
    vertices, faces, uv = quads(corners)
    for side in (left, right):
        middle = side.mean(0)
        fan = np.stack([np.broadcast_to(middle, side.shape), side, side[after]], 1).reshape(-1, 3)
        faces = np.concatenate([faces, np.arange(3 * n).reshape(-1, 3) + len(vertices)])
        vertices = np.concatenate([vertices, fan])
        uv = np.concatenate([uv, fan[:, [0, 2]]])
    return vertices, faces, uv


def beam(start, end, radius, end_radius=None, sides=6):
    """Round bar between two points, closed at the far end."""
    start, end = np.asarray(start, float), np.asarray(end, float)
    axis = end - start
    length = np.linalg.norm(axis)
    axis = axis / length
    u = np.cross(axis, (0, 0, 1) if abs(axis[2]) < 0.9 else (1, 0, 0))
    u /= np.linalg.norm(u)
    angle = 2 * np.pi * np.arange(sides) / sides
    ring = np.cos(angle)[:, None] * u + np.sin(angle)[:, None] * np.cross(axis, u)
    a, b = start + ring * radius, end + ring * (radius if end_radius is None else end_radius)
    after = np.roll(np.arange(sides), -1)
    vertices, faces, uv = quads(np.stack([a, a[after], b[after], b], 1))
    cap = np.stack([np.broadcast_to(end, b.shape), b, b[after]], 1).reshape(-1, 3)
    faces = np.concatenate([faces, np.arange(3 * sides).reshape(-1, 3) + len(vertices)])
    return np.concatenate([vertices, cap]), faces, np.concatenate([uv, np.zeros((3 * sides, 2))])


def ellipsoid(radii, center=(0, 0, 0), sides=8, rings=5):
    """Closed round body."""
    theta = np.linspace(0, np.pi, rings + 1)[:, None]
    phi = 2 * np.pi * np.arange(sides + 1) / sides
    points = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta) * np.ones_like(phi)], -1)
    points = points * radii + center
    return quads(np.stack([points[:-1, :-1], points[1:, :-1], points[1:, 1:], points[:-1, 1:]], 2).reshape(-1, 4, 3))


def annulus(center, inner, outer, sides=14):
    """Flat ring in the x-z plane (a bicycle's wheel)."""
    angle = 2 * np.pi * np.arange(sides + 1) / sides
    ring = np.stack([np.cos(angle), np.zeros_like(angle), np.sin(angle)], 1)
    a, b = center + ring * inner, center + ring * outer
    return quads(np.stack([a[:-1], a[1:], b[1:], b[:-1]], 1))


def _random_triangles(count):
    spokes = np.random.default_rng(0).normal(size=(count, 3, 3)).astype(np.float32)
    spokes -= spokes.mean(1, keepdims=True)
    return spokes / np.linalg.norm(spokes, axis=2, keepdims=True)


_TRIANGLES = _random_triangles(4096)  # picking from these is far quicker than drawing millions


def facets(rng, centers, radius):
    """One small triangle of random orientation at every centre: leaves."""
    n = len(centers)
    spokes = _TRIANGLES[rng.integers(len(_TRIANGLES), size=n)] * np.float32(radius)
    vertices = (np.asarray(centers, np.float32)[:, None] + spokes).reshape(-1, 3)
    return vertices, np.arange(3 * n).reshape(-1, 3), vertices[:, :2] + vertices[:, 2:]
