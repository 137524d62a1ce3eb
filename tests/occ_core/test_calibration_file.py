"""Calibration files: both forms read, KITTI's written back to the bit, each refusal one line with the file's name."""

import numpy as np
import pytest
import yaml

from occ_core import Calibration, CalibrationError
from occ_core.calibration_file import (
    image_calibration,
    read_calibration_file,
    read_kitti_calibration,
    write_kitti_calibration,
)

from .calibrations import P2_08, TR_08, calibration_08

T_CAM_LIDAR = np.array([(0, -1, 0, 0.1), (0, 0, -1, 0.2), (1, 0, 0, 0.3)], np.float64)


def kitti_file(path, rows):
    path.write_text("".join(f"{name}: {' '.join(f'{v:.12e}' for v in np.ravel(row))}\n" for name, row in rows.items()))
    return path


def test_kitti_file(tmp_path):
    path = kitti_file(tmp_path / "calib.txt", {"P0": P2_08, "P2": P2_08, "Tr": TR_08[:3]})
    calibration = Calibration(*read_kitti_calibration(path), (1226, 370))
    np.testing.assert_allclose(calibration.P_lidar, calibration_08().P_lidar)


@pytest.mark.parametrize("missing", ["P2", "Tr"])
def test_kitti_file_without_a_row(tmp_path, missing):
    rows = {"P2": P2_08, "Tr": TR_08[:3]}
    del rows[missing]
    path = kitti_file(tmp_path / "calib.txt", rows)
    with pytest.raises(CalibrationError, match=rf"calib.txt: no row '{missing}'; expected P0..P3 and Tr"):
        read_kitti_calibration(path)


@pytest.mark.parametrize("values", [np.zeros(11), np.zeros(13)])
def test_kitti_file_with_a_row_of_wrong_length(tmp_path, values):
    path = kitti_file(tmp_path / "calib.txt", {"P2": values, "Tr": TR_08[:3]})
    with pytest.raises(CalibrationError, match="row 'P2': expected 12 numbers"):
        read_kitti_calibration(path)


def test_kitti_file_with_a_word_among_its_numbers(tmp_path):
    path = tmp_path / "calib.txt"
    path.write_text("P2: one 2 3 4 5 6 7 8 9 10 11 12\n")
    with pytest.raises(CalibrationError, match="row 'P2': expected 12 numbers"):
        read_kitti_calibration(path)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00\x80"])
def test_kitti_file_that_cannot_be_read(tmp_path, content):
    path = tmp_path / "calib.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CalibrationError, match=r"calib\.txt: cannot be read"):
        read_kitti_calibration(path)


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


def test_a_written_kitti_file_comes_back_to_the_bit(tmp_path):
    random = np.random.default_rng(1)
    P, Tr = random.normal(size=(3, 4)), np.vstack([random.normal(size=(3, 4)), (0, 0, 0, 1)])
    path = write_kitti_calibration(tmp_path / "new/calib.txt", {"P2": P}, Tr)
    np.testing.assert_array_equal(read_kitti_calibration(path).P, P)
    np.testing.assert_array_equal(read_kitti_calibration(path).Tr, Tr)


def test_the_calibration_of_an_image(tmp_path):
    path = kitti_file(tmp_path / "calib.txt", {"P2": P2_08, "Tr": TR_08[:3]})
    calibration = image_calibration(path, (1226, 370))
    assert calibration.image_size == (1226, 370)
    np.testing.assert_allclose(calibration.P_lidar, calibration_08().P_lidar)


def test_a_file_without_image_size_must_fit_the_image(tmp_path):
    path = kitti_file(tmp_path / "calib.txt", {"P2": P2_08, "Tr": TR_08[:3]})
    with pytest.raises(CalibrationError, match=r"calib\.txt: principal point \(602, 183\) is at the edge"):
        image_calibration(path, (640, 480))


def test_a_file_without_a_lens_is_not_enough_for_an_image(tmp_path):
    path = tmp_path / "rig.yaml"
    path.write_text(yaml.safe_dump({"T_cam_lidar": T_CAM_LIDAR.tolist()}))
    with pytest.raises(CalibrationError, match=r"rig\.yaml: no K; expected T_cam_lidar, K and image_size"):
        image_calibration(path, (96, 32))
