"""Collects a street's meshes: placing objects, rows along the street, plants; and the street's style."""

from itertools import pairwise

import numpy as np

from . import plants, structures
from .ground import Ground, Side
from .path import Path
from .shapes import Mesh

SIDES = (-1, 1)
"""Sign of the offset d of the right and of the left side."""


class Canvas:
    """Collects the meshes of one street.

    style : "residential", "urban" or "country"; start, end : arc lengths of the world; length : of the drive
    half : half the road's width
    """

    def __init__(self, rng: np.random.Generator, style: str, path: Path, ground: Ground, end: float, length: float):
        self.rng, self.style, self.path, self.ground = rng, style, path, ground
        self.start, self.end, self.length = path.s[0], end, length
        self.half = ground.sides[0].road
        self.leaf = np.array((0.13, 0.2, 0.045)) * rng.uniform(0.7, 1.3)
        self.leaf *= rng.uniform((0.8, 0.9, 0.8), (1.5, 1.1, 1.2))
        self.parts: list[Mesh] = []
        self.instances = 0

    def next_instance(self) -> int:
        """A number for one more thing that can be counted."""
        self.instances += 1
        return self.instances

    def put(self, mesh: Mesh, s: float, d: float, turn: float = 0.0, thing: bool = False) -> None:
        """Stand a mesh on the ground at (s, d), `turn` radians to the left of the street's direction."""
        if thing:
            mesh = mesh.tagged(instance=self.next_instance())
        self.parts.append(mesh.placed(self.ground.at(s, d), self.path.yaw(s) + turn))

    def span(self, mesh_of, begin: tuple[float, float], end: tuple[float, float]) -> None:
        """Put `mesh_of(length)`, which lies along +x, on the ground between two places (s, d)."""
        a, b = self.ground.at(*begin), self.ground.at(*end)
        run = b - a
        flat = np.hypot(run[0], run[1])
        self.parts.append(mesh_of(flat).placed(a, np.arctan2(run[1], run[0]), np.arctan2(run[2], flat)))

    def along(self, mesh_of, s0: float, s1: float, d: float, piece: float = 5.0) -> None:
        """A fence or hedge at offset d from s0 to s1, in pieces that follow curve and slope."""
        edges = np.linspace(s0, s1, max(int(np.ceil((s1 - s0) / piece)), 1) + 1)
        for a, b in pairwise(edges):
            self.span(mesh_of, (a, d), (b, d))

    def fence(self, s0: float, s1: float, d: float, height: float, kind: int) -> None:
        """A fence along the street; kinds as in `structures.fence`."""
        self.along(lambda length: structures.fence(self.rng, length, height, kind), s0, s1, d)

    def hedge(self, s0: float, s1: float, d: float, height: float, depth: float) -> None:
        """A clipped hedge along the street."""
        tone, detail = self.tone(), 1.0 if self.in_reach(s0) else 0.3
        self.along(lambda length: plants.hedge(self.rng, tone, length, height, depth, detail), s0, s1, d)

    def plant(self, s: float, d: float, chances, thick: float = 1.0) -> None:
        """A tree, conifer, bush or thicket by their chances."""
        detail = float(np.clip(16 / max(abs(d), 8), 0.35, 1.6)) * thick
        if not self.in_reach(s):
            detail *= 0.35
        kind = self.rng.choice(4, p=chances)
        make = (plants.tree, plants.conifer, plants.bush, plants.shrubs)[kind]
        # Thickets are turned along the street, so that none extends onto it.
        turn = self.rng.normal(0, 0.2) if make is plants.shrubs else self.rng.uniform(0, 6)
        self.put(make(self.rng, self.tone(), detail=detail), s, d, turn)

    def tone(self) -> np.ndarray:
        """A leaf colour about the drive's own."""
        return self.leaf * self.rng.uniform(0.65, 1.35) * self.rng.uniform((0.75, 0.9, 0.7), (1.5, 1.1, 1.3))

    def in_reach(self, s: float) -> bool:
        """Whether the drive comes near enough to s for detail to matter."""
        return -45 < s < self.length + 75

    @staticmethod
    def clear(side: Side, s: float, margin: float) -> bool:
        """Whether s keeps a margin from the side streets."""
        return all(abs(s - middle) > half + margin for middle, half in side.junctions)
