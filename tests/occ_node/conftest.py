"""Live nodes, each on its own DDS domain, on this machine only."""

import os

os.environ["ROS_PYTHON_CHECK_FIELDS"] = "1"

import pytest

from occ_node.dds import use_loopback_profile

use_loopback_profile()


@pytest.fixture(scope="session")
def fake_bundle(tmp_path_factory):
    """A bundle folder for the fake backend."""
    from occ_runtime.fake_backend import write_fake_bundle

    return write_fake_bundle(tmp_path_factory.mktemp("bundles") / "fake").path


@pytest.fixture(scope="session")
def camera_bundle(tmp_path_factory):
    """A camera-only bundle folder for the fake backend."""
    from occ_runtime.fake_backend import write_fake_bundle

    return write_fake_bundle(tmp_path_factory.mktemp("bundles") / "camera", camera_only=True).path


@pytest.fixture(scope="session")
def calibration_file(tmp_path_factory):
    """A KITTI calib.txt for the camera of `scene`."""
    path = tmp_path_factory.mktemp("rig") / "calib.txt"
    path.write_text("P2: 60 0 48 0 0 60 16 0 0 0 1 0\nTr: 0 -1 0 0 0 0 -1 -0.1 1 0 0 -0.3\n")
    return path
