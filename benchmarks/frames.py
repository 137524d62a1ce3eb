"""The frames that are measured on: one of the synthetic world, one real one where there are any."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from occ_core import Calibration
from occ_data.kitti import Sequence, sequences
from occ_data.synthetic import generate


@dataclass(frozen=True, eq=False)
class Frame:
    """image : (H, W, 3) uint8 RGB; points : (N, 4) float32, LiDAR frame, metres, intensity"""

    name: str
    image: np.ndarray
    points: np.ndarray
    calibration: Calibration


def frames(data: Path | None) -> list[Frame]:
    """The synthetic frame, and the first of the last sequence of `data`."""
    with tempfile.TemporaryDirectory() as folder:
        generate(folder, "90", frames=1, seed=1, voxels_every=0, progress=False)
        found = [_first(sequences(folder)[0], "synthetic")]
    if data is not None:
        sequence = next(s for s in reversed(sequences(data)) if len(s))
        found.append(_first(sequence, f"KITTI {sequence.name}"))
    return found


def plain_street() -> Frame:
    """A turn of 64 beams between two walls, in closed form, and an image of noise: for where nothing can cast rays."""
    random = np.random.default_rng(0)
    elevation, azimuth = np.radians(np.meshgrid(np.linspace(-24.8, 2, 64), np.linspace(-90, 90, 1024)))
    ray = np.stack([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)], -1)
    with np.errstate(divide="ignore"):
        ground = np.where(ray[..., 2] < 0, -1.73 / ray[..., 2], np.inf)
        reach = np.minimum(ground, 8 / np.abs(ray[..., 1]))  # a wall 8 m to either side
    points = (ray * reach[..., None]).reshape(-1, 3)[reach.ravel() < 80] + random.normal(0, 0.02, (reach < 80).sum())[
        :, None
    ]
    P = [(718.0, 0, 607, 0), (0, 718, 185, 0), (0, 0, 1, 0)]
    T_cam_lidar = np.array([(0.0, -1, 0, 0), (0, 0, -1, -0.08), (1, 0, 0, -0.27), (0, 0, 0, 1)])
    image = random.integers(0, 256, (370, 1226, 3), np.uint8)
    points = np.concatenate([points, random.random((len(points), 1))], 1).astype(np.float32)
    return Frame("plain street", image, points, Calibration(P, T_cam_lidar, (1226, 370)))


def _first(sequence: Sequence, name: str) -> Frame:
    frame = sequence.frames[0]
    return Frame(name, sequence.image(frame), sequence.scan(frame), sequence.calibration)
