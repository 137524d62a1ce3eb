"""Pairs image and cloud and keeps only the newest pair; every message that is dropped is counted."""

import threading
import time
from collections import deque
from typing import Any, NamedTuple

from .clouds import CloudMessage
from .counters import Counters, Drop
from .topics import IMAGE, POINTS

INPUTS = (IMAGE, POINTS)
JUMP_NS = 500_000_000
"""A stamp that is older than the last one by more than this means that the clock was set back: a bag started again."""
_HISTORY = 8
"""Messages of one input that wait for a partner at most."""


class Pair(NamedTuple):
    """arrival : time.perf_counter() at the later message
    image : message; points : the leading cloud; None for an unused input
    """

    arrival: float
    image: Any = None
    points: CloudMessage | None = None


class Synchroniser:
    """Pairs image and cloud by stamp and keeps the newest pair. With a single input, each message is a pair by itself.

    Each message is compared with the waiting messages of the other input; the nearest stamp within the tolerance makes
    a pair at once. Stamps are expected to increase. Drops are counted by reason: no_partner (per input), superseded
    (pairs), stale (per input: not newer than the message before), clock_jumped_back (jumps).

    Each message is judged by the one that came before it on the same input, never by an older one: after any sequence
    of stamps, the third pair of increasing ones is answered at the latest.
    """

    def __init__(self, tolerance: float, counters: Counters, inputs: tuple[str, ...] = INPUTS):
        """tolerance : seconds; inputs : both of INPUTS, or one of them"""
        self.inputs = inputs
        self.tolerance = tolerance
        """For the messages from now on; may be replaced at any time."""
        self._counters = counters
        self._ready = threading.Condition()
        self._waiting: dict[str, deque[tuple[int, Any]]] = {name: deque() for name in INPUTS}
        self._last: dict[str, int | None] = dict.fromkeys(INPUTS)
        self._jumped: str | None = None
        """The input whose stamps jumped back while those of the other did not yet."""
        self._slot: Pair | None = None
        self.closed = False

    def add(self, source: str, message: Any, stamp: int) -> None:
        """A message of `image` or `points`; stamp in nanoseconds."""
        other = POINTS if source == IMAGE else IMAGE
        with self._ready:
            last, self._last[source] = self._last[source], stamp
            if last is not None and stamp < last - JUMP_NS:
                self._jump_back(source, other)
            elif last is not None and stamp <= last:
                self._counters.drop(f"stale.{source}")
                return
            if len(self.inputs) == 1:
                self._offer(**{source: message})
                return
            self._drop_from(source, stamp)
            self._waiting[source].append((stamp, message))
            self._match(source, other, stamp, message)
            self._drop_unmatchable()

    def take(self, timeout: float) -> Pair | None:
        """The newest pair, waiting up to `timeout` seconds for one; None without one, and after `close`."""
        with self._ready:
            self._ready.wait_for(lambda: self._slot is not None or self.closed, timeout)
            pair, self._slot = self._slot, None
            return None if self.closed else pair

    def waiting(self) -> dict[str, int]:
        """By input: the messages that may still find a partner."""
        with self._ready:
            return {name: len(self._waiting[name]) for name in self.inputs}

    def close(self) -> None:
        """Let `take` return None from now on, at once."""
        with self._ready:
            self.closed = True
            self._ready.notify_all()

    def _jump_back(self, source: str, other: str) -> None:
        """The clock was set back; both inputs show it, one after the other, and it counts once."""
        self._drop_all(source)
        if self._jumped == other:
            self._jumped = None
            return
        self._counters.drop(Drop.CLOCK_JUMPED_BACK)
        self._drop_all(other)
        self._jumped = source

    def _match(self, source: str, other: str, stamp: int, message: Any) -> None:
        candidates = self._waiting[other]
        if not candidates:
            return
        partner_stamp, partner = min(candidates, key=lambda entry: abs(entry[0] - stamp))
        if abs(partner_stamp - stamp) > round(self.tolerance * 1e9):
            return
        self._drop_up_to(other, partner_stamp, paired=1)
        self._drop_up_to(source, stamp, paired=1)
        self._jumped = None
        self._offer(**{source: message, other: partner})

    def _offer(self, **messages: Any) -> None:
        if self._slot is not None:
            self._counters.drop(Drop.SUPERSEDED)
        self._slot = Pair(time.perf_counter(), **messages)
        self._ready.notify_all()

    def _drop_unmatchable(self) -> None:
        """Drop messages that are older than any message that the other input can still bring, and more than wait."""
        for source, other in (INPUTS, INPUTS[::-1]):
            # The other input has yet to follow a jump: it will bring older stamps than its last one.
            if (last := self._last[other]) is not None and self._jumped != source:
                self._drop_up_to(source, last - round(self.tolerance * 1e9) - 1)
            while len(self._waiting[source]) > _HISTORY:
                self._waiting[source].popleft()
                self._counters.drop(f"no_partner.{source}")

    def _drop_up_to(self, source: str, stamp: int, paired: int = 0) -> None:
        """Remove the messages with stamps up to `stamp`; all but `paired` of them found no partner."""
        waiting, count = self._waiting[source], 0
        while waiting and waiting[0][0] <= stamp:
            waiting.popleft()
            count += 1
        self._counters.drop(f"no_partner.{source}", count - paired)

    def _drop_from(self, source: str, stamp: int) -> None:
        """Remove the messages with stamps from `stamp` on: those that wait stay in the order of their stamps."""
        waiting, count = self._waiting[source], 0
        while waiting and waiting[-1][0] >= stamp:
            waiting.pop()
            count += 1
        self._counters.drop(f"no_partner.{source}", count)

    def _drop_all(self, source: str) -> None:
        self._counters.drop(f"no_partner.{source}", len(self._waiting[source]))
        self._waiting[source].clear()
