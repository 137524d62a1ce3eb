"""Synthetic streets from other LiDARs, cameras and in other weather than KITTI's."""

from copy import copy
from dataclasses import replace

import numpy as np
import pytest

from occ_core.grid import KITTI_GRID
from occ_core.rig import Rig, RigError, read_rig, rig_presets, write_rig
from occ_core.taxonomy import points_from_raw, voxels_from_raw
from occ_data import DataError, open_drive
from occ_data.kitti import Sequence
from occ_data.synthetic import Drive, generate
from occ_data.synthetic.lidar_model import HDL64
from occ_data.synthetic.random_rig import random_sensors
from occ_data.synthetic.sensor_set import rig_sensors

pytest.importorskip("embreex")
SEED, ROAD = 6, 40
SEEDS = range(300)


@pytest.fixture(scope="module")
def kitti():
    return Drive(SEED, 2)


@pytest.fixture(scope="module")
def drawn():
    return [random_sensors(seed) for seed in SEEDS]


@pytest.fixture(scope="module")
def vlp16():
    return Drive(SEED, 2, rig="vlp16")


def ground_height(points, labels):
    """Median height of the road's points (N, 4) near the robot."""
    near = (labels & 0xFFFF == ROAD) & (np.hypot(*points.T[:2]) < 12)
    assert near.sum() > 50
    return np.median(points[near, 2])


def test_random_rigs_differ_and_cover_what_robots_have(drawn):
    heights = np.array([sensors.rig.mounting[2, 3] for sensors in drawn])
    beams = {len(sensors.lidar.elevations) for sensors in drawn}
    focal = np.array([sensors.calibration.P[0, 0] / sensors.calibration.image_size[0] for sensors in drawn])
    assert heights.min() < 0.6 and heights.max() > 2.3 and ((heights >= 0.4) & (heights <= 2.5)).all()
    assert {16, 32, 64, 128} <= beams
    assert focal.min() < 0.45 and focal.max() > 0.8
    for share, least, most in (
        (np.mean([sensors.lidar.intensity is None for sensors in drawn]), 0.1, 0.35),
        (np.mean([not sensors.lidar.repeats for sensors in drawn]), 0.1, 0.4),
        (np.mean([sensors.weather.night for sensors in drawn]), 0.1, 0.3),
        (np.mean([sensors.weather.rain > 0 for sensors in drawn]), 0.08, 0.3),
    ):
        assert least < share < most
    assert len({sensors.calibration.image_size for sensors in drawn}) > 5


def test_a_seed_means_the_same_rig():
    one, other = random_sensors(11), random_sensors(11)
    assert one.lidar == other.lidar and one.imaging == other.imaging and one.weather == other.weather
    np.testing.assert_array_equal(one.calibration.P_lidar, other.calibration.P_lidar)
    assert one.lidar != random_sensors(12).lidar


@pytest.mark.parametrize("name", rig_presets())
def test_every_preset_is_a_lidar(name):
    lidar, sensor = rig_sensors(name, 0).lidar, read_rig(name).sensor
    rays, times = lidar.sweep(np.random.default_rng(0))
    assert len(rays) == len(times) == lidar.columns * sensor.beams
    np.testing.assert_allclose(np.linalg.norm(rays, axis=1), 1, atol=1e-5)
    elevation = np.degrees(np.arcsin(rays[:, 2]))
    assert elevation.min() > sensor.elevations[0] - 1 and elevation.max() < sensor.elevations[-1] + 1


def test_a_livox_takes_other_rays_each_time_and_a_velodyne_takes_the_same_beams():
    rng = np.random.default_rng(0)
    for name, beams in (("livox-mid360", 1000), ("vlp16", 16)):
        rays = rig_sensors(name, 0).lidar.sweep(rng)[0]
        assert len(np.unique(np.round(np.degrees(np.arcsin(rays[:, 2])), 2))) >= beams
        if beams == 16:
            assert len(np.unique(np.round(np.degrees(np.arcsin(rays[:, 2])), 2))) == beams
    one, other = (rig_sensors("livox-mid360", 0).lidar.sweep(rng)[0] for _ in range(2))
    assert np.abs(one - other).max() > 0.1


@pytest.mark.parametrize("rig", ["vlp16", "nuscenes-hdl32", "livox-mid360", "random"])
def test_the_scan_lies_in_the_truth_and_on_the_road_whatever_the_rig(rig):
    drive = Drive(SEED, 1, rig=rig)
    frame = drive.frame(0)
    truth = drive.truth(0, frame)
    points = drive.sensors.calibration.to_grid(frame.points)
    if rig != "livox-mid360":  # it hardly sees the ground from so high
        assert ground_height(points, frame.point_labels) == pytest.approx(-1.73, abs=0.15)
    index, inside = KITTI_GRID.index_of(points)
    labels = voxels_from_raw(truth.labels, truth.invalid)[tuple(index.T)]
    real = frame.point_labels[inside] > 0
    assert real.sum() > 500 and (labels[real] > 0).mean() > 0.95


