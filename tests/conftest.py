"""Fixtures that every folder of tests may use."""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

from occ_data.kitti import Sequence, SequenceWriter


def pytest_configure(config):
    if importlib.util.find_spec("hypothesis"):
        from hypothesis import HealthCheck, settings

        # How fast a busy machine is must not decide over a test.
        settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
        settings.load_profile("patient")
    config.addinivalue_line(
        "markers", "gpu: needs an NVIDIA GPU and torch with CUDA; `make gpu-check` runs these alone"
    )


def pytest_collection_modifyitems(items):
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked and not _cuda():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="needs an NVIDIA GPU and torch with CUDA"))


def _cuda() -> bool:
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real SemanticKITTI frames: `$OCC_NODE_DATA`, or `../shared/data/semantickitti_mini`."""
    beside = Path(__file__).parents[1].parent / "shared/data"
    for root in (Path(os.environ.get("OCC_NODE_DATA") or beside), beside):
        for folder in (root, root / "semantickitti_mini"):
            if (folder / "sequences").is_dir():
                return folder
    pytest.skip("no real frames: set OCC_NODE_DATA to a folder that holds SemanticKITTI's `sequences/`")


TINY_K = np.array([[60.0, 0, 48], [0, 60, 16], [0, 0, 1]])
TINY_T_CAM0_LIDAR = np.array([[0, -1.0, 0, 0.01], [0, 0, -1, -0.07], [1, 0, 0, -0.3], [0, 0, 0, 1]])


@pytest.fixture
def tiny_sequence(tmp_path) -> Sequence:
    """Three labelled frames, 1 m apart, of a road with a wall 12 m ahead of the first; images of 96 x 32."""
    return write_tiny_sequence(tmp_path / "tiny", "90")


def write_tiny_sequence(root: Path, name: str, frames: int = 3) -> Sequence:
    """See `tiny_sequence`."""
    random = np.random.default_rng(0)
    writer = SequenceWriter(root, name)
    P2 = np.hstack([TINY_K, [[4.5], [0.1], [0.003]]])
    P0 = np.hstack([TINY_K, np.zeros((3, 1))])
    writer.write_calibration({"P0": P0, "P1": P0, "P2": P2, "P3": P0}, TINY_T_CAM0_LIDAR)
    writer.write_times(0.1 * np.arange(frames))
    poses = np.tile(np.eye(4), (frames, 1, 1))
    poses[:, 2, 3] = np.arange(frames)  # the camera looks along z
    writer.write_poses(poses)
    for n in range(frames):
        road = np.stack([random.uniform(3, 30, 4000), random.uniform(-8, 8, 4000), np.full(4000, -1.7)], -1)
        road = road[road[:, 0] + n < 12]
        wall = np.stack([np.full(4000, 12.0 - n), random.uniform(-8, 8, 4000), random.uniform(-1.6, 2, 4000)], -1)
        scan = np.concatenate([np.concatenate([road, wall]), random.uniform(0, 1, (len(road) + len(wall), 1))], 1)
        labels = np.repeat(np.array([40, 50], np.uint32), [len(road), len(wall)])
        image = random.integers(0, 256, (32, 96, 3), np.uint8)
        writer.write_frame(f"{n:06d}", image, scan.astype(np.float32), labels)
    return Sequence(writer.path)
