"""Every data set is a Drive: sequence folder, bag and synthetic street answer alike."""

import multiprocessing
import pickle
import tracemalloc

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer

from occ_core.calibration_file import write_kitti_calibration
from occ_core.grid import KITTI_GRID, Grid
from occ_data import DataError, Sequence, SequenceWriter, open_drive, write_sequence
from occ_data.bags import BagDrive, BagError, BagOptions, bag_topics, read_bag, write_bag
from occ_data.bags.reader import jazzy

from ..conftest import write_tiny_sequence


@pytest.fixture
def drive(tmp_path) -> Sequence:
    return write_tiny_sequence(tmp_path / "tiny", "90", frames=8)


@pytest.fixture
def bag(drive, tmp_path):
    write_bag(drive, tmp_path / "recorded")
    return tmp_path / "recorded"


def copied(bag, target, keep, storage=StoragePlugin.MCAP):
    """The bag with some of its topics."""
    topics = {topic: kind for topic, (kind, _) in bag_topics(bag).items() if keep(topic)}
    with Writer(target, version=8, storage_plugin=storage) as writer:
        connections = {topic: writer.add_connection(topic, kind, typestore=jazzy()) for topic, kind in topics.items()}
        for topic, _, stamp, data in read_bag(bag, topics):
            writer.write(connections[topic], stamp, data)
    return target


def assert_same_frames(one, other):
    assert one.frames == other.frames == one.image_frames
    for frame in one.frames:
        np.testing.assert_array_equal(one.image(frame), other.image(frame))
        np.testing.assert_array_equal(one.scan(frame), other.scan(frame))


def test_a_bag_is_read_as_the_sequence_it_was_made_from(drive, bag):
    recorded = open_drive(bag)
    assert isinstance(recorded, BagDrive) and recorded.name == "recorded" and recorded.unpaired == 0
    assert_same_frames(recorded, drive)
    np.testing.assert_allclose(recorded.poses, drive.poses, atol=1e-9)
    np.testing.assert_allclose(recorded.times, drive.times, atol=1e-9)
    np.testing.assert_allclose(recorded.calibration.P_lidar, drive.calibration.P_lidar, atol=1e-9)
    assert recorded.calibration.image_size == (96, 32) and recorded.has_poses
    assert not (recorded.voxel_frames or recorded.has_voxels("000000") or recorded.has_labels("000000"))


@pytest.mark.parametrize("storage", list(StoragePlugin))
def test_frames_of_a_bag_are_read_in_any_order(drive, bag, tmp_path, storage):
    recorded = BagDrive(copied(bag, tmp_path / "copy", lambda topic: True, storage))
    for frame in np.random.default_rng(0).permutation(recorded.frames * 3).tolist():
        np.testing.assert_array_equal(recorded.scan(frame), drive.scan(frame))
        np.testing.assert_array_equal(recorded.image(frame), drive.image(frame))


def test_a_bag_survives_pickling_and_forking(drive, bag):
    recorded = BagDrive(bag)
    recorded.scan("000003")
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(recorded)).scan("000004"), drive.scan("000004"))  # noqa: S301
    with multiprocessing.get_context("fork").Pool(2) as pool:
        for frame, scan in zip(drive.frames, pool.map(recorded.scan, drive.frames), strict=True):
            np.testing.assert_array_equal(scan, drive.scan(frame))
    np.testing.assert_array_equal(recorded.scan("000004"), drive.scan("000004"))


def test_memory_stays_flat_over_a_bag(tmp_path):
    write_bag(write_tiny_sequence(tmp_path / "long", "90", frames=90), tmp_path / "bag")
    recorded, peaks = BagDrive(tmp_path / "bag"), []
    recorded.scan("000000")
    tracemalloc.start()
    for frames in (recorded.frames[:30], recorded.frames):
        tracemalloc.reset_peak()
        for frame in frames:
            recorded.image(frame), recorded.scan(frame)
        peaks.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]


def test_a_bag_without_clouds_has_its_images_as_frames(drive, bag, tmp_path):
    camera = copied(bag, tmp_path / "camera", lambda topic: "velo" not in topic)
    recorded = BagDrive(camera, BagOptions(lidar_frame="velo_link"))
    assert recorded.image_frames == drive.frames and not recorded.has_scan("000000")
    np.testing.assert_array_equal(recorded.image("000005"), drive.image("000005"))
    np.testing.assert_allclose(recorded.calibration.P_lidar, drive.calibration.P_lidar, atol=1e-9)
    with pytest.raises(BagError, match="camera: read without clouds"):
        _ = recorded.frames


