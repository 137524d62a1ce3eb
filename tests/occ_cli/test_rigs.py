"""A LiDAR that is not mounted as KITTI's, through the verbs: the same labels in the same voxels."""

import argparse
import shutil

import numpy as np
import pytest

from occ_cli.data import main as occ_data
from occ_cli.node import main
from occ_cli.verbs import run as run_verb
from occ_cli.verbs.evaluate import evaluate
from occ_core import KITTI_GRID
from occ_core.rig import Rig, read_rig, write_rig
from occ_core.voxelizer import occupancy_grid
from occ_data import Sequence
from occ_data.bags import BagDrive
from occ_data.kitti import sequences

from ..moved import MOVES, off_the_edges, share_equal, write_moved

SHAPE = KITTI_GRID.shape


@pytest.fixture
def base(tiny_sequence, tmp_path):
    return off_the_edges(tiny_sequence, tmp_path / "base")


@pytest.fixture
def moved(base, tmp_path):
    return write_moved(base, tmp_path / "moved", MOVES["all of it"])


def infer(bundle, output, *arguments) -> np.ndarray:
    """The labels of frame 1."""
    given = ["infer", "--bundle", str(bundle.path), "--backend", "fake", "--output", str(output), *map(str, arguments)]
    assert main(given) == 0
    (file,) = output.rglob("000001.label")
    return np.fromfile(file, "<u2").reshape(SHAPE)


def test_infer_labels_the_same_voxels(base, moved, fake_bundle, tmp_path):
    expected = infer(fake_bundle, tmp_path / "unmoved", "--drive", base.path)
    assert share_equal(expected, 50 * occupancy_grid(base.scan("000001"), KITTI_GRID).astype(np.uint16)) == 1
    dataset = ("--dataset", moved.path.parents[1], "--sequences", "90")
    assert share_equal(infer(fake_bundle, tmp_path / "beside", *dataset), expected) > 0.99
    rig = (moved.path / "rig.yaml").rename(tmp_path / "own.yaml")
    assert share_equal(infer(fake_bundle, tmp_path / "without", *dataset), expected) < 0.5
    assert share_equal(infer(fake_bundle, tmp_path / "given", *dataset, "--rig", rig), expected) > 0.99


def test_infer_takes_the_rig_of_a_bag_from_its_transforms(base, moved, fake_bundle, tmp_path):
    expected = infer(fake_bundle, tmp_path / "unmoved", "--drive", base.path)
    assert main(["bag", str(moved.path), "-o", str(tmp_path / "bag")]) == 0
    assert share_equal(infer(fake_bundle, tmp_path / "out", "--drive", tmp_path / "bag"), expected) > 0.99


def test_evaluate_scores_the_scan_in_the_grid_frame(base, moved, fake_bundle, tmp_path, capsys):
    for drive in (base, moved):
        assert occ_data(["ground-truth", str(drive.path.parents[1])]) == 0
        infer(fake_bundle, tmp_path / "out" / drive.path.parts[-3], "--drive", drive.path)
    one, other = (
        evaluate(sequences(drive.path.parents[1]), tmp_path / "out" / drive.path.parts[-3]) for drive in (base, moved)
    )
    assert one["scan_baseline"]["precision"] == pytest.approx(other["scan_baseline"]["precision"], abs=0.5)
    assert one["iou"] == pytest.approx(other["iou"], abs=0.5)


def test_a_picture_is_labelled_above_the_ground_of_its_rig(tiny_sequence, camera_bundle, tmp_path):
    image = tmp_path / "000001.png"
    shutil.copy(tiny_sequence.path / "image_2/000001.png", image)
    write_rig(tmp_path / "low.yaml", Rig.at_height(1.73 - 0.8))
    given = ("--image", image, "--calibration", tiny_sequence.path / "calib.txt")
    as_kitti, low = (
        infer(camera_bundle, tmp_path / name, *given, *more)
        for name, more in (("kitti", ()), ("low", ("--rig", tmp_path / "low.yaml")))
    )
    # The same rays, 0.8 m nearer to the ground: four voxels lower.
    assert share_equal(low[..., :-4], as_kitti[..., 4:]) > 0.95
    preset = infer(camera_bundle, tmp_path / "preset", *given, "--rig", "vlp16")
    np.testing.assert_array_equal(preset, as_kitti)


def test_bag_takes_a_rig_in_both_directions(tiny_sequence, tmp_path):
    write_rig(tmp_path / "low.yaml", Rig.at_height(0.6))
    given = ["--rig", str(tmp_path / "low.yaml")]
    assert main(["bag", str(tiny_sequence.path), "-o", str(tmp_path / "bag"), *given]) == 0
    assert BagDrive(tmp_path / "bag").calibration.T_grid_lidar[2, 3] == pytest.approx(0.6 - 1.73)
    back = tmp_path / "sequences/91"
    assert main(["bag", str(tmp_path / "bag"), "-o", str(back), "--rig", "hdl64-kitti"]) == 0
    np.testing.assert_array_equal(Sequence(back).calibration.T_grid_lidar, np.eye(4))
    assert main(["bag", str(tmp_path / "bag"), "-o", str(tmp_path / "sequences/92")]) == 0
    assert read_rig(tmp_path / "sequences/92/rig.yaml").T_ground_lidar[2, 3] == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("infer --drive {drive} --output {tmp} --rig vlp99", "vlp99: no such rig; expected a YAML file, or one of"),
        ("evaluate --drive synthetic:7:1 --predictions {tmp} --rig vlp16", "synthetic:7:1: has a rig of its own"),
        ("demo --rig vlp16 --output {tmp}/out", "--rig goes with --bag"),
        ("run --rig {tmp}/none.yaml", "none.yaml: cannot be read"),
    ],
)
def test_rigs_that_cannot_be_used(base, tmp_path, capsys, arguments, words):
    assert main(arguments.format(drive=base.path, tmp=tmp_path).split()) == 2
    assert words in capsys.readouterr().err


def node_arguments(*words: str) -> list[str]:
    parser = argparse.ArgumentParser()
    run_verb.add_arguments(parser)
    return run_verb.node_arguments(parser.parse_args(words))


def test_run_hands_the_rig_to_the_node(tmp_path, monkeypatch):
    write_rig(tmp_path / "low.yaml", Rig.at_height(0.6))
    monkeypatch.chdir(tmp_path)
    assert 'rig:="vlp16"' in node_arguments("--rig", "vlp16")
    assert f'rig:="{tmp_path / "low.yaml"}"' in node_arguments("--rig", "low.yaml")
