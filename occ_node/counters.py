"""What the node counts: messages in, frames out, and what was dropped, by reason."""

import threading
from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from occ_core.errors import one_line

from .topics import CAMERA_INFO, IMAGE, POINTS

MOTION_MISSING, MOTION_EXTRAPOLATED = "motion.missing", "motion.extrapolated"
"""Clouds that were used as measured, for want of odometry on tf; and those for which its last velocity went on."""


def clouds_missing(topic: str) -> str:
    """The counter of the frames that a cloud of this topic did not join."""
    return f"clouds_missing.{topic}"


class Drop(Enum):
    """Why a message or a pair was dropped. `/diagnostics` lists each under "dropped." and its value."""

    NO_PARTNER_IMAGE = "no_partner.image"
    NO_PARTNER_POINTS = "no_partner.points"
    SUPERSEDED = "superseded"
    STALE_IMAGE = "stale.image"
    STALE_POINTS = "stale.points"
    CLOCK_JUMPED_BACK = "clock_jumped_back"
    MALFORMED_IMAGE = "malformed.image"
    MALFORMED_POINTS = "malformed.points"
    MALFORMED_CAMERA_INFO = "malformed.camera_info"
    MALFORMED_TF = "malformed.tf"
    NO_CALIBRATION = "no_calibration"
    FAILED = "failed"
    CALLBACK = "callback"


ERRORS = (
    Drop.MALFORMED_IMAGE, Drop.MALFORMED_POINTS, Drop.MALFORMED_CAMERA_INFO, Drop.MALFORMED_TF, Drop.NO_CALIBRATION,
    Drop.FAILED, Drop.CALLBACK,
)  # fmt: skip
"""Drops that need someone to act; the others are normal on a busy machine or after a bag starts again."""


class Counts(NamedTuple):
    """received : messages by input; lost : by input, those that never arrived, estimated (gaps.py)
    alone : images and clouds, those that were a frame without the other sensor, which was silent
    dropped : by the value of `Drop`; published, idle : frames; points_dropped : points that were not finite
    others : by their names, those that this node counts besides
    """

    received: dict[str, int]
    lost: dict[str, int]
    alone: dict[str, int]
    dropped: dict[str, int]
    published: int
    idle: int
    points_dropped: int
    last_error: str
    others: dict[str, int]


class Counters:
    """Counters since activation. Safe between threads. Names that are not counted raise ValueError."""

    def __init__(
        self,
        inputs: tuple[str, ...] = (IMAGE, POINTS),
        on_error: Callable[[Drop, str], None] = lambda reason, text: None,
        others: tuple[str, ...] = (),
    ):
        """inputs : the topics that frames are made of; on_error : gets reason and text of each error, for the log
        others : names of further counters
        """
        self._others = others
        self._inputs = (*inputs, CAMERA_INFO)
        self._on_error = on_error
        self._lock = threading.Lock()
        names = (
            *(f"received.{n}" for n in self._inputs),
            *(f"lost.{n}" for n in inputs),
            *(f"alone.{n}" for n in (IMAGE, POINTS)),
            "published",
            "idle",
            "points_dropped",
            *others,
        )
        self._events = dict.fromkeys(names, 0)
        self._dropped = dict.fromkeys(Drop, 0)
        self._last_error = ""

    def count(self, event: str, number: int = 1) -> None:
        """`received.<input>`, `lost.<input>`, `alone.image`, `alone.points`, `published`, `idle`, `points_dropped`, or
        one of `others`.
        """
        if event not in self._events:
            raise ValueError(f"{event!r} is not counted; expected one of {', '.join(self._events)}")
        with self._lock:
            self._events[event] += number

    def drop(self, reason: Drop | str, number: int = 1) -> None:
        """A member of `Drop`, or its value."""
        with self._lock:
            self._dropped[Drop(reason)] += number

    def error(self, reason: Drop | str, text: str) -> None:
        """A drop that needs someone to act. It may quote a message: it is cut and made printable."""
        reason, text = Drop(reason), one_line(text)
        with self._lock:
            self._dropped[reason] += 1
            self._last_error = text
        self._on_error(reason, text)

    def counts(self) -> Counts:
        """All counters at one moment."""
        with self._lock:
            events, dropped, last_error = self._events.copy(), self._dropped.copy(), self._last_error
        return Counts(
            {name: events[f"received.{name}"] for name in self._inputs},
            {name: events[f"lost.{name}"] for name in self._inputs if name != CAMERA_INFO},
            {name: events[f"alone.{name}"] for name in (IMAGE, POINTS)},
            {reason.value: number for reason, number in dropped.items()},
            events["published"],
            events["idle"],
            events["points_dropped"],
            last_error,
            {name: events[name] for name in self._others},
        )
