"""Figures of a network without a bundle equal those of its predictions, whatever frames it takes."""

import json
import shutil
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from occ_cli.node import main as node  # noqa: E402
from occ_cli.train import main  # noqa: E402
from occ_models.config import load_config  # noqa: E402
from occ_models.monoocc.config import MonoOccConfig  # noqa: E402
from occ_models.monoocc.model import MonoOcc  # noqa: E402
from occ_models.weights import save_weights  # noqa: E402

from ..occ_models.conftest import PICO  # noqa: E402


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A folder with a network of two frames, which cannot be exported."""
    folder = tmp_path_factory.mktemp("network")
    torch.manual_seed(0)
    model = MonoOcc(replace(load_config(PICO.with_name("mono_pico.yaml"), MonoOccConfig), views=(0, 1)))
    torch.nn.init.normal_(model.head.occupancy.weight, std=2.0)
    save_weights(model, folder)
    return folder


def test_figures_equal_those_of_the_predictions(sequence, network, tmp_path, capsys):
    data = tmp_path / "data" / "sequences"
    shutil.copytree(sequence, data / "00")
    for kind in ("label", "invalid"):  # as in a test sequence: a scan without truth
        (data / "00" / "voxels" / f"000002.{kind}").unlink(missing_ok=True)
    (data / "00" / "voxels" / "000002.bin").write_bytes(b"")
    given = ["--dataset", str(data.parent), "--sequences", "00"]
    out = ["--predictions", str(tmp_path / "out")]
    assert main(["evaluate", str(network), *given, *out, "--json", str(tmp_path / "a.json")]) == 0
    said = capsys.readouterr().out
    assert "3 frames of sequences 00" in said and "mIoU" in said
    assert sorted(path.stem for path in (tmp_path / "out").rglob("*.label")) == [f"{n:06d}" for n in range(4)]
    assert node(["evaluate", *given, *out, "--json", str(tmp_path / "b.json")]) == 0
    one, other = (json.loads((tmp_path / f"{name}.json").read_text()) for name in "ab")
    for name in ("frames", "voxels", "iou", "precision", "recall", "miou", "class_iou", "class_voxels"):
        assert one[name] == other[name], name
    assert one["iou"] > 0 and one["scan_baseline"] is None


def test_a_folder_without_weights_is_one_line(sequence, tmp_path, capsys):
    assert main(["evaluate", str(tmp_path), "--drive", str(sequence)]) == 2
    assert "model.safetensors: missing" in capsys.readouterr().err
