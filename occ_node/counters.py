"""What the node counts: messages in, frames out, drops by reason."""

import threading
from collections import Counter
from typing import NamedTuple

DROP_REASONS = {
    "no_partner.image": "an image without a cloud within `sync_tolerance`",
    "no_partner.points": "a cloud without an image within `sync_tolerance`",
    "superseded": "a newer pair came before this one was processed",
    "stale.image": "an image not newer than the one before",
    "stale.points": "a cloud not newer than the one before",
    "clock_jumped_back": "stamps went back by more than 0.5 s, as when a bag loops; counts jumps",
    "malformed.image": "an image that cannot be decoded",
    "malformed.points": "a cloud that cannot be decoded",
    "malformed.camera_info": "intrinsics that cannot be used",
    "malformed.tf": "a transform that cannot be used",
    "no_calibration": "intrinsics or extrinsics are not known yet, or do not fit the image",
    "failed": "the frame could not be processed or published",
}
"""Why frames and messages are dropped, in the order of the diagnostics."""


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
