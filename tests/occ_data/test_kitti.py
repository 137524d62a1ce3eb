"""SemanticKITTI files: read and written to the bit, refused with one clear line."""

import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from occ_core.grid import KITTI_GRID
from occ_core.voxelizer import occupancy_grid
from occ_data.kitti import (
    DataError,
    Sequence,
    SequenceWriter,
    read_bits,
    read_voxel_labels,
    sequences,
    write_bits,
    write_voxel_labels,
)

SHAPE = (256, 256, 32)


def test_first_voxel_is_the_highest_bit(tmp_path):
    grid = np.zeros(SHAPE, np.uint8)
    grid[0, 0, 0] = grid[0, 0, 7] = 1
    write_bits(tmp_path / "a.bin", grid)
    data = (tmp_path / "a.bin").read_bytes()
    assert len(data) == 262144 and data[0] == 0x81 and not any(data[1:])


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1))
def test_voxel_files_come_back_to_the_bit(tmp_path, seed):
    random = np.random.default_rng(seed)
    bits = random.integers(0, 2, SHAPE, np.uint8)
    labels = random.integers(0, 65536, SHAPE, np.uint16)
    write_bits(tmp_path / "a.invalid", bits)
    write_voxel_labels(tmp_path / "a.label", labels)
    np.testing.assert_array_equal(read_bits(tmp_path / "a.invalid"), bits)
    np.testing.assert_array_equal(read_voxel_labels(tmp_path / "a.label"), labels)


def test_frames_come_back_to_the_bit(tmp_path):
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (37, 53, 3), np.uint8)
    scan = random.normal(size=(100, 4)).astype(np.float32)
    scan[:, 3] = random.uniform(0, 1, 100)
    labels = random.integers(0, 2**32, 100, np.uint32)
    writer = SequenceWriter(tmp_path, "42")
    writer.write_frame("000007", image, scan, labels)
    sequence = Sequence(writer.path)
    assert sequence.name == "42" and sequence.frames == ["000007"]
    np.testing.assert_array_equal(sequence.image("000007"), image)
    np.testing.assert_array_equal(sequence.scan("000007"), scan)
    np.testing.assert_array_equal(sequence.point_labels("000007"), labels)


def test_calibration_and_times_come_back_exactly(tmp_path):
    random = np.random.default_rng(1)
    rows = {f"P{n}": random.normal(size=(3, 4)) for n in range(4)}
    rows["P2"][:, :3] = [(700.123456789, 1 / 3, 600 / 7), (0, 700.123456789, 170 / 3), (0, 0, 1)]
    Tr = np.hstack([np.eye(3), [[0.1], [1 / 3], [-0.3]]])
    writer = SequenceWriter(tmp_path, "00")
    writer.write_calibration(rows, Tr)
    writer.write_times(np.array([0, 1 / 3]))
    writer.write_poses(np.eye(4)[None].repeat(2, 0))
    for frame in ("000000", "000001"):
        writer.write_frame(frame, np.zeros((4, 6, 3), np.uint8), np.ones((1, 4)))
    sequence = Sequence(writer.path)
    np.testing.assert_array_equal(sequence.calibration.P, rows["P2"])
    np.testing.assert_array_equal(sequence.calibration.T_cam_lidar[:3], Tr)
    assert sequence.calibration.image_size == (6, 4)
    np.testing.assert_array_equal(sequence.times, [0, 1 / 3])


def test_poses_are_those_of_the_lidar(tiny_sequence):
    # The camera went 1 m a frame along its z, which is the LiDAR's x.
    for n, pose in enumerate(tiny_sequence.poses):
        expected = np.eye(4)
        expected[0, 3] = n
        np.testing.assert_allclose(pose, expected, atol=1e-12)


def test_moving_motorcyclist_is_not_taken_for_ignore(tiny_sequence):
    raw = np.zeros(SHAPE, np.uint16)
    raw[1, 1, 1], raw[2, 2, 2], raw[3, 3, 3], raw[4, 4, 4] = 255, 52, 40, 40
    invalid = np.zeros(SHAPE, bool)
    invalid[4, 4, 4] = True
    SequenceWriter(tiny_sequence.path.parents[1], "90").write_voxels("000000", raw, invalid)
    labels = tiny_sequence.voxel_labels("000000")
    assert [labels[n, n, n] for n in range(5)] == [0, 8, 255, 9, 255]


def test_writing_leaves_no_other_file(tiny_sequence):
    SequenceWriter(tiny_sequence.path.parents[1], "90").write_voxels("000000", np.zeros(SHAPE), invalid=np.zeros(SHAPE))
    names = sorted(path.name for path in (tiny_sequence.path / "voxels").iterdir())
    assert names == ["000000.invalid", "000000.label"]
    assert tiny_sequence.has_voxels("000000") and not tiny_sequence.has_voxels("000001")


def _truncate(path, by):
    path.write_bytes(path.read_bytes()[:-by])


