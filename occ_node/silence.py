"""When frames go on without a sensor, because it fell silent."""

import time
from collections import deque
from collections.abc import Callable, Iterable

SHORTEST = 0.5
"""Seconds of silence of a sensor at least, before frames go on without it."""
PERIODS = 3
"""A slow sensor, or one from a bag that plays slowly, is silent after this many of its periods."""
AT_START = 2.0
"""Seconds of silence that are allowed while a sensor's period is not known yet."""
_INTERVALS = 8


class Silence:
    """Judges by the times of arrival on a steady clock, never by stamps. Used by one thread at a time."""

    def __init__(self, inputs: Iterable[str], spare: Iterable[str], clock: Callable[[], float] = time.monotonic):
        """inputs : the sensors that make a frame together; spare : those of them that frames can do without"""
        now = clock()
        self._spare, self._clock = frozenset(spare), clock
        self._heard = dict.fromkeys(inputs, now)
        self._since = dict.fromkeys(inputs, now)
        """The first message of each after its last silence: the others' silence is counted from there."""
        self._intervals: dict[str, deque[float]] = {name: deque(maxlen=_INTERVALS) for name in self._heard}
        self._first = dict.fromkeys(inputs, True)

    def heard(self, source: str) -> None:
        """A usable message of a sensor came."""
        now = self._clock()
        if now - self._heard[source] >= self._limit(source):
            self._since[source] = now  # whoever paused with it, as when a bag is paused, has as long to come back
        if not self._first[source]:
            self._intervals[source].append(now - self._heard[source])
        self._heard[source], self._first[source] = now, False

    def silent(self, source: str, other: str, already: bool) -> bool:
        """Whether a message of `other` that came now is to be used without `source`.

        already : whether the last one was; then `source` gets no more time after a pause of both
        """
        since = self._heard[source] if already else max(self._heard[source], self._since[other])
        return source in self._spare and self._clock() - since >= self._limit(source)

    def _limit(self, source: str) -> float:
        """Seconds. Lost messages and pauses make intervals longer, so the period is their lower quartile."""
        intervals = sorted(self._intervals[source])
        return max(SHORTEST, PERIODS * intervals[len(intervals) // 4]) if intervals else AT_START
