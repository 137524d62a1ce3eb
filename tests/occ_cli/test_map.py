"""`occ-node map`: a drive in, one map out."""

import numpy as np
import pytest

from occ_cli.node import main
from occ_cli.predictions import Prediction, prediction_file, write_prediction
from occ_core import COLORS, KITTI_GRID
from occ_core.voxelizer import occupancy_grid

BUILDING = 13
PLY = np.dtype([(n, "<f4") for n in "xyz"] + [(n, "u1") for n in ("red", "green", "blue", "label")])


@pytest.fixture
def predictions(tiny_sequence, tmp_path):
    """What the scan hit, as buildings."""
    for frame in tiny_sequence.frames:
        hits = occupancy_grid(tiny_sequence.calibration.to_grid(tiny_sequence.scan(frame)), KITTI_GRID)
        labels = np.where(hits, BUILDING, 0).astype(np.uint8)
        write_prediction(
            prediction_file(tmp_path / "predictions", tiny_sequence.name, frame), Prediction(labels, KITTI_GRID)
        )
    return tmp_path / "predictions"


def test_the_frames_are_added_up_at_their_poses(tiny_sequence, predictions, tmp_path):
    output = tmp_path / "maps"
    arguments = ["map", "--drive", str(tiny_sequence.path), "--predictions", str(predictions), "--output", str(output)]
    assert main(arguments) == 0
    data = (output / "90.ply").read_bytes()
    header, _, body = data.partition(b"end_header\n")
    points = np.frombuffer(body, PLY)
    assert f"element vertex {len(points)}".encode() in header and len(points) > 500
    assert set(points["label"]) == {BUILDING} and (points["green"] == COLORS[BUILDING][1]).all()
    high = points[points["z"] > -1]  # the wall, 12 m from the first frame, stands in one place
    assert abs(high["x"] - 12.0).max() < 0.35
    stored = np.load(output / "90.npz")
    assert len(stored["index"]) == len(points) and (stored["labels"] == points["label"]).all()
    centers = stored["origin"] + stored["voxel_size"] * (stored["index"] + 0.5)
    np.testing.assert_allclose(centers, np.stack([points[n] for n in "xyz"], 1), atol=1e-3)
    assert (stored["index"] < stored["shape"]).all() and (stored["confidence"] > 127).all()
    assert (output / "90.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--memory", "0.001"], "a map of 53 x 51 x 6 m takes 0.0 GB; expected at most 0.001 (set --memory)"),
        (["--bundle", "occle-nano"], "--bundle does not go with --predictions"),
    ],
)
def test_what_cannot_be_done_is_one_line(tiny_sequence, predictions, tmp_path, capsys, more, message):
    arguments = [
        "map",
        "--drive",
        str(tiny_sequence.path),
        "--predictions",
        str(predictions),
        "--output",
        str(tmp_path),
    ]
    assert main([*arguments, *more]) == 2
    assert message in capsys.readouterr().err


def test_missing_predictions_are_named(tiny_sequence, tmp_path, capsys):
    arguments = ["map", "--drive", str(tiny_sequence.path), "--predictions", str(tmp_path), "--output", str(tmp_path)]
    assert main(arguments) == 2
    assert "expected what `infer` wrote" in capsys.readouterr().err
