"""The publishers of the node's outputs."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import pairwise
from typing import Any

from rclpy.duration import Duration

from .outputs import Frame, Output
from .parameters import Settings

_LIFETIME = 1.0
_PERIODS = 5
"""A display keeps a frame for this many periods, and for _LIFETIME seconds at least."""
_CLEARED = Duration(seconds=0.5)


class Publishers:
    """One publisher for each output, below the node's own name.

    A message is made only while its topic has subscribers, or where it is latched: a late subscriber never gets a
    message older than the newest answered frame.
    """

    def __init__(
        self, node, outputs: Iterable[Output], settings: Settings, clock: Callable[[], float] = time.monotonic
    ):
        """clock : seconds, for the frame period"""
        self._clock = clock
        self._node, self._outputs = node, tuple(outputs)
        self.settings = settings
        """For the frames from now on; may be replaced at any time."""
        self._lock = threading.Lock()
        self._latched: set[str] = set()
        self._published: deque[float] = deque(maxlen=_PERIODS + 1)
        self._publishers: dict[str, Any] = {}
        try:
            for output in self._outputs:
                self._publishers[output.name] = self._create(output)
        except Exception:
            for publisher in self._publishers.values():
                node.destroy_publisher(publisher)
            raise

    def wanted(self) -> bool:
        """Whether any output has a subscriber."""
        with self._lock:
            return any(publisher.get_subscription_count() for publisher in self._publishers.values())

    def publish(self, frame: Frame, with_map: Callable[[Frame], Frame] = lambda frame: frame) -> None:
        """All outputs in the order given; see `outputs.OUTPUTS` for why it matters. Those of the map come last.

        with_map : adds the frame to the map
        """
        with self._lock:
            self._published.append(self._clock())
            frame = replace(frame, lifetime=self._lifetime())
            self._publish(frame, [output for output in self._outputs if not output.of_map])
            self._publish(with_map(frame), [output for output in self._outputs if output.of_map])

    def idle(self) -> None:
        """A frame was left out because nobody listens: late subscribers wait for the next one, rather than get an old
        one. The middleware drops a latched message only together with its publisher.
        """
        with self._lock:
            for output in self._outputs:
                self._forget(output)

    def warm_up(self, frame: Frame) -> None:
        """Make one message of each, so that everything is compiled; nothing is published."""
        for output in self._outputs:
            output.make(frame, self.settings)

    def destroy(self) -> None:
        """Clear the displays, then destroy the publishers."""
        with self._lock:
            for output in self._outputs:
                publisher = self._publishers[output.name]
                if output.clear is not None and publisher.get_subscription_count():
                    publisher.publish(output.clear)
                    publisher.wait_for_all_acked(_CLEARED)
                self._node.destroy_publisher(publisher)

    def _forget(self, output: Output) -> None:
        """What a late subscriber would get."""
        if output.name in self._latched:
            self._latched.remove(output.name)
            self._node.destroy_publisher(self._publishers[output.name])
            self._publishers[output.name] = self._create(output)

    def _publish(self, frame: Frame, outputs: list[Output]) -> None:
        for output in outputs:
            publisher = self._publishers[output.name]
            if output.latched or publisher.get_subscription_count():
                message = output.make(frame, self.settings)
                if message is not None:
                    publisher.publish(message)
                    if output.latched:
                        self._latched.add(output.name)
                elif output.latched:
                    self._forget(output)

    def _create(self, output: Output):
        return self._node.create_publisher(output.message, f"~/{output.name}", output.qos)

    def _lifetime(self) -> float:
        """From the median period, which a pause does not change."""
        periods = sorted(later - earlier for earlier, later in pairwise(self._published))
        return max(_LIFETIME, _PERIODS * periods[(len(periods) - 1) // 2]) if periods else _LIFETIME
