"""The smallest network's configuration and a drive to train it on."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from occ_core import KITTI_GRID
from occ_core.taxonomy import raw_from_classes
from occ_core.voxelizer import occupancy_grid
from occ_data.kitti import SequenceWriter, write_png

PICO = Path(__file__).parent / "pico.yaml"
P2 = np.array([[700.0, 0, 150, 45], [0, 700, 60, 0], [0, 0, 1, 0.003]])
TR = np.array([[0.0, -1, 0, 0], [0, 0, -1, -0.07], [1, 0, 0, -0.3]])
ROAD, WALL, UNKNOWN = 9, 13, 255


@pytest.fixture(scope="session")
def sequence(tmp_path_factory) -> Path:
    """Folder of a sequence of four frames, 1 m apart, along a flat road with a wall; copy it before changing a file.

    Every frame has the same points of the world, with 0.2, 0.3, 0.4, 0.5 for remission, voxel labels, and pseudo labels
    (upper quarter of the image unknown, then wall, lower half road).
    """
    rng = np.random.default_rng(0)
    writer = SequenceWriter(tmp_path_factory.mktemp("data"), "00")
    writer.write_calibration({f"P{n}": P2 for n in range(4)}, TR)
    poses = np.tile(np.eye(4), (4, 1, 1))
    poses[:, 2, 3] = np.arange(4)  # the camera looks along z
    writer.write_poses(poses)
    writer.write_times(0.1 * np.arange(4))
    road = rng.uniform((4, -20, -1.72), (50, 20, -1.7), (4000, 3))
    wall = rng.uniform((8, 10, -1.7), (48, 10.2, 1), (2000, 3))
    world = np.concatenate([road, wall])
    classes = np.full((120, 300), ROAD, np.uint8)
    classes[:60], classes[:30] = WALL, UNKNOWN
    for n in range(4):
        frame = f"{n:06d}"
        points = np.insert(world - (n, 0, 0), 3, 0.2 + 0.1 * n, 1).astype(np.float32)
        labels = np.zeros(KITTI_GRID.shape, np.uint8)
        labels[occupancy_grid(points[:4000], KITTI_GRID) > 0] = ROAD
        labels[occupancy_grid(points[4000:], KITTI_GRID) > 0] = WALL
        image = rng.integers(0, 255, (120, 300, 3), np.uint8)
        writer.write_frame(frame, image, points, np.repeat(np.array([40, 50], np.uint32), (4000, 2000)))
        writer.write_voxels(frame, raw_labels=raw_from_classes(labels), invalid=np.zeros_like(labels))
        write_png(writer.path / "pseudo_labels" / f"{frame}.png", classes)
    return writer.path


@pytest.fixture
def copy(sequence, tmp_path):
    """A copy of the drive whose files a test may change."""
    return shutil.copytree(sequence, tmp_path / "copy" / "00")
