"""`occ-data`: exit codes, one clear line, files made."""

import pytest

from occ_cli.data import main
from occ_data.kitti import Sequence


def run(*arguments) -> int:
    return main([str(argument) for argument in arguments])


def test_ground_truth_verb_makes_a_data_set(tiny_sequence, tmp_path):
    root = tiny_sequence.path.parents[1]
    assert run("ground-truth", root, "--sequences", "90", "--output", tmp_path / "out", "--every", 3) == 0
    assert Sequence(tmp_path / "out/sequences/90").has_voxels("000000")


def test_ground_truth_says_what_it_left_alone(tiny_sequence, capsys):
    root = tiny_sequence.path.parents[1]
    for _ in range(2):
        assert run("ground-truth", root, "--every", 3) == 0
    assert "1 frames had voxel files already" in capsys.readouterr().err


def test_the_bag_verb_undoes_itself(tiny_sequence, tmp_path):
    assert run("bag", tiny_sequence.path, "-o", tmp_path / "bag", "--frames", 2) == 0
    assert run("bag", tmp_path / "bag", "-o", tmp_path / "back/sequences/91") == 0
    assert len(Sequence(tmp_path / "back/sequences/91")) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ground-truth", "nowhere"), "nowhere: no folder 'sequences' in it"),
        (("bag", "nowhere", "-o", "bag"), "nowhere: expected a sequence folder (with velodyne/ or image_2/), a bag"),
        (("bag", "nowhere.bag", "-o", "out/sequences/00"), "nowhere.bag: no such bag"),
    ],
)
def test_bad_input_is_one_line_and_code_2(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"occ-data {arguments[0]}: ") and message in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_truncated_scan_is_one_line_and_code_2(tiny_sequence, tmp_path, capsys):
    scan = tiny_sequence.path / "velodyne/000001.bin"
    scan.write_bytes(scan.read_bytes()[:-7])
    assert run("bag", tiny_sequence.path, "-o", tmp_path / "bag") == 2
    assert "000001.bin" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "bag").exists()
