"""Messages that never arrived, estimated from the stamps of those that did."""

from collections import deque

_INTERVALS = 20
_ENOUGH = 5
"""Intervals that are needed to know the period."""
_LONGEST_NS, _LONGEST_PERIODS = 1_000_000_000, 10
"""A gap longer than both is a pause of the sensor, or a jump of its clock."""


class Gaps:
    """The gaps in the stamps of one sensor with a fixed rate. Messages that are lost make intervals longer, never
    shorter, so its period is the lower quartile of the last intervals.
    """

    def __init__(self):
        self._last: int | None = None
        self._intervals: deque[int] = deque(maxlen=_INTERVALS)

    @property
    def period(self) -> float:
        """Seconds; 0 while it is not known."""
        return self._period() / 1e9 if len(self._intervals) >= _ENOUGH else 0.0

    def lost(self, stamp: int) -> int:
        """How many messages are missing between the last one and this one; stamp in nanoseconds."""
        last, self._last = self._last, stamp
        if last is None or stamp <= last:
            return 0
        interval = stamp - last
        if len(self._intervals) < _ENOUGH:
            self._intervals.append(interval)
            return 0
        period = self._period()
        if interval > max(_LONGEST_NS, _LONGEST_PERIODS * period):
            return 0
        self._intervals.append(interval)
        return round(interval / period) - 1 if interval > period else 0

    def _period(self) -> int:
        return sorted(self._intervals)[len(self._intervals) // 4]