def test_truncated_scan_is_named(tiny_sequence):
    path = tiny_sequence.path / "velodyne/000001.bin"
    _truncate(path, 5)
    with pytest.raises(
        DataError, match=rf"velodyne/000001\.bin: {path.stat().st_size} bytes; expected a multiple of 16"
    ):
        tiny_sequence.scan("000001")


def test_scan_cut_between_two_points_disagrees_with_its_labels(tiny_sequence):
    _truncate(tiny_sequence.path / "velodyne/000001.bin", 16)
    with pytest.raises(DataError, match=r"labels/000001\.label: \d+ bytes; expected \d+"):
        tiny_sequence.point_labels("000001")


def test_truncated_image_is_named(tiny_sequence):
    _truncate(tiny_sequence.path / "image_2/000000.png", 40)
    with pytest.raises(DataError, match=r"image_2/000000\.png: not a whole PNG"):
        tiny_sequence.image("000000")


@pytest.mark.parametrize(("suffix", "read"), [("bin", read_bits), ("label", read_voxel_labels)])
def test_voxel_file_of_another_size_is_named(tmp_path, suffix, read):
    path = tmp_path / f"000000.{suffix}"
    path.write_bytes(b"1234")
    with pytest.raises(DataError, match="4 bytes; expected"):
        read(path)


def test_missing_file_is_named(tiny_sequence):
    with pytest.raises(DataError, match=r"000009\.bin: cannot be read"):
        tiny_sequence.scan("000009")


def test_too_few_times_are_named(tiny_sequence):
    (tiny_sequence.path / "times.txt").write_text("0.0\n")
    with pytest.raises(DataError, match=r"times\.txt: 1 lines; expected at least 3"):
        _ = tiny_sequence.times


def test_garbled_poses_are_named(tiny_sequence):
    (tiny_sequence.path / "poses.txt").write_text("1 2 3\n" * 3)
    with pytest.raises(DataError, match=r"poses\.txt: line 1 has 3 numbers; expected 12"):
        _ = tiny_sequence.poses


def test_frames_have_a_scan_and_image_frames_an_image(tiny_sequence):
    (tiny_sequence.path / "velodyne/000001.bin").unlink()
    (tiny_sequence.path / "image_2/000002.png").unlink()
    again = Sequence(tiny_sequence.path)
    assert (again.frames, again.image_frames) == (["000000", "000002"], ["000000", "000001"])
    shutil.rmtree(again.path / "velodyne")
    without = Sequence(tiny_sequence.path)
    assert without.calibration.image_size == (96, 32)
    with pytest.raises(DataError, match="velodyne: missing or empty; expected files such as"):
        without.frames  # noqa: B018


def test_folders_that_are_no_data_set(tmp_path, tiny_sequence):
    with pytest.raises(DataError, match="no folder 'sequences'"):
        sequences(tmp_path / "nothing")
    with pytest.raises(DataError, match="91: no folder 'velodyne'"):
        sequences(tiny_sequence.path.parents[1], ["91"])
    assert [found.name for found in sequences(tiny_sequence.path.parents[1])] == ["90"]


@pytest.mark.parametrize(("name", "size"), [("00", (1241, 376)), ("03", (1242, 375)), ("07", (1226, 370))])
def test_real_image_sizes(real_data, name, size):
    assert Sequence(real_data / "sequences" / name).calibration.image_size == size


def test_real_voxel_file_is_written_back_byte_for_byte(real_data, tmp_path):
    source = real_data / "sequences/07/voxels/000000.invalid"
    write_bits(tmp_path / "copy", read_bits(source))
    assert (tmp_path / "copy").read_bytes() == source.read_bytes()


def test_real_scan_gives_the_official_occupancy(real_data):
    sequence = Sequence(real_data / "sequences/07")
    ours = occupancy_grid(sequence.scan("000005"), KITTI_GRID).astype(bool)
    official = sequence.voxel_bits("000005", "bin").astype(bool)
    assert (ours & official).sum() / (ours | official).sum() > 0.97


def test_real_road_points_fall_on_the_lower_half_of_the_image(real_data):
    sequence = Sequence(real_data / "sequences/07")
    uv, _ = sequence.calibration.project(sequence.scan("000000"))
    road = sequence.calibration.in_view(uv) & (sequence.point_labels("000000") & 0xFFFF == 40)
    assert road.sum() > 1000 and uv[road, 1].min() > 160


@pytest.mark.parametrize("first", ["000000", "000001"])
def test_the_scans_of_a_folder_have_one_scale_of_intensity(first, tiny_sequence):
    expected = [tiny_sequence.scan(frame) for frame in tiny_sequence.frames]
    for frame, scan in zip(tiny_sequence.frames, expected, strict=True):
        raw = scan * np.float32((1, 1, 1, 255))
        raw[7, 3] = 260
        raw.tofile(tiny_sequence.file("velodyne", frame, "bin"))
    drive = Sequence(tiny_sequence.path)
    drive.scan(first)
    for frame, scan in zip(drive.frames, expected, strict=True):
        scan[7, 3] = 1
        np.testing.assert_allclose(drive.scan(frame), scan, atol=1e-6)
