"""Pairs image and cloud and keeps only the newest pair; every message that is dropped is counted."""

import threading
import time
from collections import deque
from typing import Any, NamedTuple

from .counters import Counters, Drop
from .topics import IMAGE, POINTS

INPUTS = (IMAGE, POINTS)
JUMP_NS = 500_000_000
"""A stamp that is older than the last one by more than this means that the clock was set back: a bag started again."""
_HISTORY = 8
"""Messages of one input that wait for a partner at most."""


class Pair(NamedTuple):
    """arrival : time.perf_counter() at the later message; image, points : messages, None for an unused input"""

    arrival: float
    image: Any = None
    points: Any = None


class Synchroniser:
    """Pairs image and cloud by stamp and keeps the newest pair. With a single input, each message is a pair by itself.

    Each message is compared with the waiting messages of the other input; the nearest stamp within the tolerance makes
    a pair at once. Stamps are expected to increase. Drops are counted by reason: no_partner (per input), superseded
    (pairs), stale (per input: not newer than the last message), clock_jumped_back (jumps).
    """

    def __init__(self, tolerance: float, counters: Counters, inputs: tuple[str, ...] = INPUTS):
        """tolerance : seconds; inputs : both of INPUTS, or one of them"""
        self.inputs = inputs
        self.tolerance = tolerance
        """For the messages from now on; may be replaced at any time."""
        self._counters = counters
        self._ready = threading.Condition()
        self._waiting: dict[str, deque[tuple[int, Any]]] = {name: deque() for name in INPUTS}
        self._newest: dict[str, int | None] = dict.fromkeys(INPUTS)
        self._before_jump: dict[str, int] = {}
        self._slot: Pair | None = None
        self.closed = False

    def add(self, source: str, message: Any, stamp: int) -> None:
        """A message of `image` or `points`; stamp in nanoseconds."""
        other = POINTS if source == IMAGE else IMAGE
        with self._ready:
            if not self._accept(source, other, stamp):
                return
            self._newest[source] = stamp
            if len(self.inputs) == 1:
                self._offer(**{source: message})
                return
            self._waiting[source].append((stamp, message))
            self._match(source, other, stamp, message)
            self._drop_unmatchable()

    def take(self, timeout: float) -> Pair | None:
        """The newest pair, waiting up to `timeout` seconds for one; None without one, and after `close`."""
        with self._ready:
            self._ready.wait_for(lambda: self._slot is not None or self.closed, timeout)
            pair, self._slot = self._slot, None
            return None if self.closed else pair

    def close(self) -> None:
        """Let `take` return None from now on, at once."""
        with self._ready:
            self.closed = True
            self._ready.notify_all()

    def _accept(self, source: str, other: str, stamp: int) -> bool:
        newest = self._newest[source]
        if source in self._before_jump:
            # The other input jumped back, this one not yet: a message from before the jump is dropped.
            reached = (self._newest[other] or 0) + JUMP_NS
            if stamp > max(self._before_jump[source] - JUMP_NS, reached):
                self._counters.drop(f"stale.{source}")
                return False
            del self._before_jump[source]
        elif newest is not None and stamp < newest - JUMP_NS:
            self._counters.drop(Drop.CLOCK_JUMPED_BACK)
            for name in INPUTS:
                self._counters.drop(f"no_partner.{name}", len(self._waiting[name]))
                self._waiting[name].clear()
            if (newest_other := self._newest[other]) is not None:
                self._before_jump[other] = max(newest, newest_other)
            self._newest = dict.fromkeys(INPUTS)
        elif newest is not None and stamp <= newest:
            self._counters.drop(f"stale.{source}")
            return False
        return True

    def _match(self, source: str, other: str, stamp: int, message: Any) -> None:
        candidates = self._waiting[other]
        if not candidates:
            return
        partner_stamp, partner = min(candidates, key=lambda entry: abs(entry[0] - stamp))
        if abs(partner_stamp - stamp) > round(self.tolerance * 1e9):
            return
        self._forget(other, partner_stamp, paired=1)
        self._forget(source, stamp, paired=1)
        self._offer(**{source: message, other: partner})

    def _offer(self, **messages: Any) -> None:
        if self._slot is not None:
            self._counters.drop(Drop.SUPERSEDED)
        self._slot = Pair(time.perf_counter(), **messages)
        self._ready.notify_all()

    def _drop_unmatchable(self) -> None:
        """Drop messages that are older than any message that the other input can still bring."""
        for source, other in (INPUTS, INPUTS[::-1]):
            if (newest := self._newest[other]) is not None:
                self._forget(source, newest - round(self.tolerance * 1e9) - 1)
            while len(self._waiting[source]) > _HISTORY:
                self._waiting[source].popleft()
                self._counters.drop(f"no_partner.{source}")

    def _forget(self, source: str, up_to: int, paired: int = 0) -> None:
        """Remove the messages with stamps up to `up_to`; all but `paired` of them found no partner."""
        waiting, count = self._waiting[source], 0
        while waiting and waiting[0][0] <= up_to:
            waiting.popleft()
            count += 1
        self._counters.drop(f"no_partner.{source}", count - paired)
