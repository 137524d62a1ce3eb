"""What the node counts: messages in, frames out, drops by reason."""

import threading
from collections import Counter
from typing import NamedTuple

DROP_REASONS = (
    "no_partner.image", "no_partner.points", "superseded", "stale.image", "stale.points", "clock_jumped_back",
    "malformed.image", "malformed.points", "malformed.camera_info", "malformed.tf", "no_calibration", "failed",
)  # fmt: skip


class Counts(NamedTuple):
    """received, dropped : by input there is and by reason; published, idle : frames; points_dropped : not finite"""

    received: dict[str, int]
    dropped: dict[str, int]
    published: int
    idle: int
    points_dropped: int
    last_error: str


class Counters:
    """Counters since activation. Safe between threads."""

    def __init__(self, inputs: tuple[str, ...] = ("image", "points")):
        """inputs : those that frames are made of"""
        self._inputs = (*inputs, "camera_info")
        self._lock = threading.Lock()
        self._counter = Counter()
        self._last_error = ""

    def count(self, what: str, number: int = 1) -> None:
        """`received.<input>`, `published`, `idle`, `points_dropped`."""
        with self._lock:
            self._counter[what] += number

    def drop(self, reason: str, number: int = 1) -> None:
        """One of DROP_REASONS."""
        self.count(f"dropped.{reason}", number)

    def error(self, reason: str, text: str) -> None:
        """A drop that somebody has to do something about."""
        with self._lock:
            self._counter[f"dropped.{reason}"] += 1
            self._last_error = text

    def counts(self) -> Counts:
        """All of it, at one moment."""
        with self._lock:
            counter, last_error = self._counter.copy(), self._last_error
        received = {name: counter[f"received.{name}"] for name in self._inputs}
        dropped = {reason: counter[f"dropped.{reason}"] for reason in DROP_REASONS}
        return Counts(received, dropped, counter["published"], counter["idle"], counter["points_dropped"], last_error)
