"""Random access to the messages of one topic."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from .reader import BagError, Message, open_bag


class TopicMessages:
    """The messages of one topic by their place among them; one at a time is in memory.

    Read in order, each message is read once; out of order, the bag's index is used. May be pickled, and used in a
    process that was forked: each process opens the bag itself.
    """

    def __init__(self, path: Path, topic: str, recorded: np.ndarray):
        """recorded : (N,) int64, time of recording in ns of every message of the topic, as `read_bag` orders them"""
        self._arguments = path, topic, recorded
        self._cursor: _Cursor | None = None

    def __getitem__(self, place: int) -> tuple[str, bytes | memoryview]:
        """Message type and CDR bytes of the message at `place`. Raises BagError."""
        if self._cursor is None or self._cursor.process != os.getpid():
            self._cursor = _Cursor(*self._arguments)
        return self._cursor.read(place)

    def __reduce__(self):
        return TopicMessages, self._arguments


class _Cursor:
    """The bag, open in one process, and the place to read next."""

    def __init__(self, path: Path, topic: str, recorded: np.ndarray):
        self.process = os.getpid()
        self._path, self._topic, self._recorded = path, topic, recorded
        self._ordered = bool(np.all(recorded[1:] >= recorded[:-1]))
        self._stack = ExitStack()
        self._bag = self._stack.enter_context(open_bag(path))
        self._seek(0)
        self._held: tuple[int, str, bytes | memoryview] | None = None

    def read(self, place: int) -> tuple[str, bytes | memoryview]:
        """See TopicMessages. The last message is held: two clouds may have one image."""
        if self._held is None or self._held[0] != place:
            if self._next != place:
                self._seek(place)
            try:
                _, msgtype, _, data = next(self._messages)
            except StopIteration:
                raise BagError(f"{self._path}: message {place} of {self._topic} is missing: changed since?") from None
            self._held, self._next = (place, msgtype, data), place + 1
        return self._held[1:]

    def _seek(self, place: int) -> None:
        """Let `_messages` continue at `place`. Messages recorded at the same time keep their order."""
        first = int(np.searchsorted(self._recorded, self._recorded[place])) if self._ordered else 0
        start = int(self._recorded[place]) if self._ordered else None
        self._messages: Iterator[Message] = self._bag.messages([self._topic], start)
        for _ in range(place - first):
            next(self._messages, None)
        self._next = place
