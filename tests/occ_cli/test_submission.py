"""The archive for the benchmark's server, and what is refused before it is written."""

import zipfile

import numpy as np
import pytest

from occ_cli.node import main
from occ_cli.verbs.submission import TEST_SEQUENCES
from occ_core import Grid
from occ_data.kitti import write_bits, write_grid, write_voxel_labels

SHAPE = (256, 256, 32)


def prediction(folder, name, frame):
    return folder / "predictions" / "sequences" / name / "predictions" / f"{frame}.label"


@pytest.fixture
def test_set(tmp_path):
    """One voxel frame in each test sequence, two in the first; predictions also of a frame that is not scored."""
    for name in TEST_SEQUENCES:
        for frame in ("000000", "000005")[: 1 + (name == "11")]:
            write_bits(tmp_path / "kitti" / "sequences" / name / "voxels" / f"{frame}.bin", np.zeros(SHAPE))
            write_voxel_labels(prediction(tmp_path, name, frame), np.full(SHAPE, 40))
    write_voxel_labels(prediction(tmp_path, "11", "000001"), np.full(SHAPE, 40))
    return tmp_path


def submit(folder, *more, output="submission.zip"):
    arguments = ["--dataset", str(folder / "kitti"), "--predictions", str(folder / "predictions")]
    return main(["submission", *arguments, "--output", str(folder / output), *more])


def test_it_holds_the_voxel_frames_alone_as_the_server_asks(test_set, capsys):
    (test_set / "about.txt").write_text("method name: mine\n")
    assert submit(test_set, "--description", str(test_set / "about.txt")) == 0
    assert "12 frames of 11 sequences" in capsys.readouterr().out
    with zipfile.ZipFile(test_set / "submission.zip") as archive:
        entries = {info.filename: info.file_size for info in archive.infolist()}
        labels = np.frombuffer(archive.read("sequences/11/predictions/000005.label"), "<u2")
    folders = {name for name in entries if name.endswith("/")}
    assert folders == {"sequences/"} | {f"sequences/{n}/{part}" for n in range(11, 22) for part in ("", "predictions/")}
    files = {name: size for name, size in entries.items() if name not in folders}
    assert files.pop("description.txt") == 18
    assert set(files) == {f"sequences/{n}/predictions/000000.label" for n in range(11, 22)} | {
        "sequences/11/predictions/000005.label"
    }  # fmt: skip
    assert set(files.values()) == {2 * 256 * 256 * 32} and (labels == 40).all()


def wrong_id(folder):
    write_voxel_labels(prediction(folder, "21", "000000"), np.full(SHAPE, 52))


def coarse(folder):
    write_grid(prediction(folder, "12", "000000").parent, Grid((128, 128, 16), 0.4))


BAD = {
    "a prediction less": (
        lambda folder: prediction(folder, "11", "000005").unlink(),
        "11/predictions/000005.label: missing; expected a prediction for every voxels",
    ),
    "a short prediction": (
        lambda folder: prediction(folder, "13", "000000").write_bytes(b"1234"), "4 bytes; expected 4194304",
    ),
    "an id without a class": (wrong_id, "21/predictions/000000.label: holds id 52"),
    "another grid": (coarse, "the benchmark takes SemanticKITTI's grid"),
    "a sequence less": (
        lambda folder: (folder / "kitti/sequences/14/voxels/000000.bin").unlink(), "14/voxels: no .bin files",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_the_server_would_refuse_is_refused_before_anything_is_written(test_set, capsys, name):
    spoil, words = BAD[name]
    spoil(test_set)
    assert submit(test_set) == 2
    assert words in capsys.readouterr().err and not (test_set / "submission.zip").exists()


def test_the_name_ends_with_zip(test_set, capsys):
    assert submit(test_set, output="submission.tar") == 2
    assert "ends with .zip" in capsys.readouterr().err
