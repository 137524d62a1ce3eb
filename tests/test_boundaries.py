"""The house rules that no reviewer should have to look for: who may import whom, and calls that nobody may make."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("occ_node", "occ_data", "occ_models", "export", "benchmarks")

# Room -> the rooms it may import. "node" are the files that lie directly in occ_node/, "root" its __init__.py.
# The front door of training is a room of its own: its last verb is the export's.
MAY_IMPORT = {
    "root": set(),
    "perception": set(),
    "runtime": {"perception"},
    "messages": {"perception"},
    "node": {"messages", "runtime", "perception"},
    "tools": {"node", "messages", "runtime", "perception", "occ_data"},
    "occ_data": {"perception"},
    "occ_models": {"occ_data", "perception"},
    "occ_models.cli": {"occ_models", "export"},
    "export": {"occ_models", "occ_data", "runtime", "perception"},
    "benchmarks": {"node", "messages", "runtime", "perception", "tools", "occ_data", "occ_models", "export"},
}
MAY_IMPORT_ROS = {"node", "messages", "benchmarks"}
MAY_IMPORT_TORCH = {"occ_models", "export", "benchmarks"}
TORCH = {"torch", "torchvision", "torchmetrics", "lightning", "pytorch_lightning", "spconv", "mamba_ssm", "timm"}
ROS = {
    "rclpy",
    "builtin_interfaces",
    "tf2_ros",
    "tf2_py",
    "cv_bridge",
    "sensor_msgs_py",
    "message_filters",
    "rosbag2_py",
}
UNSAFE_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
UNSAFE_CALLS = {
    "yaml.load", "yaml.load_all", "yaml.full_load", "yaml.unsafe_load", "os.system", "os.popen", "eval", "exec",
    "subprocess.getoutput", "subprocess.getstatusoutput",
}  # fmt: skip
# Keyword arguments by the end of the called name ("" is any call) that must not, or must, be given as true.
MUST_NOT_BE_TRUE = {"": ("shell",), "load": ("allow_pickle",)}
MUST_BE_TRUE = {"torch.load": "weights_only"}


def sources() -> list[Path]:
    """Every Python file of the packages."""
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def module_of(path: Path) -> str:
    """Dotted name of a file below ROOT."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str | None:
    """Which room of the house a dotted name belongs to; None for what is not ours."""
    top, _, rest = module.partition(".")
    if module in MAY_IMPORT and "." in module:
        return module
    if top != "occ_node":
        return top if top in PACKAGES else None
    inner = rest.partition(".")[0]
    if not inner:
        return "root"
    return inner if inner in MAY_IMPORT and (ROOT / "occ_node" / inner).is_dir() else "node"


def imports(tree: ast.AST, module: str, is_package: bool) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything imported, at the head or inside functions, relative names resolved."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = module.split(".")
                parent = parent[: len(parent) - node.level + is_package]
                base = ".".join([*parent, *filter(None, [node.module])])
            for alias in node.names:
                # `from occ_node import x` may name a module or a value: the longest name that is a module counts.
                full = f"{base}.{alias.name}"
                as_path = ROOT / full.replace(".", "/")
                yield node.lineno, full if as_path.is_dir() or as_path.with_suffix(".py").is_file() else base
        elif isinstance(node, ast.Call) and dotted(node.func, {}) in (
            "importlib.import_module",
            "import_module",
            "__import__",
        ):
            yield node.lineno, imported_by_call(node)


def imported_by_call(call: ast.Call) -> str:
    """The name given to import_module; any message package for f"{package}.msg"."""
    match call.args:
        case [ast.Constant(value=str(name)), *_]:
            return name
        case [ast.JoinedStr(values=[ast.FormattedValue(), ast.Constant(value=".msg")])]:
            return "some_msgs.msg"
    return "<a name made at run time>"


def dotted(node: ast.expr, aliases: dict[str, str]) -> str:
    """`np.load` -> "numpy.load" with the file's own aliases; "" for what is not a plain name."""
    if isinstance(node, ast.Name):
        return aliases.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        base = dotted(node.value, aliases)
        return f"{base}.{node.attr}" if base else ""
    return ""


def import_offences(code: str, module: str, is_package: bool = False) -> list[str]:
    """What a file imports against the rules."""
    room, found = room_of(module), []
    for line, name in imports(ast.parse(code), module, is_package):
        top, target = name.partition(".")[0], room_of(name)
        if target not in (None, room, "root") and target not in MAY_IMPORT[room]:
            found.append(f"{module}:{line}: {room} must not import {name} ({target})")
        if top in TORCH and room not in MAY_IMPORT_TORCH:
            found.append(f"{module}:{line}: {room} must do without {name}")
        if (top in ROS or top.endswith("_msgs")) and room not in MAY_IMPORT_ROS:
            found.append(f"{module}:{line}: ROS ({name}) belongs to the node's own files and to messages")
        if top in UNSAFE_MODULES or top == "tests" or top.startswith("<"):
            found.append(f"{module}:{line}: nobody imports {name}")
    return found


