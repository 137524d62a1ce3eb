"""A slower backend that answers while TensorRT builds its engine."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from ..backend import Backend
from .cache import Say


class StandbyBackend:
    """See `runtime.backend.Backend`. Infers on `slower` until `build` has given a proven engine, then on that.

    The change happens between two frames, on the thread that infers; where the build fails, `slower` stays. Either
    is said once.

    build : called on a thread of its own with an event that asks it to end early
    """

    def __init__(self, slower: Backend, build: Callable[[threading.Event], Backend], say: Say):
        self._backend, self._say = slower, say
        self._cancelled, self._thread = threading.Event(), ThreadPoolExecutor(1, "engine build")
        self._engine: Future[Backend | None] | None = self._thread.submit(self._build, build)

    @property
    def name(self) -> str:
        return self._backend.name

    @property
    def description(self) -> str:
        return self._backend.description

    def infer(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        if self._engine is not None and self._engine.done():
            self._change()
        return self._backend.infer(inputs)

    def close(self) -> None:
        """Free the network; a build that still runs is asked to end and waited for."""
        if self._engine is not None and not self._engine.done():
            self._say("engine: ending the build")
        self._cancelled.set()
        self._thread.shutdown()
        if self._engine is not None:
            self._change()
        self._backend.close()

    def _change(self) -> None:
        engine, self._engine = self._engine.result(), None
        if engine is not None:
            slower, self._backend = self._backend, engine
            slower.close()

    def _build(self, build: Callable[[threading.Event], Backend]) -> Backend | None:
        slower = self._backend.name
        try:
            engine = build(self._cancelled)
        except Exception as error:  # whatever it was, the frames go on
            if not self._cancelled.is_set():
                self._say(f"engine: {error}; {slower} stays")
            return None
        self._say(f"engine: ready, {engine.description} takes over from {slower}")
        return engine
