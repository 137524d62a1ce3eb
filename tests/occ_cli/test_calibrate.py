"""`occ-train calibrate` leaves labels alone and makes confidence fit the frames that it was given."""

import json

import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from occ_cli.train import main  # noqa: E402
from occ_models.config import load_config  # noqa: E402
from occ_models.monoocc.config import MonoOccConfig  # noqa: E402
from occ_models.monoocc.model import MonoOcc  # noqa: E402
from occ_models.weights import save_weights  # noqa: E402

from ..occ_models.conftest import PICO  # noqa: E402


@pytest.fixture
def folder(tmp_path):
    """A folder with an untrained network, much too certain."""
    torch.manual_seed(0)
    model = MonoOcc(load_config(PICO.with_name("mono_pico.yaml"), MonoOccConfig))
    torch.nn.init.normal_(model.head.occupancy.weight, std=2.0)
    save_weights(model, tmp_path / "network")
    return tmp_path / "network"


def scores(folder, drive, path):
    """What `evaluate` writes."""
    assert main(["evaluate", str(folder), "--drive", str(drive), "--json", str(path)]) == 0
    return json.loads(path.read_text())


def test_calibrated_confidence_fits_and_labels_stay(sequence, folder, tmp_path, capsys):
    before = scores(folder, sequence, tmp_path / "a.json")
    assert main(["calibrate", str(folder), "--drive", str(sequence)]) == 0
    said = capsys.readouterr().out
    assert "offset with the best IoU" in said and said.strip().endswith("confidence.yaml")
    after = scores(folder, sequence, tmp_path / "b.json")
    assert after["class_iou"] == before["class_iou"]
    assert after["confidence"]["all"]["ece"] < 3 < before["confidence"]["all"]["ece"]
    assert "calibration error" in capsys.readouterr().out


def test_without_truth_nothing_is_fitted(sequence, folder, tmp_path, capsys):
    for part in ("calib.txt", "poses.txt", "times.txt"):
        (tmp_path / "01").mkdir(exist_ok=True)
        (tmp_path / "01" / part).write_bytes((sequence / part).read_bytes())
    for part in ("image_2", "velodyne"):
        (tmp_path / "01" / part).symlink_to(sequence / part)
    assert main(["calibrate", str(folder), "--drive", str(tmp_path / "01")]) == 2
    assert "no frame with voxel ground truth" in capsys.readouterr().err
