"""Class and height of the ground everywhere in the street, and its mesh."""

from dataclasses import dataclass, field

import numpy as np

from .path import Path
from .shapes import Material, Mesh, surface

ROAD, PARKING, SIDEWALK, OTHER_GROUND, TERRAIN = 40, 44, 48, 49, 72
KERB = 0.11
_MATERIAL = {
    ROAD: Material.ASPHALT, PARKING: Material.COBBLES, SIDEWALK: Material.PAVING, OTHER_GROUND: Material.GRAVEL,
    TERRAIN: Material.GRASS,
}  # fmt: skip


@dataclass(frozen=True)
class Side:
    """One side of the street, distances from the centre line outwards in metres.

    parking : (s0, s1) stretches of the strip beside the road that are parking bays; the rest is `strip`
    plots : (s0, s1, label) ground beyond the sidewalk
    drives : (s0, s1, label, depth) patches from the sidewalk inwards
    junctions : (middle, half width) of side streets
    places : (s0, s1, label) squares, car parks, woods where there are no plots
    """

    road: float
    strip_width: float
    strip: int
    sidewalk: float
    bank: float
    parking: list = field(default_factory=list)
    plots: list = field(default_factory=list)
    drives: list = field(default_factory=list)
    junctions: list = field(default_factory=list)
    places: list = field(default_factory=list)

    @property
    def edge(self) -> float:
        """Where the plots begin."""
        return self.road + self.strip_width + self.sidewalk


class Ground:
    """Labels and heights over (s, d); `sides` is (right, left), right where d < 0; `road` is what it is made of."""

    def __init__(
        self,
        path: Path,
        sides: tuple[Side, Side],
        tints: dict,
        reach: float,
        phase: np.ndarray,
        rough: float,
        road: Material = Material.ASPHALT,
    ):
        self.materials = _MATERIAL | {ROAD: road}
        self.path, self.sides, self.tints, self.reach, self.phase, self.rough = path, sides, tints, reach, phase, rough

    def label(self, s, d) -> np.ndarray:
        """Raw id of the ground at (s, d)."""
        s, d = np.broadcast_arrays(np.asarray(s, float), np.asarray(d, float))
        result = np.full(s.shape, TERRAIN, np.uint16)
        for side, on in zip(self.sides, (d < 0, d >= 0), strict=True):
            out = np.abs(d)
            mine = np.full(s.shape, TERRAIN, np.uint16)
            for s0, s1, label in (*side.plots, *side.places):
                mine[(s >= s0) & (s < s1)] = label
            for s0, s1, label, depth in side.drives:
                mine[(s >= s0) & (s < s1) & (out < side.edge + depth)] = label
            for middle, half in side.junctions:
                mine[(np.abs(s - middle) < half + 1.6)] = SIDEWALK
            mine[out < side.edge] = SIDEWALK
            strip = out < side.road + side.strip_width
            mine[strip] = side.strip
            for s0, s1 in side.parking:
                mine[strip & (s >= s0) & (s < s1)] = PARKING
            for middle, half in side.junctions:
                mine[np.abs(s - middle) < half] = ROAD
            mine[out < side.road] = ROAD
            result = np.where(on, mine, result)
        return result

    def height(self, s, d) -> np.ndarray:
        """Metres above the centre line at (s, d): kerbs, banks, bumps."""
        s, d = np.broadcast_arrays(np.asarray(s, float), np.asarray(d, float))
        label = self.label(s, d)
        kerb = np.where((label == ROAD) | (label == PARKING), 0.0, KERB)
        p = self.phase
        bumps = np.sin(s / 7.3 + p[0]) * np.sin(d / 5.1 + p[1]) + 0.5 * np.sin(s / 2.7 + p[2]) * np.sin(d / 2.1 + p[3])
        out = np.abs(d) - np.where(d < 0, self.sides[0].edge, self.sides[1].edge)
        bank = np.where(d < 0, self.sides[0].bank, self.sides[1].bank) * np.clip(out, 0, 25)
        soft = np.clip(out / 4, 0, 1)
        near_junction = np.zeros(s.shape)
        for side, on in zip(self.sides, (d < 0, d >= 0), strict=True):
            for middle, half in side.junctions:
                near_junction = np.maximum(near_junction, on * np.clip(1 - (np.abs(s - middle) - half - 1.6) / 6, 0, 1))
        return kerb + (bumps * self.rough * soft + bank) * (1 - near_junction)

    def at(self, s, d) -> np.ndarray:
        """World position of the ground at (s, d)."""
        return self.path.at(s, d, self.height(s, d))

    def mesh(self, start: float, end: float) -> Mesh:
        """The ground as a grid of quads along the path, split where a strip ends."""
        s = np.arange(start, end, 0.5)
        across = [np.arange(0, 14, 0.5), np.arange(14, self.reach + 1, 2.0)]
        ds = []
        for side, sign in zip(self.sides, (-1, 1), strict=True):
            edges = [side.road, side.road + side.strip_width, side.edge]
            cuts = np.concatenate([[e, e + 0.05] for e in edges])
            grid = np.concatenate(across)
            grid = grid[np.min(np.abs(grid[:, None] - cuts), axis=1) > 0.1]
            ds.append(sign * np.sort(np.concatenate([grid, cuts])))
        d = np.unique(np.concatenate(ds))
        grid_s, grid_d = np.meshgrid(s, d, indexing="ij")
        vertices = self.at(grid_s, grid_d).reshape(-1, 3)
        n, m = grid_s.shape
        corner = (np.arange(n - 1)[:, None] * m + np.arange(m - 1)).reshape(-1)
        # Both diagonals the same way: on half-metre cells neither LiDAR nor camera shows it.
        faces = np.stack([corner, corner + m, corner + m + 1, corner, corner + m + 1, corner + 1], 1).reshape(-1, 3)
        middle_d = (grid_d[:-1, :-1] + grid_d[1:, 1:]) / 2
        label = np.repeat(self.label(grid_s[:-1, :-1] + 0.25, middle_d).reshape(-1), 2)
        mesh = surface((vertices, faces, np.stack([grid_s, grid_d], -1).reshape(-1, 2)), 0, 0, (0, 0, 0))
        color = np.zeros((len(label), 3), np.float32)
        material = np.zeros(len(label), np.uint8)
        for raw, kind in self.materials.items():
            material[label == raw], color[label == raw] = kind, self.tints[raw]
        return Mesh(mesh.vertices, mesh.uv, mesh.faces, label, mesh.instance, material, color)
