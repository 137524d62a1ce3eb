"""The synthetic street: its files, and that camera, LiDAR, labels and voxel truth speak of one and the same world."""

import numpy as np
import pytest

from occ_core import IGNORE, KITTI_GRID
from occ_core.taxonomy import points_from_raw, voxels_from_raw
from occ_data.kitti import Sequence
from occ_data.synthetic import Drive, generate

pytest.importorskip("embreex")
SEED, ROAD = 6, 40


@pytest.fixture(scope="module")
def drive():
    return Drive(SEED, frames=2, step=3.0)


@pytest.fixture(scope="module")
def frame(drive):
    return drive.frame(0)


@pytest.fixture(scope="module")
def truth(drive, frame):
    return drive.truth(0, frame)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("synthetic")
    return Sequence(generate(root, "90", 2, SEED, voxels_every=2, progress=False, step=3.0, threads=1))


def test_the_scan_resembles_an_hdl64(frame):
    distance = np.linalg.norm(frame.points[:, :3], axis=1)
    assert 100_000 < len(frame.points) < 138_560
    assert distance.min() > 1.3 and distance.max() < 80.5
    assert frame.points[:, 3].min() >= 0 and frame.points[:, 3].max() < 1


def test_road_points_lie_on_the_ground_plane(frame):
    x, y, z, _ = frame.points.T
    near = (frame.point_labels & 0xFFFF == ROAD) & (np.hypot(x, y) < 12)
    tilt = np.linalg.lstsq(np.stack([x[near], y[near], np.ones(near.sum())], 1), z[near], rcond=None)[0]
    assert near.sum() > 5000
    assert -1.95 < tilt[2] < -1.5
    assert np.abs(z[near] - (x[near] * tilt[0] + y[near] * tilt[1] + tilt[2])).max() < 0.3


def test_points_project_onto_pixels_of_their_class(drive, frame):
    calibration = drive.sensors.calibration
    uv, depth = calibration.project(frame.points)
    seen = calibration.in_view(uv) & (depth < 30) & (frame.point_labels > 0)
    column, row = np.floor(uv[seen]).astype(int).T
    pixels, points = points_from_raw(frame.pixel_labels[row, column]), points_from_raw(frame.point_labels[seen])
    # LiDAR and camera stand apart, so that edges differ.
    assert (pixels == points).mean() > 0.93


def test_the_scan_hits_what_the_truth_calls_occupied(frame, truth):
    labels = voxels_from_raw(truth.labels, truth.invalid)
    index, inside = KITTI_GRID.index_of(frame.points)
    classes = labels[tuple(index.T)]
    real = (classes != IGNORE) & (frame.point_labels[inside] > 0)
    assert (classes[real] > 0).mean() > 0.95
    assert np.array_equal(np.argwhere(truth.occupied), np.unique(index, axis=0))


def test_most_points_lie_in_voxels_of_their_class(frame, truth):
    index, inside = KITTI_GRID.index_of(frame.points)
    voxels = voxels_from_raw(truth.labels)[tuple(index.T)]
    points = points_from_raw(frame.point_labels[inside])
    known = points != IGNORE
    assert (voxels[known] == points[known]).mean() > 0.9


def test_the_truth_resembles_semantickitti(truth):
    labels = voxels_from_raw(truth.labels, truth.invalid)
    known = labels != IGNORE
    assert 0.02 < (labels[known] > 0).mean() < 0.12
    assert 0.05 < 1 - known.mean() < 0.55
    columns = (labels == 9).sum(2)
    assert columns[columns > 0].mean() < 1.4


def test_what_was_seen_is_valid(truth):
    assert not truth.invalid[truth.labels > 0].any()
    # Of the empty voxels in sight only those are invalid that a never hit surface passes through.
    assert truth.invalid[~truth.occluded & (truth.labels == 0)].mean() < 0.1


def test_moving_things_stand_where_they_are_now():
    drive = next(d for d in (Drive(seed, 1, 1.0) for seed in range(SEED, SEED + 20)) if d.world.movers)
    before, after = drive.world.moving(0.0), drive.world.moving(0.1)
    assert set(np.unique(before.label)) <= set(range(252, 260))
    step = (
        np.linalg.norm(after.vertices - before.vertices, axis=1) if len(before.vertices) == len(after.vertices) else 0
    )
    assert 0.05 < np.max(step) < 2


def test_the_files_are_semantickittis(written, drive):
    assert written.frames == ["000000", "000001"]
    assert written.image("000000").shape[1::-1] == drive.sensors.calibration.image_size
    assert written.scan("000000").shape[1] == 4
    assert len(written.point_labels("000001")) == len(written.scan("000001"))
    assert [written.has_voxels(frame) for frame in written.frames] == [True, False]
    assert written.voxel_labels("000000").shape == KITTI_GRID.shape
    sizes = {f.suffix: f.stat().st_size for f in (written.path / "voxels").iterdir()}
    assert sizes == {".label": 4194304, ".invalid": 262144, ".bin": 262144, ".occluded": 262144}


def test_poses_and_calibration_come_back(written, drive):
    relative = np.linalg.inv(drive.pose_at(0.0)) @ drive.pose_at(3.0)
    np.testing.assert_allclose(written.poses[1], relative, atol=1e-4)
    np.testing.assert_allclose(written.calibration.P_lidar, drive.sensors.calibration.P_lidar, rtol=1e-5, atol=1e-4)


def test_a_seed_means_the_same_files(written, drive, frame, truth):
    np.testing.assert_array_equal(written.scan("000000"), frame.points)
    np.testing.assert_array_equal(written.point_labels("000000"), frame.point_labels)
    np.testing.assert_array_equal(written.image("000000"), frame.image)
    np.testing.assert_array_equal(written.voxel_labels("000000"), voxels_from_raw(truth.labels, truth.invalid))


def test_the_files_do_not_depend_on_the_number_of_threads(written, tmp_path):
    shared = generate(tmp_path, "90", 2, SEED, voxels_every=0, progress=False, step=3.0, threads=2)
    for file in ("velodyne/000000.bin", "velodyne/000001.bin", "labels/000001.label", "image_2/000001.png"):
        assert (shared / file).read_bytes() == (written.path / file).read_bytes()


def test_bad_arguments_are_named(tmp_path):
    with pytest.raises(ValueError, match="frames: expected at least 1, got 0"):
        generate(tmp_path, "90", 0, 1)
    with pytest.raises(ValueError, match="step"):
        generate(tmp_path, "90", 1, 1, step=0.0)
