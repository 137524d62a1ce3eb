"""What the linters cannot see: ruff (rules S) and import-linter (pyproject.toml) keep the rest."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BASE = ("occ_core", "occ_runtime", "occ_data", "occ_cli")
NOT_ON_EVERY_HOST = ("torch", "lightning", "safetensors", "transformers", "rclpy", "std_msgs", "sensor_msgs")


def test_imports_run_down():
    """The contracts of pyproject.toml: layers, no circles, ROS and torch where they belong."""
    pytest.importorskip("importlinter", reason="needs import-linter (the dev extra)")
    lint = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    found = subprocess.run([sys.executable, "-c", lint], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert found.returncode == 0, found.stdout


def test_numpy_never_unpickles():
    """The one unsafe loader without a rule in ruff."""
    sources = [path for folder in ROOT.glob("*/__init__.py") for path in folder.parent.rglob("*.py")]
    calls = [
        f"{path}:{node.lineno}"
        for path in sources
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle" and getattr(node.value, "value", True)
    ]
    assert not calls


def test_base_imports_without_torch_and_ros():
    """What reads data, runs engines and parses the command line works where neither is installed."""
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for package in BASE
        for path in sorted((ROOT / package).rglob("*.py"))
    ]
    code = (
        f"import importlib, sys\nsys.modules.update(dict.fromkeys({NOT_ON_EVERY_HOST!r}))\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=120)


def test_base_dependencies_do_without_torch_and_ros():
    toml = pytest.importorskip("tomllib")
    project = toml.loads((ROOT / "pyproject.toml").read_text())["project"]
    for needed in [*project["dependencies"], *project["optional-dependencies"]["synth"]]:
        assert not needed.startswith(("torch", "ros-", "lightning")), needed
