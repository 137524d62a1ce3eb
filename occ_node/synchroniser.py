"""The newest frame and nothing else: which image belongs to which cloud, every message left behind accounted for."""

import threading
import time
from collections import deque
from typing import Any, NamedTuple

from .counters import Counters

INPUTS = ("image", "points")
JUMP_NS = 500_000_000
"""Stamps that fall back by more than this mean that time itself went back: a bag began anew."""
_HISTORY = 8


class Pair(NamedTuple):
    """arrival : time.perf_counter() when the later came in; image, points : messages, None of an input there is not"""

    arrival: float
    image: Any = None
    points: Any = None


class Synchroniser:
    """Pairs image and cloud by stamp and keeps the newest pair in a slot of one. Of a single input each message is a
    "pair" by itself.

    Each arrival looks for the nearest stamp of the other input within the tolerance, so that a pair is ready as soon as
    its second half is there. Stamps are taken to rise; drops are counted by reason in the counters:
    no_partner (per input), superseded (pairs), stale (per input: not newer than the last), clock_jumped_back (jumps).
    """

    def __init__(self, tolerance: float, counters: Counters, inputs: tuple[str, ...] = INPUTS):
        """tolerance : seconds; inputs : those there are, both of INPUTS or one"""
        self._alone = len(inputs) == 1
        self._tolerance = round(tolerance * 1e9)
        self._counters = counters
        self._ready = threading.Condition()
        self._waiting: dict[str, deque[tuple[int, Any]]] = {name: deque() for name in INPUTS}
        self._newest: dict[str, int | None] = dict.fromkeys(INPUTS)
        self._before_jump: dict[str, int] = {}
        self._slot: Pair | None = None
        self.closed = False

    def add(self, source: str, message: Any, stamp: int) -> None:
        """A message of `image` or `points`; stamp in nanoseconds."""
        other = INPUTS[source == "image"]
        with self._ready:
            if not self._accept(source, other, stamp):
                return
            self._newest[source] = stamp
            if self._alone:
                self._offer(**{source: message})
                return
            self._waiting[source].append((stamp, message))
            self._match(source, other, stamp, message)
            self._drop_hopeless()

    def take(self, timeout: float) -> Pair | None:
        """The newest pair, waiting up to `timeout` seconds for one; None if there is none, or after `close`."""
        with self._ready:
            self._ready.wait_for(lambda: self._slot is not None or self.closed, timeout)
            pair, self._slot = self._slot, None
            return None if self.closed else pair

    def close(self) -> None:
        """Wake the worker for good."""
        with self._ready:
            self.closed = True
            self._ready.notify_all()

    def _accept(self, source: str, other: str, stamp: int) -> bool:
        newest = self._newest[source]
        if source in self._before_jump:
            # The other input went back in time and this one has not yet: a straggler from before it belongs nowhere.
            reached = self._newest[other] + JUMP_NS
            if stamp > max(self._before_jump[source] - JUMP_NS, reached):
                self._counters.drop(f"stale.{source}")
                return False
            del self._before_jump[source]
        elif newest is not None and stamp < newest - JUMP_NS:
            self._counters.drop("clock_jumped_back")
            for name in INPUTS:
                self._counters.drop(f"no_partner.{name}", len(self._waiting[name]))
                self._waiting[name].clear()
            if self._newest[other] is not None:
                self._before_jump[other] = max(newest, self._newest[other])
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
        if abs(partner_stamp - stamp) > self._tolerance:
            return
        self._forget(other, partner_stamp, paired=1)
        self._forget(source, stamp, paired=1)
        self._offer(**{source: message, other: partner})

    def _offer(self, **messages: Any) -> None:
        if self._slot is not None:
            self._counters.drop("superseded")
        self._slot = Pair(time.perf_counter(), **messages)
        self._ready.notify_all()

    def _drop_hopeless(self) -> None:
        """What is older than anything the other input can still bring."""
        for source, other in (INPUTS, INPUTS[::-1]):
            if self._newest[other] is not None:
                self._forget(source, self._newest[other] - self._tolerance - 1)
            while len(self._waiting[source]) > _HISTORY:
                self._waiting[source].popleft()
                self._counters.drop(f"no_partner.{source}")

    def _forget(self, source: str, up_to: int, paired: int = 0) -> None:
        """Let go of what is stamped up to `up_to`; all but `paired` of it found no partner."""
        waiting, count = self._waiting[source], 0
        while waiting and waiting[0][0] <= up_to:
            waiting.popleft()
            count += 1
        self._counters.drop(f"no_partner.{source}", count - paired)