def test_the_truth_of_a_street_hardly_depends_on_the_rig(kitti, vlp16):
    one, other = (drive.truth(0, drive.frame(0)) for drive in (kitti, vlp16))
    known = ~one.invalid & ~other.invalid
    one, other = (voxels_from_raw(truth.labels)[known] for truth in (one, other))
    assert (one == other).mean() > 0.998
    assert ((one > 0) & (other > 0)).sum() / ((one > 0) | (other > 0)).sum() > 0.97


@pytest.mark.parametrize("seed", [2, 4])
def test_points_project_onto_pixels_of_their_class(seed):
    drive = Drive(seed, 1, rig="random")
    frame, calibration = drive.frame(0), drive.sensors.calibration
    assert frame.image.shape[1::-1] == calibration.image_size
    uv, depth = calibration.project(frame.points)
    seen = calibration.in_view(uv) & (depth > 4) & (depth < 25) & (frame.point_labels > 0)
    column, row = np.floor(uv[seen]).astype(int).T
    pixels, points = points_from_raw(frame.pixel_labels[row, column]), points_from_raw(frame.point_labels[seen])
    assert seen.sum() > 100 and (pixels == points).mean() > 0.85


def test_points_have_times_where_the_lidar_spins(vlp16, kitti):
    frame = vlp16.frame(0)
    assert len(frame.point_times) == len(frame.points)
    assert -0.05 <= frame.point_times.min() < -0.04 and 0.04 < frame.point_times.max() <= 0.05
    ahead = np.abs(np.arctan2(frame.points[:, 1], frame.points[:, 0])) < 0.1
    assert np.abs(frame.point_times[ahead]).max() < 0.003
    assert not kitti.frame(0).point_times.any()


def test_a_sensor_without_intensities_gives_zeros(kitti):
    drive = Drive(SEED, 2)
    drive.sensors = replace(drive.sensors, lidar=replace(HDL64, intensity=None))
    blind = drive.frame(0).points
    np.testing.assert_array_equal(blind[:, :3], kitti.frame(0).points[:, :3])
    assert not blind[:, 3].any()


def test_rain_costs_points_and_night_costs_light(kitti):
    day, drive = kitti.frame(0), Drive(SEED, 2)
    sensors = drive.sensors
    drive.sensors = replace(sensors, weather=sensors.weather._replace(rain=1.0, night=True))
    night = drive.frame(0)
    assert len(night.points) < 0.95 * len(day.points)
    assert (night.point_labels == 0).mean() > 3 * (day.point_labels == 0).mean()
    assert night.image.mean() < 0.6 * day.image.mean()
    np.testing.assert_array_equal(night.pixel_labels, day.pixel_labels)


def test_the_files_say_what_the_rig_is(tmp_path):
    path = generate(tmp_path, "90", 1, SEED, progress=False, threads=1, rig="random")
    written, drive = Sequence(path), open_drive(f"synthetic:{SEED}:1:random")
    np.testing.assert_array_equal(written.scan("000000"), drive.scan("000000"))
    np.testing.assert_array_equal(written.voxel_labels("000000"), drive.voxel_labels("000000"))
    np.testing.assert_allclose(written.rig.mounting, drive.rig.mounting)
    np.testing.assert_allclose(written.calibration.P_lidar, drive.calibration.P_lidar, atol=1e-3)
    np.testing.assert_allclose(written.calibration.T_grid_lidar, drive.calibration.T_grid_lidar)
    assert read_rig(path / "rig.yaml").sensor == drive.rig.sensor
    times = np.fromfile(path / "point_times/000000.bin", "<f4")
    assert len(times) == len(drive.scan("000000"))


def test_kittis_own_rig_needs_no_file(tmp_path):
    path = generate(tmp_path, "90", 1, SEED, voxels_every=0, progress=False)
    assert not (path / "rig.yaml").exists() and not (path / "point_times").exists()


def test_a_rig_of_ones_own(tmp_path):
    path = write_rig(tmp_path / "robot.yaml", replace(read_rig("vlp16"), T_ground_lidar=Rig.at_height(0.6).mounting))
    frame = Drive(SEED, 1, rig=str(path)).frame(0)
    assert ground_height(frame.points, frame.point_labels) == pytest.approx(-0.6, abs=0.15)
    write_rig(tmp_path / "unknown.yaml", Rig.at_height(0.6))
    with pytest.raises(DataError, match="unknown\\.yaml: no sensor"):
        Drive(SEED, 1, rig=str(tmp_path / "unknown.yaml"))


def test_streets_with_rigs_have_names_of_their_own_and_can_be_copied():
    drive = open_drive("synthetic:7:3:random")
    assert (drive.name, str(drive.path)) == ("synthetic-7-random", "synthetic:7:3:random")
    again = copy(drive)
    np.testing.assert_array_equal(again.calibration.P_lidar, drive.calibration.P_lidar)


def test_unknown_rigs_are_named():
    with pytest.raises(DataError, match="synthetic:7:3:vlp99: vlp99: no such rig"):
        open_drive("synthetic:7:3:vlp99")
    with pytest.raises(DataError, match="synthetic:7:3:: expected synthetic:SEED"):
        open_drive("synthetic:7:3:")
    with pytest.raises(RigError, match="vlp99: no such rig"):
        Drive(7, 1, rig="vlp99")
