"""Every name that the code takes from tensorrt is one that each served version has, or is looked up with a guard."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from .api import API, SERVED, has
from .cuda_stand_in import CudaStandIn

PACKAGE = Path(__file__).parents[3] / "occ_runtime/tensorrt"
NAMES = {name for names in API["names"].values() for name in names}


def taken(tree: ast.AST) -> Iterator[tuple[int, str, bool]]:
    """(line, dotted name below the module, guarded) of every `trt.A.B`, and of getattr and hasattr on one.

    Guarded is what getattr asks with a default; a name asked for at run time is "*".
    """
    aliases = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name == "tensorrt"
    }

    def chain(node: ast.AST) -> tuple[str, ...] | None:
        if isinstance(node, ast.Name):
            return () if node.id in aliases else None
        if isinstance(node, ast.Attribute) and (inner := chain(node.value)) is not None:
            return (*inner, node.attr)
        return None

    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (names := chain(node)):
            yield node.lineno, ".".join(names), False
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("getattr", "hasattr"):
            holder, asked, *default = node.args
            if (names := chain(holder)) is not None:
                name = asked.value if isinstance(asked, ast.Constant) else "*"
                yield node.lineno, ".".join((*names, name)), node.func.id == "hasattr" or bool(default)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "tensorrt":
            yield node.lineno, f"{node.module}: import the module as a whole", False


def offences(code: str) -> list[str]:
    """What some served version would answer with AttributeError."""
    found = []
    for line, name, guarded in taken(ast.parse(code)):
        parts = name.removesuffix(".__init__").split(".")
        member = f"{parts[-2] if len(parts) > 1 else 'module'}.{parts[-1]}"
        lacking = [version for version in SERVED if not has(version, member)]
        if guarded and (parts[-1] == "*" or len(lacking) < len(SERVED)):
            continue
        if lacking:
            found.append(f"line {line}: {name} is not in {', '.join(lacking)}")
    return found


@pytest.mark.parametrize("file", sorted(PACKAGE.glob("*.py")), ids=lambda file: file.name)
def test_every_name_is_in_every_served_version_or_guarded(file):
    assert offences(file.read_text()) == []


def test_the_code_is_seen():
    names = {name for file in PACKAGE.glob("*.py") for _, name, _ in taken(ast.parse(file.read_text()))}
    assert {"Builder", "Runtime", "BuilderFlag.TF32", "NetworkDefinitionCreationFlag.STRONGLY_TYPED"} <= names


@pytest.mark.parametrize(
    "code",
    [
        "import tensorrt as trt\ntrt.BuilderFlag.FP16",
        "import tensorrt\nflag = 1 << int(tensorrt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH)",
        "def f():\n    import tensorrt as t\n    class M(t.IProgressMonitor): pass",
        "import tensorrt as trt\ngetattr(trt.BuilderFlag, 'FP16')",
        "import tensorrt as trt\ngetattr(trt.BuilderFlag, 'FPsixteen', None)",
        "import tensorrt as trt\ntrt.volume((1, 2))",
        "from tensorrt import Builder",
    ],
)
def test_a_name_that_some_version_lacks_is_seen(code):
    assert len(offences(code)) == 1


@pytest.mark.parametrize(
    "code",
    [
        "import tensorrt as trt\ngetattr(trt.BuilderFlag, 'FP16', None)",
        "import tensorrt as trt\nhasattr(trt, 'IProgressMonitor')",
        "import tensorrt as trt\ntrt.ILogger.Severity.ERROR",
        "import torch as trt\ntrt.BuilderFlag.FP16",
    ],
)
def test_a_name_within_the_contract_is_let_through(code):
    assert offences(code) == []


def test_every_restricted_name_is_one_that_is_listed():
    for name in (*API["since"], *API["until"]):
        holder, _, member = name.partition(".")
        assert member in API["names"][holder]


def test_the_cuda_functions_are_those_of_cuda_python():
    """The stand-in has every function that the code calls, and none that cuda-python lacks."""
    source = ast.parse((PACKAGE / "device.py").read_text())
    called = {n.attr for n in ast.walk(source) if isinstance(n, ast.Attribute) and n.attr.startswith("cuda")}
    module = CudaStandIn().module()
    assert called - {"cudaMemcpyHostToDevice", "cudaMemcpyDeviceToHost", "cudaStreamCaptureModeThreadLocal"} <= {
        *vars(module)
    }
    try:
        from cuda.bindings import runtime
    except ImportError:
        pytest.skip("cuda-python is not installed (pip install 'occ_node[gpu]')")
    assert {name for name in vars(module) if name.startswith("cuda")} <= {*dir(runtime)}