def call_offences(code: str, module: str) -> list[str]:
    """Calls that nobody may make: code from data, and shells."""
    tree, aliases, found = ast.parse(code), {}, []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            aliases |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            aliases |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func, aliases)
        if name in UNSAFE_CALLS:
            found.append(f"{module}:{node.lineno}: {name}")
        false = {k.arg for k in node.keywords if isinstance(k.value, ast.Constant) and not k.value.value}
        given = {k.arg for k in node.keywords}
        for end, forbidden in MUST_NOT_BE_TRUE.items():
            if name.rpartition(".")[2] == end or not end:
                found += [f"{module}:{node.lineno}: {name}({k}=...)" for k in forbidden if k in given - false]
        if name in MUST_BE_TRUE and MUST_BE_TRUE[name] not in given - false:
            found.append(f"{module}:{node.lineno}: {name} without {MUST_BE_TRUE[name]}")
    return found


def test_the_packages_are_found():
    assert {module_of(path).partition(".")[0] for path in sources()} == set(PACKAGES)


@pytest.mark.parametrize("path", sources(), ids=module_of)
def test_imports_keep_to_the_rooms(path):
    assert not import_offences(path.read_text(), module_of(path), path.name == "__init__.py")


@pytest.mark.parametrize("path", sources(), ids=module_of)
def test_no_unsafe_calls(path):
    assert not call_offences(path.read_text(), module_of(path))


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("occ_node.perception.grid", "import occ_node.runtime.bundle"),
        ("occ_node.perception.grid", "from ..runtime import bundle"),
        ("occ_node.perception.grid", "import rclpy"),
        ("occ_node.runtime.bundle", "from occ_data.kitti import Sequence"),
        ("occ_node.runtime.bundle", "from ..node import main"),
        ("occ_node.messages.cdr", "from occ_node import runtime"),
        ("occ_node.node", "from .tools import cli"),
        ("occ_node.node", "def f():\n    import torch"),
        ("occ_node.tools.cli", "from sensor_msgs.msg import Image"),
        ("occ_node.tools.cli", "import importlib\nimportlib.import_module('export')"),
        ("occ_node.tools.cli", "import importlib\nimportlib.import_module(name)"),
        ("occ_node.tools.cli", "import importlib\nimportlib.import_module(f'{package}.msg')"),
        ("occ_data.kitti", "import torch.nn"),
        ("occ_data.kitti", "import pickle"),
        ("occ_models.occle.model", "from occ_node.runtime import Bundle"),
        ("occ_models.training", "from export.onnx import to_onnx"),
        ("occ_models.occle.model", "from ..cli import main"),
        ("occ_models.occle.cli", "from export.verbs import ERRORS"),
        ("occ_models.cli", "import torch"),
        ("occ_models.cli", "from occ_node.runtime import Bundle"),
        ("export.verbs", "from occ_models import cli"),
        ("export.onnx", "from occ_node.tools import cli"),
        ("benchmarks.memory", "from tests import conftest"),
    ],
)
def test_an_import_against_the_rules_is_seen(module, code):
    assert len(import_offences(code, module)) == 1


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("occ_node.runtime.bundle", "from ..perception import Grid"),
        ("occ_node.runtime.bundle", "from .. import __version__"),
        ("occ_node.node", "import rclpy\nfrom .messages.cdr import CdrWriter"),
        ("occ_node.tools.cli", "from occ_data.bags import read_bag\nfrom ..player import main"),
        ("occ_node.player", "import importlib\nimportlib.import_module(f'{package}.msg')"),
        ("occ_models.cli", "from export.verbs import ERRORS\nfrom .occle.trainer import Trainer"),
        ("export.onnx", "import torch\nfrom occ_models.occle import OccLE"),
    ],
)
def test_an_import_within_the_rules_is_let_through(module, code):
    assert not import_offences(code, module)


@pytest.mark.parametrize(
    "code",
    [
        "import yaml\nyaml.load(f)",
        "from yaml import load as read\nread(f)",
        "import numpy as np\nnp.load(f, allow_pickle=True)",
        "import subprocess as sp\nsp.run('ls', shell=True)",
        "import os\nos.system('ls')",
        "import torch\ntorch.load(f)",
        "eval('1')",
    ],
)
def test_an_unsafe_call_is_seen(code):
    assert len(call_offences(code, "sample")) == 1


@pytest.mark.parametrize(
    "code",
    [
        "import yaml\nyaml.safe_load(f)",
        "import numpy as np\nnp.load(f, allow_pickle=False)",
        "import subprocess\nsubprocess.run(['ls'], shell=False)",
        "import torch\ntorch.load(f, weights_only=True)\nmodel.eval()",
    ],
)
def test_a_safe_call_is_let_through(code):
    assert not call_offences(code, "sample")


def test_base_imports_without_torch_and_ros():
    """What reads data, runs engines and parses the command line works where neither is installed."""
    rooms = ("perception", "runtime", "tools", "occ_data", "occ_models.cli")
    modules = [module for module in map(module_of, sources()) if room_of(module) in rooms]
    code = (
        "import importlib, sys\n"
        f"sys.modules.update(dict.fromkeys({sorted(TORCH | ROS | {'std_msgs', 'sensor_msgs'})!r}))\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=120)


def test_base_dependencies_do_without_torch_and_ros():
    toml = pytest.importorskip("tomllib")
    project = toml.loads((ROOT / "pyproject.toml").read_text())["project"]
    for needed in [*project["dependencies"], *project["optional-dependencies"]["synth"]]:
        assert not needed.startswith(("torch", "ros-", "lightning")), needed
