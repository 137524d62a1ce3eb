"""Clouds of several LiDARs: which one leads, and which clouds of the others join it."""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

SILENCE = 0.5
"""Seconds without a cloud, or three of its periods if they are longer, after which the next topic leads."""
PERIODS = 1.5
"""Of a topic, that its cloud may be away from the leading one: one until the next cloud, and half for delays."""
FARTHEST = 0.3
"""Seconds that it may be away at most."""
_KEPT = 16
"""Clouds of a topic that may still join."""


class CloudMessage(NamedTuple):
    """topic : its name in the parameter `clouds`; message : PointCloud2; stamp : ns, of the header or, where that is
    zero, of the arrival
    """

    topic: str
    message: Any
    stamp: int


class _Topic:
    def __init__(self):
        self.recent: deque[CloudMessage] = deque(maxlen=_KEPT)
        self.arrived = float("-inf")
        self.period = 0.0


class Clouds:
    """The newest clouds of each topic. The leading topic, the first one that is not silent, is paired with the images;
    of each other topic the cloud nearest to it in time joins. Nothing is waited for.

    Called on the executor's thread and on the worker's.
    """

    def __init__(self, topics: tuple[str, ...], tolerance: float, clock: Callable[[], float] = time.monotonic):
        """topics : of the parameter `clouds`; tolerance : seconds between a cloud and the leading one that always do"""
        self.topics = topics
        self.tolerance = tolerance
        """May be replaced at any time."""
        self._clock = clock
        self._lock = threading.Lock()
        self._known = {topic: _Topic() for topic in topics}

    def add(self, cloud: CloudMessage, period: float) -> bool:
        """Whether its topic leads. period : seconds between the topic's clouds, 0 while it is not known"""
        with self._lock:
            known = self._known[cloud.topic]
            known.arrived, known.period = self._clock(), period
            if known.recent and cloud.stamp < known.recent[-1].stamp:
                known.recent.clear()  # its clock was set back
            known.recent.append(cloud)
            return cloud.topic == self._leader()

    def joining(self, leading: CloudMessage) -> tuple[list[CloudMessage], list[str]]:
        """Of each other topic the cloud nearest to the leading one in time; and the topics that have none within
        `tolerance`, or PERIODS of their own up to FARTHEST seconds.
        """
        found, missing = [], []
        with self._lock:
            for topic in self.topics:
                if topic == leading.topic:
                    continue
                known = self._known[topic]
                allowed = max(self.tolerance, min(PERIODS * known.period, FARTHEST))
                nearest = min(known.recent, key=lambda cloud: abs(cloud.stamp - leading.stamp), default=None)
                if nearest is not None and abs(nearest.stamp - leading.stamp) <= allowed * 1e9:
                    found.append(nearest)
                else:
                    missing.append(topic)
        return found, missing

    def first_frame(self) -> str | None:
        """The frame of the first topic's clouds; None before the first one."""
        with self._lock:
            recent = self._known[self.topics[0]].recent
            return recent[-1].message.header.frame_id if recent else None

    def _leader(self) -> str:
        now = self._clock()
        heard = (t for t in self.topics if now - self._known[t].arrived <= max(SILENCE, 3 * self._known[t].period))
        return next(heard, self.topics[0])
