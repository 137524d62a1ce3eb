"""Rigs: read from files and presets, written back, refused with one clear line."""

import numpy as np
import pytest

from occ_core.rig import GRID_HEIGHT, KITTI_RIG, Rig, RigError, Sensor, read_rig, rig_presets, write_rig

# Nominal: beams, lowest and highest angle, range.
PRESETS = {
    "hdl64-kitti": (64, -24.33, 2, 120), "vlp16": (16, -15, 15, 100), "vlp32": (32, -25, 15, 200),
    "os1-32": (32, -22.5, 22.5, 120), "os1-64": (64, -22.5, 22.5, 120), "os1-128": (128, -22.5, 22.5, 120),
    "os0-128": (128, -45, 45, 50), "hesai-xt32": (32, -16, 15, 120), "livox-mid360": (40, -7, 52, 40),
    "nuscenes-hdl32": (32, -30.67, 10.67, 100),
}  # fmt: skip
LEVEL = "T_ground_lidar: [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0.6]]\n"
SENSOR = "horizontal_resolution: 0.2, range: 100"


def rig_file(folder, text):
    path = folder / "rig.yaml"
    path.write_text(text)
    return path


def test_presets_are_those_of_the_data_sheets():
    assert rig_presets() == sorted(PRESETS)
    for name, (beams, low, high, reach) in PRESETS.items():
        sensor = read_rig(name).sensor
        assert (sensor.beams, sensor.elevations[0], sensor.elevations[-1], sensor.range) == (beams, low, high, reach)


def test_only_rigs_with_a_known_mounting_have_one():
    heights = {name: T[2, 3] for name in PRESETS if (T := read_rig(name).T_ground_lidar) is not None}
    assert heights == {"hdl64-kitti": GRID_HEIGHT, "nuscenes-hdl32": 1.84}
    np.testing.assert_array_equal(read_rig("hdl64-kitti").T_grid_lidar, np.eye(4))
    ahead = read_rig("nuscenes-hdl32").T_ground_lidar @ (0, 1, 0, 1)
    np.testing.assert_allclose(ahead, (1, 0, 1.84, 1))


def test_intensity_scales():
    assert [read_rig(name).intensity_scale for name in ("hdl64-kitti", "vlp16", "os1-64")] == [1, 255, None]


@pytest.mark.parametrize("rows", [LEVEL, LEVEL.replace("0.6]]", "0.6], [0, 0, 0, 1]]")])
def test_a_file_of_three_or_four_rows(tmp_path, rows):
    rig = read_rig(rig_file(tmp_path, rows))
    np.testing.assert_allclose(rig.T_grid_lidar @ (0, 0, 0, 1), (0, 0, 0.6 - GRID_HEIGHT, 1))
    assert rig.intensity_scale is None and rig.sensor is None


def test_a_rig_is_read_back_as_it_was_written(tmp_path):
    random = np.random.default_rng(0)
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = np.linalg.qr(random.normal(size=(3, 3)))[0], random.normal(size=3)
    T[:3, 0] *= np.linalg.det(T[:3, :3])
    for rig in (Rig(T, 1e-5, Sensor((-1.5, 0.1, 1e-5 + 1), 0.2, 90.0)), Rig(), KITTI_RIG, read_rig("vlp32")):
        back = read_rig(write_rig(tmp_path / "rig.yaml", rig))
        assert (back.intensity_scale, back.sensor) == (rig.intensity_scale, rig.sensor)
        assert (back.T_ground_lidar is None) == (rig.T_ground_lidar is None)
        if rig.T_ground_lidar is not None:
            np.testing.assert_array_equal(back.T_ground_lidar, rig.T_ground_lidar)


