"""Depth images: KITTI's PNGs, and folders of them for the frames of a drive."""

import os

import cv2
import numpy as np
import pytest

from occ_core.calibration import Calibration
from occ_data import DataError
from occ_data.kitti import DepthFolder, read_depth


class Camera:
    """What a folder of depths asks of a drive."""

    name = "08"
    calibration = Calibration(np.array([[60.0, 0, 48, 0], [0, 60, 16, 0], [0, 0, 1, 0]]), np.eye(4), (96, 32))


def png(path, values, kind=np.uint16):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.asarray(values).astype(kind))
    return path


def test_a_png_holds_256_a_metre_and_zero_where_unknown(tmp_path):
    values = np.zeros((32, 96))
    values[3, 4], values[5, 6] = 256, 12345
    depth = read_depth(png(tmp_path / "depth.png", values))
    assert depth.shape == (32, 96) and depth.dtype.kind == "f"
    assert depth[3, 4] == 1 and depth[5, 6] == 12345 / 256 and np.count_nonzero(depth) == 2


def test_a_folder_holds_one_for_each_frame_of_each_drive(tmp_path):
    png(tmp_path / "08" / "000005.png", np.full((32, 96), 2560))
    depths = DepthFolder(tmp_path)
    assert depths.has(Camera, "000005") and not depths.has(Camera, "000006")
    assert (depths.read(Camera, "000005") == 10).all()
    depths.check(Camera, ["000005"])
    with pytest.raises(DataError, match=r"08/000006.png: missing \(nor are those of 1 more frames of 08\)"):
        depths.check(Camera, ["000005", "000006", "000007"])


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda path: png(path, np.full((32, 96), 30_000)), None),
        (
            lambda path: png(path, np.full((32, 96), 40_000)),
            "beyond 156 m; expected 256 a metre; are these millimetres",
        ),
        (lambda path: png(path, np.full((16, 48), 2560)), "48x16; expected 96x32, the image's size"),
        (lambda path: png(path, np.full((32, 96), 25), np.uint8), "8-bit; expected a PNG of 16 bits"),
        (lambda path: png(path, np.full((32, 96, 3), 25), np.uint8), "3 channels; expected a gray PNG"),
        (lambda path: path.write_bytes(b"\x89PNG"), "not a whole PNG"),
        (os.mkfifo, "a pipe or a device; expected a file"),
        (os.mkdir, "Is a directory"),
        (lambda path: None, "No such file"),
    ],
)
def test_what_cannot_be_used_is_one_line(tmp_path, write, words):
    (tmp_path / "08").mkdir()
    write(tmp_path / "08" / "000005.png")
    if words is None:
        assert DepthFolder(tmp_path).read(Camera, "000005").max() < 120
        return
    with pytest.raises(DataError, match=words) as error:
        DepthFolder(tmp_path).read(Camera, "000005")
    assert "000005.png" in str(error.value) and "\n" not in str(error.value)


def test_a_folder_that_is_missing_is_said_at_once(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        DepthFolder(tmp_path / "absent")
