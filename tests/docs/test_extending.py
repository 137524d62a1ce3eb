"""The code in docs/extending.md works."""

import re
import textwrap
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
import yaml

from occ_core import KITTI_GRID, Grid, Occupancy
from occ_data import open_drive
from occ_models.config import load_config
from occ_models.occle.config import OccLEConfig

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"


def block(first: str, language: str = "python") -> str:
    """The page's block of code that starts with these words."""
    found = re.findall(rf" *```{language}\n(.*?) *```", PAGE.read_text(), re.DOTALL)
    blocks = [textwrap.dedent(code) for code in found]
    (code,) = [code for code in blocks if code.startswith(first)]
    return code


def module(code: str, folder: Path, name: str = "snippet"):
    """The code as a module, imported under this name."""
    (folder / "snippet.py").write_text(code)
    spec = spec_from_file_location(name, folder / "snippet.py")
    made = module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_an_output_topic(tmp_path):
    pytest.importorskip("rclpy", reason="rclpy is not installed")
    from occ_node.outputs import Frame
    from occ_node.parameters import Settings

    output = module(block('"""`~/height`'), tmp_path, "occ_node.outputs.height").OUTPUT
    labels = np.zeros(KITTI_GRID.shape, np.uint8)
    labels[10, 20, 4] = 9
    frame = Frame(None, "camera", None, None, Occupancy(labels, labels, KITTI_GRID))
    assert output.make(frame, Settings()).data == pytest.approx(-1.0)


def test_a_grid(tmp_path):
    pico = load_config("pico", OccLEConfig)
    written = yaml.safe_load((pico.shipped / "pico.yaml").read_text()) | yaml.safe_load(block("name: coarse", "yaml"))
    (tmp_path / "coarse.yaml").write_text(yaml.safe_dump(written))
    assert load_config(tmp_path / "coarse.yaml", OccLEConfig).preprocess.grid == Grid((128, 128, 16), 0.4)


def test_a_loss(tmp_path):
    torch = pytest.importorskip("torch", reason="needs torch (the train extra)")
    header = "from torch import Tensor\n\nfrom occ_core import IGNORE\n\n\n"
    dice_loss = module(header + block("def dice_loss"), tmp_path).dice_loss
    labels = torch.tensor([0, 9, 9, 255], dtype=torch.uint8).reshape(1, 2, 2, 1)
    right = torch.tensor([-20.0, 20, 20, 20]).reshape(1, 2, 2, 1).requires_grad_()
    assert dice_loss(right, labels).item() == pytest.approx(0, abs=1e-6)
    assert dice_loss(-right, labels).item() == pytest.approx(1 - 1 / 4, abs=1e-6)
    dice_loss(right, labels).backward()
    assert right.grad is not None


def test_a_data_set(tmp_path, monkeypatch):
    pytest.importorskip("trimesh", reason="needs trimesh (the synth extra)")
    monkeypatch.chdir(tmp_path)
    module(block("from occ_data"), tmp_path)
    assert open_drive("mydata/sequences/30").frames == open_drive("mydrive").frames == ["000000", "000001", "000002"]
