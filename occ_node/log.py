"""Log lines that do not repeat at the sensors' rate."""

import re
import time

from occ_core.errors import ReportedError

_LONGEST = 500
"""Characters of an error in the log."""
_PERIOD = 5.0
"""Seconds between two log lines of the same error."""


def one_line(error: Exception) -> str:
    """An error as one line of the log, cut where it is very long; with its type where it was not made for users."""
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    else:
        text = str(error) if isinstance(error, ReportedError) else f"{type(error).__name__}: {error}"
    text = " ".join(text[: 2 * _LONGEST].split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."


class Log:
    """Errors at most once a period each, warnings once. Called from all threads."""

    def __init__(self, logger):
        """logger : of an rclpy node"""
        self._logger = logger
        self._logged: dict[str, float] = {}

    def error(self, text: str) -> None:
        """Texts that differ only in numbers count as the same error."""
        key, now = re.sub(r"\d+", "", text), time.monotonic()
        if now - self._logged.get(key, float("-inf")) >= _PERIOD:
            self._logged[key] = now
            self._logger.error(text)

    def warn_once(self, text: str) -> None:
        """Once in the life of the node."""
        if text not in self._logged:
            self._logged[text] = time.monotonic()
            self._logger.warning(text)
