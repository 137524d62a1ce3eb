import os
import subprocess
import sys
from pathlib import Path

import pytest

FUNCTION = """
from occ_core.compiled import compiled

@compiled
def twice(x):
    return x + x
"""
ROOT = Path(__file__).parents[2]


@pytest.fixture
def module(tmp_path):
    """A folder with one compiled function."""
    (tmp_path / "fast.py").write_text(FUNCTION)
    return tmp_path


def run(module, **environment):
    """The function in a process of its own, 21 -> 42; gives what went to stderr."""
    kept = {name: value for name, value in os.environ.items() if name not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    code = "import fast; assert fast.twice(21) == 42, fast.twice(21); assert fast.twice(0.5) == 1.0"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=kept | {"PYTHONPATH": f"{module}:{ROOT}", "HOME": str(module)} | environment,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return result.stderr


def cached(module, suffix):
    return sorted((module / "__pycache__").glob(f"*.{suffix}"))


def test_machine_code_is_kept(module):
    assert run(module) == ""
    assert len(cached(module, "nbi")) == 1 and len(cached(module, "nbc")) == 2


@pytest.mark.parametrize("content", [b"", b"\x80", b"\x80\x05K\x07.", b"not a pickle", None])
@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
def test_a_damaged_cache_is_made_anew(module, suffix, content):
    run(module)
    (damaged, *_) = cached(module, suffix)
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[: len(whole) // 2] if content is None else content)
    assert run(module) == ""
    assert len(damaged.read_bytes()) == len(whole)


def test_without_a_folder_to_write_to_it_runs_uncached_and_says_so_once(module):
    (module / "__pycache__").write_text("a file, so that no folder can be made: even root cannot write to it")
    (module / "fast.py").write_text(FUNCTION + "\n@compiled\ndef thrice(x):\n    return x + x + x\n")
    said = run(module, HOME="/dev/null", XDG_CACHE_HOME="/dev/null")
    assert said.count("\n") == 1 and "compiled functions are not kept" in said


def test_without_home(module):
    kept = {name: value for name, value in os.environ.items() if name != "HOME"}
    code = "import occ_core, occ_runtime, occ_node, fast; assert fast.twice(21) == 42"
    environment = kept | {"PYTHONPATH": f"{module}:{ROOT}"}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
