"""Log lines that do not repeat at the sensors' rate."""

import re
import time

_PERIOD = 5.0
"""Seconds between two log lines of the same error."""


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
