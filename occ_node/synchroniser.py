"""Pairs image and cloud and keeps only the newest pair; every message that is dropped is counted."""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from .clouds import CloudMessage
from .counters import Counters, Drop
from .silence import Silence
from .topics import IMAGE, POINTS

INPUTS = (IMAGE, POINTS)
JUMP_NS = 500_000_000
"""A stamp that is older than the last one by more than this means that the clock was set back: a bag started again."""
_HISTORY = 8
"""Messages of one input that wait for a partner at most."""


class Pair(NamedTuple):
    """arrival : time.perf_counter() at the later message
    image : message; points : the leading cloud; None for an input that is unused or silent
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

    While an input is silent, the other's messages are used alone: those that would be dropped as no_partner, each at
    most once. The first pair ends that. Stamps of frames increase across such switches, but for a jump of the clock.
    """

    def __init__(
        self,
        tolerance: float,
        counters: Counters,
        inputs: tuple[str, ...] = INPUTS,
        spare: tuple[str, ...] = (),
        clock: Callable[[], float] = time.monotonic,
    ):
        """tolerance : seconds; inputs : both of INPUTS, or one of them; spare : those that frames can do without
        clock : steady, seconds, for what is silent
        """
        self.inputs = inputs
        self.tolerance = tolerance
        """For the messages from now on; may be replaced at any time."""
        self._counters = counters
        self._ready = threading.Condition()
        self._waiting: dict[str, deque[tuple[int, Any]]] = {name: deque() for name in INPUTS}
        self._last: dict[str, int | None] = dict.fromkeys(INPUTS)
        self._jumped: str | None = None
        """The input whose stamps jumped back while those of the other did not yet."""
        self._silence = Silence(inputs, spare, clock)
        self._alone: str | None = None
        """The input whose messages are used alone."""
        self._newest: int | None = None
        """Stamp of the newest frame, which that of a frame of another kind must exceed."""
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
                self._offer(stamp, **{source: message})
                return
            self._silence.heard(source)
            self._drop_from(source, stamp)
            self._waiting[source].append((stamp, message))
            self._match(source, other, stamp, message)
            self._drop_unmatchable()
            if self._silence.silent(other, source, self._alone == source):
                self._alone = source
                self._drop_up_to(source, stamp)

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
        self._newest = None
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
        of_points = stamp if source == POINTS else partner_stamp
        if self._alone is not None and not self._follows(of_points):
            return
        self._alone = self._jumped = None
        self._drop_up_to(other, partner_stamp, paired=1)
        self._drop_up_to(source, stamp, paired=1)
        self._offer(of_points, **{source: message, other: partner})

    def _follows(self, stamp: int) -> bool:
        """Whether a frame with this stamp comes after the newest one, or after a jump of the clock."""
        return self._newest is None or stamp > self._newest or stamp < self._newest - JUMP_NS

    def _offer(self, stamp: int, **messages: Any) -> None:
        if self._slot is not None:
            self._counters.drop(Drop.SUPERSEDED)
        self._newest = stamp
        self._slot = Pair(time.perf_counter(), **messages)
        self._ready.notify_all()

    def _drop_unmatchable(self) -> None:
        """Drop messages that are older than any message that the other input can still bring, and more than wait."""
        for source, other in (INPUTS, INPUTS[::-1]):
            # The other input has yet to follow a jump: it will bring older stamps than its last one.
            if (last := self._last[other]) is not None and self._jumped != source:
                self._drop_up_to(source, last - round(self.tolerance * 1e9) - 1)
            while len(self._waiting[source]) > _HISTORY:
                self._drop_up_to(source, self._waiting[source][0][0])

    def _drop_up_to(self, source: str, stamp: int, paired: int = 0) -> None:
        """Remove the messages with stamps up to `stamp`; all but `paired` of them found no partner. While the other
        input is silent, the newest of them is a frame.
        """
        waiting, removed = self._waiting[source], []
        while waiting and waiting[0][0] <= stamp:
            removed.append(waiting.popleft())
        used = source == self._alone and bool(removed) and self._follows(removed[-1][0])
        if used:
            self._counters.count(f"alone.{source}")
            self._offer(removed[-1][0], **{source: removed[-1][1]})
        self._counters.drop(f"no_partner.{source}", len(removed) - paired - used)

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
