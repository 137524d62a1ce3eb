"""Random access to the messages of one topic."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from .reader import BagError, Message, OpenBag, open_bag


class TopicMessages:
    """The messages of one topic by their place among them; one at a time is in memory.

    Read in order, each message is read once; out of order, the bag's index is used. May be pickled, and used in a
    process that was forked: each process opens the bag itself.
    """

    def __init__(self, path: Path, topic: str, recorded: np.ndarray):
        """recorded : (N,) int64, time of recording in ns of every message of the topic, as `read_bag` orders them"""
        self.topic = topic
        self._path, self._recorded = path, recorded
        self._ordered = bool(np.all(recorded[1:] >= recorded[:-1]))
        self._close()

    def __getitem__(self, place: int) -> tuple[str, bytes | memoryview]:
        """Message type and CDR bytes of the message at `place`."""
        if self._process != os.getpid():
            self._open()
        if self._held is None or self._held[0] != place:
            if self._next != place:
                self._seek(place)
            try:
                _, msgtype, _, data = next(self._messages)
            except StopIteration:
                raise BagError(f"{self._path}: message {place} of {self.topic} is missing: changed since?") from None
            self._held, self._next = (place, msgtype, data), place + 1
        return self._held[1:]

    def __getstate__(self) -> dict:
        return {"path": self._path, "topic": self.topic, "recorded": self._recorded}

    def __setstate__(self, state: dict) -> None:
        self.__init__(**state)

    def _close(self) -> None:
        self._process: int | None = None
        self._bag: OpenBag | None = None
        self._messages: Iterator[Message] = iter(())
        self._next: int | None = None
        self._held: tuple[int, str, bytes | memoryview] | None = None

    def _open(self) -> None:
        self._close()
        self._opened = ExitStack()
        self._bag = self._opened.enter_context(open_bag(self._path))
        self._process = os.getpid()

    def _seek(self, place: int) -> None:
        """Let `_messages` continue at `place`. Messages recorded at the same time keep their order."""
        first = int(np.searchsorted(self._recorded, self._recorded[place])) if self._ordered else 0
        start = int(self._recorded[place]) if self._ordered else None
        self._messages = self._bag.messages([self.topic], start)
        for _ in range(place - first):
            next(self._messages, None)
