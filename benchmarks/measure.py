"""How things are timed, and on what."""

import platform
import re
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numba
import tqdm

PACKAGES = ("numpy", "numba", "opencv-python-headless", "openvino", "onnxruntime", "ros-rclpy", "pyoctomap", "torch")


@dataclass(frozen=True)
class Options:
    """The options of all benchmarks.

    bundle : name or path of the engine bundle; data : SemanticKITTI data set with real frames, or None
    quick : a few repetitions, to see that everything runs
    """

    bundle: str
    data: Path | None
    quick: bool = False

    def repeats(self, full: int) -> int:
        """How often to measure something that deserves `full` measurements."""
        return 3 if self.quick else full


def machine() -> dict:
    """What the figures were measured on."""
    installed = {"occ_node": version_of("occ_node")} | {name: version_of(name) for name in PACKAGES}
    return {
        "cpu": cpu_model(),
        "cores": numba.config.NUMBA_DEFAULT_NUM_THREADS,
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: found for name, found in installed.items() if found},
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
    }


def machine_name() -> str:
    """A file name for it: CPU model and cores."""
    words = re.sub(r"\(.*?\)|\bCPU\b|@.*", " ", cpu_model())
    return "-".join(re.findall(r"[a-z0-9.]+", words.lower())) + f"-{numba.config.NUMBA_DEFAULT_NUM_THREADS}-cores"


def cpu_model() -> str:
    """The CPU model as the kernel names it."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()


def version_of(package: str) -> str | None:
    """Installed version, None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def medians(steps: dict[str, Callable[[], object]], repeats: int, title: str) -> dict[str, dict[str, float]]:
    """Time each step `repeats` times, in turns, so that a busy moment affects all alike; a warm-up is not counted.

    Returns step -> {"median_ms", "count"}.
    """
    seconds = {name: [] for name in steps}
    for turn in tqdm.trange(repeats + 1, desc=title, leave=False):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return {name: {"median_ms": 1e3 * statistics.median(s), "count": len(s)} for name, s in seconds.items()}


def ratio(slow: dict, fast: dict) -> float:
    """How many times as fast, from two entries of `medians`."""
    return slow["median_ms"] / fast["median_ms"]


def milliseconds(value: float) -> str:
    """Three digits: a noisy machine gives no more."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """A table; the first column is text, the others are figures."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
