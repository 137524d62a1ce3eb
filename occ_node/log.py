"""Log lines that do not repeat at the sensors' rate."""

import re
import threading
import time

from occ_core.errors import ReportedError, one_line

from .counters import Drop

_PERIOD = 5.0
"""Seconds between two log lines of the same error."""
_LINES = 8
"""Different lines of one reason in a period at most: a text may quote a message, and every message may differ."""


def reason_of(error: Exception) -> str:
    """An error as one line of the log; with its type where it was not made for users."""
    if isinstance(error, OSError) and error.strerror:
        return one_line(f"{error.filename}: {error.strerror}" if error.filename else error.strerror)
    text = str(error) if isinstance(error, ReportedError) else f"{type(error).__name__}: {error}"
    return one_line(" ".join(text.split()))


class Log:
    """Errors at most once a period each and a few of one reason, warnings once. Called from all threads.

    Nothing is kept that grows with what messages hold.
    """

    def __init__(self, logger):
        """logger : of an rclpy node"""
        self._logger = logger
        self._lock = threading.Lock()
        self._periods: dict[Drop, tuple[float, set[str]]] = {}
        self._changes: dict[str, float] = {}
        self._warned: set[str] = set()

    def error(self, reason: Drop, text: str) -> None:
        """Texts that differ only in numbers count as the same error."""
        text = one_line(text)
        key, now = _key(text), time.monotonic()
        with self._lock:
            began, logged = self._periods.get(reason, (float("-inf"), set()))
            if now - began >= _PERIOD:
                self._periods[reason] = (now, logged := set())
            if key in logged or len(logged) == _LINES:
                return
            logged.add(key)
        self._logger.error(text)

    def change(self, text: str, bad: bool) -> None:
        """A state was entered: a warning where it is a bad one. Each text, one of few, at most once a period."""
        now = time.monotonic()
        with self._lock:
            if now - self._changes.get(text, float("-inf")) < _PERIOD:
                return
            self._changes[text] = now
        (self._logger.warning if bad else self._logger.info)(text)

    def info(self, text: str) -> None:
        """Each time."""
        self._logger.info(text)

    def warn(self, text: str) -> None:
        """Each time: for what the caller says once itself."""
        self._logger.warning(text)

    def warn_once(self, text: str) -> None:
        """Once in the life of the node, whatever its numbers are; without text from messages."""
        with self._lock:
            if _key(text) in self._warned:
                return
            self._warned.add(_key(text))
        self._logger.warning(text)


def _key(text: str) -> str:
    return re.sub(r"\d+", "", text)
