from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from occ_core import CalibrationError
from occ_core.decode import TransformError
from occ_core.decode.transforms import matrix_from_transform, read_calibration_file
from occ_core.transforms import TransformTree

T_CAM_LIDAR = np.array([(0, -1, 0, 0.1), (0, 0, -1, 0.2), (1, 0, 0, 0.3)], np.float64)


def transform(quaternion, translation=(1.0, 2.0, 3.0)):
    return SimpleNamespace(
        translation=SimpleNamespace(**dict(zip("xyz", translation, strict=True))),
        rotation=SimpleNamespace(**dict(zip("xyzw", quaternion, strict=True))),
    )


@given(st.lists(st.floats(-1, 1), min_size=4, max_size=4).filter(lambda q: np.linalg.norm(q) > 0.1))
def test_quaternion_turns_vectors_as_its_definition_says(quaternion):
    q = np.array(quaternion) / np.linalg.norm(quaternion)
    u, w, v = q[:3], q[3], np.array([0.3, -0.7, 1.1])
    turned = v + 2 * np.cross(u, np.cross(u, v) + w * v)  # q v q*
    T = matrix_from_transform(transform(q.tolist()))
    np.testing.assert_allclose(T @ [*v, 1], [*(turned + np.array((1, 2, 3))), 1], atol=1e-12)


@pytest.mark.parametrize("quaternion", [(0, 0, 0, 0), (0, 0, 0, 2), (np.nan, 0, 0, 1)])
def test_no_rotation(quaternion):
    with pytest.raises(TransformError, match="tf: expected a finite translation and a unit quaternion"):
        matrix_from_transform(transform(quaternion))


def random_transform(seed):
    return matrix_from_transform(
        transform((q := np.random.default_rng(seed).normal(size=4)) / np.linalg.norm(q), (seed, 1.0, -seed))
    )


@pytest.fixture
def tree():
    """base - mast - camera - optical, and base - lidar."""
    tree = TransformTree()
    for seed, (parent, child) in enumerate(
        [("base", "mast"), ("mast", "camera"), ("camera", "optical"), ("base", "lidar")]
    ):
        tree.add(parent, child, random_transform(seed))
    return tree


def test_a_chain_up_and_down(tree):
    base_optical = random_transform(0) @ random_transform(1) @ random_transform(2)
    np.testing.assert_allclose(tree.between("optical", "lidar"), np.linalg.inv(base_optical) @ random_transform(3))


def test_there_and_back(tree):
    np.testing.assert_allclose(
        tree.between("optical", "lidar") @ tree.between("lidar", "optical"), np.eye(4), atol=1e-12
    )


def test_a_frame_to_itself(tree):
    np.testing.assert_array_equal(tree.between("camera", "camera"), np.eye(4))


def test_frames_that_nothing_joins(tree):
    tree.add("map", "other", np.eye(4))
    assert tree.between("optical", "other") is None
    assert tree.between("optical", "never heard of") is None


def test_a_loop_does_not_hang(tree):
    tree.add("lidar", "base", np.eye(4))
    assert tree.between("optical", "nowhere") is None


def test_kitti_file_gives_the_place_of_its_own_camera(tmp_path):
    path = tmp_path / "calib.txt"
    path.write_text("P0: 700 0 600 0 0 700 180 0 0 0 1 0\nP2: 700 0 600 42 0 700 180 0.7 0 0 1 0.003\nTr: "
                    + " ".join(map(str, T_CAM_LIDAR.ravel())) + "\n")  # fmt: skip
    rig = read_calibration_file(path)
    P2 = np.array([(700, 0, 600, 42), (0, 700, 180, 0.7), (0, 0, 1, 0.003)])
    np.testing.assert_allclose(rig.K @ rig.T_cam_lidar[:3], P2 @ np.vstack([T_CAM_LIDAR, (0, 0, 0, 1)]))


@pytest.mark.parametrize("rows", [3, 4])
def test_yaml_file(tmp_path, rows):
    path = tmp_path / "rig.yaml"
    T = np.vstack([T_CAM_LIDAR, (0, 0, 0, 1)])
    path.write_text(yaml.safe_dump({"T_cam_lidar": T[:rows].tolist()}))
    rig = read_calibration_file(path)
    np.testing.assert_array_equal(rig.T_cam_lidar, T)
    assert rig.K is None and rig.image_size is None


def test_yaml_file_with_a_lens(tmp_path):
    path = tmp_path / "rig.yaml"
    K = [[60, 0, 48], [0, 60, 16], [0, 0, 1]]
    path.write_text(yaml.safe_dump({"T_cam_lidar": T_CAM_LIDAR.tolist(), "K": K, "image_size": [96, 32]}))
    rig = read_calibration_file(path)
    assert rig.K.tolist() == K and rig.image_size == (96, 32)


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("a.yaml", "{", "cannot be read"),
        ("a.yaml", "T: 1", "expected the key T_cam_lidar, .* found T"),
        ("a.yaml", "[1, 2]", "found list"),
        ("a.yaml", "T_cam_lidar: [[1, 2], [3]]", "T_cam_lidar: expected 3x4 or 4x4 finite numbers"),
        ("a.yaml", "T_cam_lidar: [[1,0,0,0],[0,1,0,0],[0,0,-1,0]]", "expected a rotation"),
        ("a.yaml", "T_cam_lidar: [[1,0,0,0],[0,1,0,0],[0,0,1,0]]\nK: 1", "K and image_size go together"),
        ("calib.txt", "P2: 1 2 3", "row 'P2': expected 12 numbers"),
        ("calib.txt", "P0: 1 0 0 0 0 1 0 0 0 0 1 0", "no row 'P2'"),
        ("calib.txt", "P2: 0 0 0 0 0 0 0 0 0 0 0 0\nTr: 1 0 0 0 0 1 0 0 0 0 1 0", "focal length"),
    ],
)
def test_refusals(tmp_path, name, content, text):
    (tmp_path / name).write_text(content)
    with pytest.raises(CalibrationError, match=text) as refusal:
        read_calibration_file(tmp_path / name)
    assert name in str(refusal.value)


def test_missing_file(tmp_path):
    with pytest.raises(CalibrationError, match=r"none\.yaml: cannot be read"):
        read_calibration_file(tmp_path / "none.yaml")
