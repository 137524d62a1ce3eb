"""Predictions on disk: exactly the files that SemanticKITTI's tools expect."""

import shutil

import numpy as np
import pytest

from occ_node.perception import KITTI_GRID
from occ_node.perception.voxelizer import occupancy_grid
from occ_node.tools.cli import main


def infer(dataset, bundle, output) -> int:
    return main(
        ["infer", "--bundle", str(bundle.path), "--backend", "fake", "--dataset", str(dataset), "--sequences", "90",
         "--output", str(output)]
    )  # fmt: skip


def test_every_frame_gets_its_raw_labels(drive, fake_bundle, tmp_path):
    assert infer(drive.path.parents[1], fake_bundle, tmp_path) == 0
    written = sorted((tmp_path / "sequences/90/predictions").iterdir())
    assert [file.name for file in written] == [f"{frame}.label" for frame in drive.frames]
    for file, frame in zip(written, drive.frames, strict=True):
        raw = np.fromfile(file, "<u2").reshape(256, 256, 32)
        assert np.array_equal(raw, 50 * occupancy_grid(drive.scan(frame), KITTI_GRID).astype(np.uint16))


@pytest.mark.parametrize(
    ("file", "size"), [("velodyne/000007.bin", 1000), ("image_2/000007.png", 100), ("calib.txt", 200)]
)
def test_a_truncated_file_ends_it_and_is_named(drive, fake_bundle, tmp_path, capsys, file, size):
    shutil.copytree(drive.path, tmp_path / "sequences/90")
    damaged = tmp_path / "sequences/90" / file
    damaged.write_bytes(damaged.read_bytes()[:size])
    assert infer(tmp_path, fake_bundle, tmp_path / "out") == 2
    assert str(damaged) in capsys.readouterr().err


def test_real_frames_pass(real_data, fake_bundle, tmp_path):
    arguments = ["--dataset", str(real_data), "--sequences", "07", "--output", str(tmp_path)]
    assert main(["infer", "--bundle", str(fake_bundle.path), "--backend", "fake", *arguments]) == 0
    assert len(list((tmp_path / "sequences/07/predictions").glob("*.label"))) == 10
