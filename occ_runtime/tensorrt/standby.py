"""A slower backend that answers while TensorRT builds its engine."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from ..backend import Backend, Report


class StandbyBackend:
    """See `backend.Backend`. Infers on `slower` until `build` has returned a checked engine, then on that.

    The change happens between two frames, on the thread that infers; if the build fails, `slower` stays in use. Either
    is reported once.

    build : called on its own thread, with an event that asks it to end early
    """

    def __init__(self, slower: Backend, build: Callable[[threading.Event], Backend], report: Report):
        self._report = report
        self._use(slower)
        self._cancelled, self._thread = threading.Event(), ThreadPoolExecutor(1, "engine build")
        self._engine: Future[Backend | None] | None = self._thread.submit(self._build, build)

    def infer(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        if self._engine is not None and self._engine.done():
            self._change(self._engine)
        return self._backend.infer(inputs)

    def close(self) -> None:
        """Free the network; a build that still runs is asked to end and waited for."""
        running = self._engine is not None and not self._engine.done()
        self._cancelled.set()
        if running:
            self._report("engine: ending the build")
        self._thread.shutdown()
        if self._engine is not None:
            self._change(self._engine)
        self._backend.close()

    def _change(self, built: Future[Backend | None]) -> None:
        engine, self._engine = built.result(), None
        if engine is not None:
            slower = self._backend
            self._use(engine)
            slower.close()

    def _use(self, backend: Backend) -> None:
        self._backend = backend
        self.name, self.precision, self.description = backend.name, backend.precision, backend.description

    def _build(self, build: Callable[[threading.Event], Backend]) -> Backend | None:
        slower = self._backend.name
        try:
            engine = build(self._cancelled)
        except Exception as error:  # frames go on whatever it was
            if not self._cancelled.is_set():
                self._report(f"engine: {error}; {slower} stays")
            return None
        self._report(f"engine: ready, {engine.description} takes over from {slower}")
        return engine