def test_a_rig_is_completed_with_what_it_does_not_know():
    rig = read_rig("vlp16").completed(Rig.at_height(0.6))
    assert (rig.intensity_scale, rig.sensor.beams, rig.T_ground_lidar[2, 3]) == (255, 16, 0.6)
    assert read_rig("nuscenes-hdl32").completed(KITTI_RIG).T_ground_lidar[2, 3] == 1.84
    with pytest.raises(RigError, match="T_ground_lidar: not known"):
        _ = read_rig("vlp16").T_grid_lidar


def test_the_grid_frame_and_back():
    np.testing.assert_allclose(Rig.from_grid(Rig.at_height(0.6).T_grid_lidar).T_ground_lidar[2, 3], 0.6)
    np.testing.assert_array_equal(Rig.from_grid(np.eye(4)).T_grid_lidar, np.eye(4))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", r"expected some of the keys T_ground_lidar, intensity_scale, sensor; found None"),
        ("{}", r"keys .*; found none"),
        ("[1, 2]", r"keys .*; found \[1, 2\]"),
        (LEVEL + "mass: 1", "keys .*; found T_ground_lidar, mass"),
        ("T_ground_lidar: [1, 2]", "T_ground_lidar: expected 3x4 finite numbers, or 4x4"),
        ("T_ground_lidar: [[1, 0, 0], [2]]", "T_ground_lidar: expected 3x4"),
        (LEVEL.replace("0.6", ".nan"), "T_ground_lidar: expected 3x4 finite"),
        (LEVEL.replace("0.6]]", "0.6], [0, 0, 0, 2]]"), "last row of 0 0 0 1"),
        (LEVEL.replace("[1, 0", "[2, 0"), "T_ground_lidar: expected a rotation"),
        (LEVEL.replace("[1, 0", "[-1, 0"), "T_ground_lidar: expected a rotation"),
        ("intensity_scale: 0", "intensity_scale: expected a positive number or auto, got 0"),
        ("intensity_scale: many", "intensity_scale: expected a positive number or auto, got 'many'"),
        ("intensity_scale: true", "intensity_scale: expected a positive"),
        ("intensity_scale: .inf", "intensity_scale: expected a positive"),
        ("sensor: vlp16", "sensor: expected some of the keys beams, .*; found 'vlp16'"),
        (f"sensor: {{beams: 16, {SENSOR}}}", "sensor: expected either elevations, or beams with vertical_fov"),
        (f"sensor: {{elevations: [0], beams: 1, vertical_fov: [0, 1], {SENSOR}}}", "sensor: expected either"),
        (f"sensor: {{beams: 1.5, vertical_fov: [0, 1], {SENSOR}}}", "beams: expected a whole number from 2 to 1024"),
        (f"sensor: {{beams: 9999999999, vertical_fov: [0, 1], {SENSOR}}}", "beams: expected a whole number"),
        (f"sensor: {{beams: 4, vertical_fov: [1], {SENSOR}}}", "vertical_fov: expected the lowest and the highest"),
        (f"sensor: {{elevations: [1, 0], {SENSOR}}}", "elevations: expected ascending angles"),
        (f"sensor: {{elevations: [1, 99], {SENSOR}}}", "elevations: expected ascending angles from -90 to 90"),
        (f"sensor: {{elevations: [], {SENSOR}}}", "elevations: expected a list of up to 1024"),
        ("sensor: {elevations: [0], range: 1}", "horizontal_resolution: expected a positive number, got 'nothing'"),
        ("T_ground_lidar: &a [1]", "anchors"),
    ],
)
def test_what_cannot_be_used_is_named_in_one_line(tmp_path, text, problem):
    path = rig_file(tmp_path, text)
    with pytest.raises(RigError, match=problem) as caught:
        read_rig(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_unknown_presets_and_missing_files(tmp_path):
    with pytest.raises(RigError, match=r"vlp-16: no such rig; expected a YAML file, or one of hdl64-kitti, hesai"):
        read_rig("vlp-16")
    with pytest.raises(RigError, match=r"none\.yaml: cannot be read"):
        read_rig(tmp_path / "none.yaml")
