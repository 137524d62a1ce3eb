"""SIGINT and SIGTERM end the node quietly, from its first import on. This file imports nothing that takes time."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_waiting: list[int] | None = None
"""Signals that came within `interrupted_later`; None outside of it."""


def exit_on_signals() -> None:
    """End the process with code 0 at once: for the imports, which take seconds and may swallow an exception."""
    _handle(lambda number, frame: os._exit(0))


def interrupt_on_signals() -> None:
    """The first raises KeyboardInterrupt, later ones are ignored: `ros2 launch` and a terminal send SIGINT twice."""

    def interrupt(number, frame):
        if _waiting is not None:
            _waiting.append(number)
            return
        ignore_signals()
        raise KeyboardInterrupt

    _handle(interrupt)


@contextmanager
def interrupted_later() -> Iterator[None]:
    """What `interrupt_on_signals` raises comes at the end of the block: a part of rclpy that is half made prints a
    traceback when it is deleted.
    """
    global _waiting
    _waiting = []
    try:
        yield
    finally:
        arrived, _waiting = _waiting, None
    if arrived:
        ignore_signals()
        raise KeyboardInterrupt


def ignore_signals() -> None:
    """While the node is taken apart."""
    # Not SIG_IGN: a signal that waits for its handler, or that rclpy passes on, would be complained about on stderr.
    _handle(lambda number, frame: None)


def ignore_signals_to_the_end() -> None:
    """When rclpy has shut down. Python resets handlers of its own when it ends, but not these."""
    _handle(signal.SIG_IGN)


def _handle(handler) -> None:
    for number in _SIGNALS:
        signal.signal(number, handler)
