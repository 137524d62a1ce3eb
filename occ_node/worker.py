"""The threads that do the work: one processes frames, the other publishes them."""

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

from occ_core.decode import MessageError
from occ_runtime import Profiler

from .calibration_source import NoCalibration
from .counters import Counters, Drop
from .log import reason_of
from .map_source import MapSource
from .modes import Modes, mode_of
from .outputs import Frame
from .pipeline import Pipeline
from .publishers import Publishers
from .synchroniser import Pair, Synchroniser

_COMPARABLE_AGE = 60.0
"""Seconds: a stamp that differs more from the node's clock is from another clock (a bag without /clock)."""


class Worker:
    """Processes the newest pair, again and again, until `stop`; a frame that fails is counted and the next one tried.

    While a frame is published, the network already runs on the next one.
    """

    def __init__(
        self,
        node,
        synchroniser: Synchroniser,
        pipeline: Pipeline,
        map_source: MapSource,
        publishers: Publishers,
        counters: Counters,
        profiler: Profiler,
        modes: Modes,
    ):
        self._clock, self._context = node.get_clock(), node.context
        self._synchroniser, self._pipeline, self._publishers = synchroniser, pipeline, publishers
        self._map_source, self._modes = map_source, modes
        self._counters, self._profiler = counters, profiler
        self._publisher = ThreadPoolExecutor(1, "occ_node publisher")
        self._publishing: Future[None] | None = None
        self._thread = threading.Thread(target=self._run, name="occ_node worker", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End both threads after their current frames."""
        self._synchroniser.close()
        self._thread.join(10)
        self._publisher.shutdown()

    def _run(self) -> None:
        while self._context.ok() and not self._synchroniser.closed:
            pair = self._synchroniser.take(timeout=0.5)
            if pair is None:
                continue
            try:
                self._process(pair)
            except Exception as error:
                if not self._context.ok():  # the node ended during the frame
                    return
                self._counters.error(Drop.FAILED, f"frame failed: {reason_of(error)}")

    def _process(self, pair: Pair) -> None:
        if not self._publishers.wanted():
            self._modes.enter(mode_of(pair))
            self._counters.count("idle")
            self._publishers.idle()
            return
        try:
            frame = self._pipeline.process(pair)
        except MessageError as error:
            self._counters.error(f"malformed.{error.source}", str(error))
        except NoCalibration as error:
            self._counters.error(Drop.NO_CALIBRATION, str(error))
        else:
            if self._publishing is not None:
                self._publishing.result()  # at most one frame waits to be published
            self._modes.enter(frame.mode)
            self._publishing = self._publisher.submit(self._publish, frame, pair.arrival)

    def _publish(self, frame: Frame, arrival: float) -> None:
        """On the publisher's thread."""
        try:
            with self._profiler.stage("publish"):
                self._publishers.publish(frame, self._with_map)
        except Exception as error:
            if self._context.ok():
                self._counters.error(Drop.FAILED, f"publishing failed: {reason_of(error)}")
            return
        self._counters.count("published")
        self._modes.answered(frame.mode)
        self._profiler.record("total", time.perf_counter() - arrival)
        stamp = frame.header.stamp.sec + 1e-9 * frame.header.stamp.nanosec
        age = 1e-9 * self._clock.now().nanoseconds - stamp
        if abs(age) < _COMPARABLE_AGE:
            self._profiler.record("age", age)

    def _with_map(self, frame: Frame) -> Frame:
        with self._profiler.stage("map"):
            return self._map_source.add(frame)