def test_a_calibration_file_gives_the_extrinsics_that_a_bag_lacks(drive, bag, tmp_path):
    without = copied(bag, tmp_path / "without", lambda topic: "tf" not in topic)
    file = write_kitti_calibration(tmp_path / "calib.txt", {"P2": drive.calibration.P}, drive.calibration.T_cam_lidar)
    recorded = BagDrive(without, BagOptions(calibration_file=file))
    np.testing.assert_allclose(recorded.calibration.P_lidar, drive.calibration.P_lidar, atol=1e-9)


@pytest.mark.parametrize("frame", ["000008", "abc"])
def test_a_frame_that_a_bag_does_not_have_is_named(bag, frame):
    with pytest.raises(BagError, match=f"no frame '{frame}'; expected 000000 to 000007"):
        BagDrive(bag).scan(frame)


def test_a_malformed_cloud_in_a_bag_is_named_with_its_topic(bag, tmp_path):
    with Writer(tmp_path / "odd", version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        connections = {}
        for topic, kind, stamp, data in read_bag(bag):
            if kind.endswith("PointCloud2"):
                message = jazzy().deserialize_cdr(data, kind)
                message.fields[2].offset = 2147483647
                data = jazzy().serialize_cdr(message, kind)
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=jazzy())
            writer.write(connections[topic], stamp, data)
    with pytest.raises(BagError, match=r"^/kitti/velo/pointcloud: points: point_step 16 is too small; field 'z' ends"):
        BagDrive(tmp_path / "odd").scan("000000")


def test_any_drive_becomes_a_sequence(drive, tmp_path):
    again = Sequence(write_sequence(drive, tmp_path / "again", "91", frames=3))
    assert again.frames == drive.frames[:3]
    np.testing.assert_array_equal(again.point_labels("000002"), drive.point_labels("000002"))
    np.testing.assert_allclose(again.poses, drive.poses[:3], atol=1e-12)
    np.testing.assert_array_equal(again.calibration.P, drive.calibration.P)


def test_the_voxel_truth_of_another_grid(drive, tmp_path):
    grid = Grid((16, 16, 4), 1.6, (0.0, -12.8, -2.0))
    raw = np.random.default_rng(0).choice(np.array([0, 40, 50], np.uint16), grid.shape)
    writer = SequenceWriter(drive.path.parents[1], "90", grid)
    writer.write_voxels("000000", raw, invalid=raw == 50)
    again = Sequence(drive.path)
    assert again.grid == grid and again.voxel_frames == ["000000"]
    np.testing.assert_array_equal(again.voxel_labels("000000"), np.select([raw == 50, raw == 40], [255, 9]))
    with pytest.raises(DataError, match=r"voxels of shape \(256, 256, 32\) cannot be written"):
        writer.write_voxels("000000", np.zeros(KITTI_GRID.shape))


@pytest.mark.parametrize("content", ["shape: [1, 2]", "[]", "{", "shape: [1, 2, 3]\nvoxel_size: 0\norigin: [0, 0, 0]"])
def test_a_grid_file_that_cannot_be_used_is_named(drive, content):
    (drive.path / "voxels").mkdir()
    (drive.path / "voxels/grid.yaml").write_text(content)
    with pytest.raises(DataError, match=r"voxels/grid\.yaml: expected shape"):
        _ = Sequence(drive.path).grid


def test_a_synthetic_street_is_a_drive():
    pytest.importorskip("embreex")
    street = open_drive("synthetic:6:2")
    assert (street.name, street.frames) == ("synthetic-6", ["000000", "000001"])
    image, scan = street.image("000001"), street.scan("000001")
    assert image.shape[1::-1] == street.calibration.image_size
    assert len(street.point_labels("000001")) == len(scan) > 50_000
    assert street.pseudo_labels("000001").shape == image.shape[:2]
    assert street.voxel_labels("000001").shape == street.grid.shape == KITTI_GRID.shape
    np.testing.assert_allclose(street.poses[0], np.eye(4), atol=1e-12)
    np.testing.assert_allclose(street.poses[1][:3, 3], (0.8, 0, 0), atol=0.1)
    again = pickle.loads(pickle.dumps(street))  # noqa: S301
    np.testing.assert_array_equal(again.scan("000001"), scan)
    with pytest.raises(DataError, match="no frame '000002'"):
        street.scan("000002")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("synthetic:", "expected synthetic:SEED"),
        ("synthetic:1:2:3", "synthetic:1:2:3: 3: no such rig"),
        ("synthetic:1:2:vlp16:3", "expected synthetic:SEED"),
        ("synthetic:1:0", "expected seed >= 0 and frames >= 1"),
        ("nowhere", "nowhere: expected a sequence folder .* there is none"),
        ("nowhere.mcap", "nowhere.mcap: no such bag"),
    ],
)
def test_what_is_no_drive_is_refused(source, words, tmp_path, monkeypatch):
    pytest.importorskip("embreex")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=words):
        open_drive(source)
