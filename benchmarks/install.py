"""How large the node is and how long it takes to install: a fresh environment in a temporary folder."""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .measure import Options, markdown

ROOT = Path(__file__).resolve().parents[1]
LEVELS = {"base (inference, evaluation)": ".", "with ROS 2 from PyPI": ".[ros]"}
NOT_PART_OF_IT = (".git", ".venv*", "out", "build", "dist", "*.egg-info", "__pycache__", ".*_cache")


def measure(options: Options) -> dict:
    """Seconds and megabytes of each level, one after the other in one environment, downloads included."""
    levels = {}
    with tempfile.TemporaryDirectory() as folder:
        source, environment = Path(folder) / "source", Path(folder) / "venv"
        shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(*NOT_PART_OF_IT), symlinks=True)
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        empty, seconds = size(environment), 0.0
        for name, wanted in LEVELS.items():
            print(f"installing {name} into a fresh environment (a minute)", flush=True)
            start = time.perf_counter()
            pip = [environment / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, wanted], cwd=source, check=True)
            seconds += time.perf_counter() - start
            levels[name] = {"seconds": seconds, "megabytes": (size(environment) - empty) / 1e6}
    return {"levels": levels}


def size(folder: Path) -> int:
    """Bytes of the files below a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def tables(result: dict) -> dict[str, str]:
    """For docs/results.md."""
    rows = [[name, f"{level['megabytes']:.0f}", f"{level['seconds']:.0f}"] for name, level in result["levels"].items()]
    return {"install": markdown(["pip install", "MB", "s"], rows)}
