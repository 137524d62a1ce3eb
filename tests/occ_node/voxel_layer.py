"""A small model of nav2's VoxelLayer: how it marks and clears, written from its rules.

In each cycle it first clears the cells on the rays from the sensor to the points of the clearing sources, but for the
last two cells of each ray, and only where the sensor is inside the box. Then it marks the cells of the points of the
marking sources. A column is lethal while any of its cells is marked. The window follows the robot; what leaves it is
forgotten. Rays are sampled once a cell here, where nav2 draws lines of cells.
"""

import numpy as np

EXTENT = 60.0
"""Metres a side of the part of the world that the model holds, around the origin of the costmap's global frame."""


class VoxelLayer:
    """costmap : the parameters of nav2's costmap, with those of `voxel_layer` below."""

    def __init__(self, costmap: dict):
        layer = costmap["voxel_layer"]
        self.obstacles, self.lidar = layer["obstacles"], layer["lidar"]
        self.heights = layer["min_obstacle_height"], layer["max_obstacle_height"]
        self.size = np.array([costmap["resolution"]] * 2 + [layer["z_resolution"]])
        self.origin = np.array([-EXTENT / 2, -EXTENT / 2, layer["origin_z"]])
        self.window = costmap["width"], costmap["height"]
        self.marked = np.zeros((*(round(EXTENT / costmap["resolution"]),) * 2, layer["z_voxels"]), bool)

    @property
    def lethal(self) -> np.ndarray:
        """(X, Y) bool."""
        return self.marked.any(2)

    def cells(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) indices of points (N, 3), metres in the global frame."""
        return np.floor((points - self.origin) / self.size).astype(int)

    def centers(self) -> np.ndarray:
        """(X, Y, 2) centres of the columns, metres in the global frame."""
        index = np.stack(np.meshgrid(*(np.arange(n) for n in self.marked.shape[:2]), indexing="ij"), -1)
        return self.origin[:2] + self.size[:2] * (index + 0.5)

    def update(self, sensor: np.ndarray, scan: np.ndarray, obstacles: np.ndarray) -> None:
        """One cycle. sensor : (3,); scan, obstacles : (N, 3); metres in the global frame"""
        away = np.abs(self.centers() - sensor[:2])
        self.inside = (away < np.array(self.window) / 2).all(-1)
        self.marked &= self.inside[..., None]
        self._clear(sensor, _within(scan, self.lidar))
        self._mark(sensor, _within(obstacles, self.obstacles))

    def _clear(self, sensor: np.ndarray, points: np.ndarray) -> None:
        if not 0 <= self.cells(sensor[None])[0, 2] < self.marked.shape[2]:
            return
        rays = points - sensor
        lengths = np.linalg.norm(rays, axis=1)
        reach = min(self.lidar["raytrace_max_range"], np.hypot(*self.window) / 2)  # nothing is beyond the window
        ends = np.minimum(lengths - 2 * self.size[0], reach)
        rays /= lengths[:, None]
        for distance in np.arange(self.lidar["raytrace_min_range"], ends.max(initial=0), self.size[0]):
            rays, ends = rays[ends >= distance], ends[ends >= distance]
            cells = self._in_box(self.cells(sensor + distance * rays))
            self.marked[tuple(cells.T)] = False

    def _mark(self, sensor: np.ndarray, points: np.ndarray) -> None:
        distances = np.linalg.norm(points - sensor, axis=1)
        near = (distances >= self.obstacles["obstacle_min_range"]) & (distances < self.obstacles["obstacle_max_range"])
        low, high = self.heights
        cells = self.cells(points[near & (points[:, 2] >= low) & (points[:, 2] <= high)])
        cells[:, 2] = np.maximum(cells[:, 2], 0)  # what is below the box goes into its lowest layer
        self.marked[tuple(self._in_box(cells).T)] = True

    def _in_box(self, cells: np.ndarray) -> np.ndarray:
        cells = cells[((cells >= 0) & (cells < self.marked.shape)).all(1)]
        return cells[self.inside[cells[:, 0], cells[:, 1]]]


def _within(points: np.ndarray, source: dict) -> np.ndarray:
    """Each source cuts its cloud at heights in the global frame."""
    return points[(points[:, 2] >= source["min_obstacle_height"]) & (points[:, 2] <= source["max_obstacle_height"])]
