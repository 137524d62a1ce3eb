"""The code in docs/extending.md works."""

import re
import textwrap
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from occ_data import open_drive

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"


def block(first: str) -> str:
    """The page's block of Python that starts with these words."""
    blocks = [textwrap.dedent(found) for found in re.findall(r" *```python\n(.*?) *```", PAGE.read_text(), re.DOTALL)]
    (code,) = [code for code in blocks if code.startswith(first)]
    return code


def module(code: str, folder: Path, name: str = "snippet"):
    """The code as a module, imported under this name."""
    (folder / "snippet.py").write_text(code)
    spec = spec_from_file_location(name, folder / "snippet.py")
    made = module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


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
