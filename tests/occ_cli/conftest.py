"""A drive of fifteen small frames with voxel truth, as a sequence, as a bag, and a bundle for the fake backend."""

from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer

from occ_core import KITTI_GRID
from occ_core.voxelizer import occupancy_grid
from occ_data.bags import bag_topics, read_bag, write_bag
from occ_data.bags.reader import jazzy
from occ_data.kitti import Sequence, SequenceWriter
from occ_runtime import Bundle
from occ_runtime.fake_backend import write_fake_bundle

from ..occ_models.conftest import sequence  # noqa: F401  the drive that trainings are tested with

FRAMES = 15
BUILDING = 50
K = np.array([[60.0, 0, 48], [0, 60, 16], [0, 0, 1]])
Tr = np.array([[0, -1.0, 0, 0.01], [0, 0, -1, -0.07], [1, 0, 0, -0.3], [0, 0, 0, 1]])


@pytest.fixture(scope="session")
def drive(tmp_path_factory) -> Sequence:
    """Points on a road and a wall; the truth of every fifth frame says that what the scan hit is building."""
    random = np.random.default_rng(0)
    writer = SequenceWriter(tmp_path_factory.mktemp("drive"), "90")
    P = np.hstack([K, np.zeros((3, 1))])
    writer.write_calibration({"P0": P, "P1": P, "P2": P, "P3": P}, Tr)
    writer.write_times(0.1 * np.arange(FRAMES))
    writer.write_poses(np.tile(np.eye(4), (FRAMES, 1, 1)))
    for n in range(FRAMES):
        road = np.stack([random.uniform(3, 30, 3000), random.uniform(-8, 8, 3000), np.full(3000, -1.7)], -1)
        wall = np.stack([np.full(3000, 14.0), random.uniform(-8, 8, 3000), random.uniform(-1.6, 2, 3000)], -1)
        scan = np.hstack([np.vstack([road, wall]), random.uniform(0, 1, (6000, 1))]).astype(np.float32)
        writer.write_frame(f"{n:06d}", random.integers(0, 256, (32, 96, 3), np.uint8), scan)
        if n % 5 == 0:
            occupied = occupancy_grid(scan, KITTI_GRID)
            writer.write_voxels(f"{n:06d}", occupied.astype(np.uint16) * BUILDING, np.zeros_like(occupied))
    return Sequence(writer.path)


@pytest.fixture(scope="session")
def bag(drive, tmp_path_factory) -> Path:
    """The drive as a rosbag2 folder."""
    path = tmp_path_factory.mktemp("bag") / "drive"
    write_bag(drive, path)
    return path


@pytest.fixture(scope="session")
def camera_bag(bag, tmp_path_factory) -> Path:
    """The same without the clouds."""
    path = tmp_path_factory.mktemp("bag") / "camera"
    topics = {topic: kind for topic, (kind, _) in bag_topics(bag).items() if "PointCloud2" not in kind}
    with Writer(path, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        connections = {topic: writer.add_connection(topic, kind, typestore=jazzy()) for topic, kind in topics.items()}
        for topic, _, stamp, data in read_bag(bag, topics):
            writer.write(connections[topic], stamp, data)
    return path


@pytest.fixture(scope="session")
def fake_bundle(tmp_path_factory) -> Bundle:
    return write_fake_bundle(tmp_path_factory.mktemp("engines") / "fake")


@pytest.fixture(scope="session")
def camera_bundle(tmp_path_factory) -> Bundle:
    return write_fake_bundle(tmp_path_factory.mktemp("engines") / "camera", camera_only=True)
