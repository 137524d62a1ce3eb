"""One profiler for the node's diagnostics and the benchmarks."""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


class Profiler:
    """Durations of named stages; percentiles over the last `window` samples of each. Safe between threads."""

    def __init__(self, window: int = 200):
        self._window = window
        self._lock = threading.Lock()
        self._samples: dict[str, deque[float]] = {}
        self._counts: dict[str, int] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block; one that raises is not counted."""
        start = time.perf_counter()
        yield
        self.record(name, time.perf_counter() - start)

    def record(self, name: str, seconds: float) -> None:
        """Add a duration measured elsewhere, such as the time from stamp to publication."""
        with self._lock:
            self._samples.setdefault(name, deque(maxlen=self._window)).append(seconds)
            self._counts[name] = self._counts.get(name, 0) + 1

    def summary(self) -> dict[str, dict[str, float]]:
        """Stages in order of first use -> {"count": all samples, "p50_ms", "p95_ms": of the window}."""
        with self._lock:
            samples = {name: list(window) for name, window in self._samples.items()}
            counts = dict(self._counts)
        summary = {}
        for name, window in samples.items():
            p50, p95 = np.percentile(window, (50, 95)) * 1e3
            summary[name] = {"count": counts[name], "p50_ms": float(p50), "p95_ms": float(p95)}
        return summary
