"""Files that nobody writes in good faith, or a broken program: refused with one line that names them."""

import os
from types import SimpleNamespace

import numpy as np
import pytest
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from occ_data import open_drive
from occ_data.bags import BagError, expansion, read_bag, write_bag
from occ_data.bags.reader import jazzy
from occ_data.drive import is_number
from occ_data.kitti import DataError, Sequence, SequenceWriter

LIMIT = "expected at most 64,000,000"


def rewrite(sequence, name: str, row: int, text: str) -> Sequence:
    """Put another text in place of one line of a file."""
    path = sequence.path / name
    lines = path.read_text().splitlines()
    lines[row] = text
    path.write_text("\n".join(lines) + "\n")
    return Sequence(sequence.path)


BAD_POSES = {
    "nan": "nan " * 12,
    "infinite": "1 0 0 inf 0 1 0 0 0 0 1 0",
    "far": "1 0 0 1e300 0 1 0 0 0 0 1 0",
    "singular": "0 0 0 0 0 0 0 0 0 0 0 0",
    "scaled": "2 0 0 0 0 2 0 0 0 0 2 0",
    "huge": "1e300 0 0 0 0 1e300 0 0 0 0 1e300 0",
    "mirrored": "-1 0 0 0 0 1 0 0 0 0 1 0",
}


@pytest.mark.parametrize("pose", BAD_POSES.values(), ids=BAD_POSES)
def test_every_pose_is_a_rotation_and_a_translation(tiny_sequence, pose):
    with pytest.raises(DataError, match=r"poses\.txt: row 2: expected a rotation"):
        _ = rewrite(tiny_sequence, "poses.txt", 1, pose).poses


@pytest.mark.parametrize("time", ["nan", "inf", "-inf", "1e12", "1e300"])
def test_every_time_is_a_number_of_seconds(tiny_sequence, time):
    with pytest.raises(DataError, match=r"times\.txt: row 3: .* expected seconds below 1e\+10"):
        _ = rewrite(tiny_sequence, "times.txt", 2, time).times


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (2, "P2: 60 0 48 0 0 60 16 0 0 0 0 0"),
        (2, "P2: nan" + " 0" * 11),
        (4, "Tr:" + " 0" * 12),
        (4, "Tr:" + " 2" * 12),
    ],
)
def test_a_calibration_of_no_camera_is_refused(tiny_sequence, row, text):
    sequence = rewrite(tiny_sequence, "calib.txt", row, text)
    for read in ("calibration", "poses"):
        with pytest.raises(DataError, match=r"calib\.txt: ") as caught:
            getattr(sequence, read)
        assert "\n" not in str(caught.value)


def test_an_image_that_claims_too_many_pixels_is_refused(tiny_sequence):
    path = tiny_sequence.file("image_2", "000001", "png")
    data = path.read_bytes()
    path.write_bytes(data[:16] + (60_000).to_bytes(4, "big") * 2 + data[24:])
    with pytest.raises(DataError, match=f"000001.png: 60000x60000 pixels; {LIMIT}"):
        tiny_sequence.image("000001")


def test_pipes_and_devices_are_not_read(tiny_sequence, tmp_path):
    for folder, suffix in (("velodyne", "bin"), ("image_2", "png"), ("labels", "label")):
        path = tiny_sequence.file(folder, "000001", suffix)
        path.unlink()
        os.mkfifo(path)
    for read in (tiny_sequence.scan, tiny_sequence.image, tiny_sequence.point_labels):
        with pytest.raises(DataError, match=r"cannot be read: a pipe or a device|expected 0"):
            read("000001")
    (tiny_sequence.path / "calib.txt").unlink()
    (tiny_sequence.path / "calib.txt").symlink_to("/dev/zero")
    with pytest.raises(DataError, match=r"calib\.txt: cannot be read: a pipe or a device"):
        _ = Sequence(tiny_sequence.path).poses


@pytest.mark.parametrize("name", ["a.mcap", "a.bag", "a.db3"])
def test_a_pipe_is_no_bag(tmp_path, name):
    os.mkfifo(tmp_path / name)
    (tmp_path / "metadata.yaml").write_text("")
    for path in (tmp_path / name, tmp_path):
        with pytest.raises(BagError, match="a pipe or a device; expected the files of a bag"):
            list(read_bag(path))


@pytest.mark.parametrize("digits", ["\u00b2", "\u0661", "-1", "", "1.0", "9" * 5000])
def test_numbers_of_frames_are_ascii_digits(tiny_sequence, digits):
    assert not is_number(digits) and is_number("000007")
    if digits and len(digits) < 100:
        (tiny_sequence.path / f"velodyne/{digits}.bin").write_bytes(bytes(16))
    assert Sequence(tiny_sequence.path).frames == ["000000", "000001", "000002"]
    with pytest.raises(DataError, match="expected synthetic:SEED"):
        open_drive(f"synthetic:{digits}")


def test_nothing_unusable_is_written(tmp_path):
    writer = SequenceWriter(tmp_path, "00")
    with pytest.raises(DataError, match=r"scan of frame 000000: expected shape \(N, 4\) with N > 0, got \(0, 4\)"):
        writer.write_frame("000000", scan=np.zeros((0, 4), np.float32))
    poses = np.tile(np.eye(4), (3, 1, 1))
    poses[1, 0, 3] = np.nan
    with pytest.raises(DataError, match=r"poses\.txt: pose 1 is not finite"):
        writer.write_poses(poses)
    with pytest.raises(DataError, match=r"times\.txt: time 2 is not finite"):
        writer.write_times(np.array([0, 1, np.inf]))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_times_beyond_a_ros_stamp_make_no_bag(tiny_sequence, tmp_path):
    sequence = rewrite(tiny_sequence, "times.txt", 2, "1.7e9")
    with pytest.raises(BagError, match=r"times up to 1\.7e\+09 s; a ROS stamp holds at most 830,483,648 s"):
        write_bag(sequence, tmp_path / "bag")
    assert not (tmp_path / "bag").exists()


@pytest.fixture(params=[mode for mode in CompressionMode if mode != CompressionMode.NONE])
def compressed_bag(request, tmp_path):
    """A bag of one message that compresses well, in each of the ways that rosbag2 knows."""
    path = tmp_path / "bag"
    writer = Writer(path, version=9, storage_plugin=StoragePlugin.MCAP)
    writer.set_compression(request.param, CompressionFormat.ZSTD)
    with writer:
        kind = "std_msgs/msg/String"
        topic = writer.add_connection("/text", kind, typestore=jazzy())
        writer.write(topic, 1, jazzy().serialize_cdr(jazzy().types[kind]("0" * 100_000), kind))
    return path


def test_a_compressed_bag_is_read(compressed_bag):
    ((topic, _, _, data),) = read_bag(compressed_bag)
    assert (topic, len(data)) == ("/text", 100_009)


def test_a_compressed_bag_expands_to_no_more_than_it_may(compressed_bag, monkeypatch):
    monkeypatch.setattr(expansion, "CHUNK_LIMIT", 1000)
    monkeypatch.setattr(expansion, "MESSAGE_LIMIT", 1000)
    monkeypatch.setattr(expansion.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(BagError, match="expands to more than"):
        list(read_bag(compressed_bag))


def test_compressed_data_that_is_cut_off_is_refused():
    whole = expansion.zstd.compress(b"0" * 1000)
    with pytest.raises(expansion.ExpansionError, match="cut off"):
        expansion.expand_message(whole[:-4])
