"""The executor's loop, and services that always answer: an exception in a callback is reported and survived."""

import time
from collections.abc import Callable
from functools import partial

from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions, install_signal_handlers

from .signals import interrupted_later

_LAST_ANSWERS = 2.0
"""Seconds after the end in which a lifecycle manager may still ask for the state; nav2's does."""
_PAUSE = 0.01
"""Seconds after an exception, so that a callback that fails each time leaves time for the others."""


def spin(node, until: Callable[[], bool], report: Callable[[Exception], None]) -> None:
    """Run a node's callbacks until its context ends, or until two seconds after the condition became true.

    node : of a context that was made without rclpy's signal handlers, which are installed here: they end the context at
           any moment, and an executor that is made in a context that has ended prints a traceback
    report : gets what the callbacks raise
    """
    with interrupted_later():
        executor = SingleThreadedExecutor(context=node.context)
        executor.add_node(node)
        install_signal_handlers(SignalHandlerOptions.ALL)
    end = float("inf")
    while node.context.ok() and time.monotonic() < end:
        try:
            # Not spin(): a signal wakes the executor before the context is shut down, and it may go back to sleep.
            executor.spin_once(timeout_sec=1.0)
        except ExternalShutdownException:
            return
        except Exception as error:
            if node.context.ok():  # otherwise a signal ended the context, and the error is a result of that
                report(error)
                time.sleep(_PAUSE)
        if until():
            end = min(end, time.monotonic() + _LAST_ANSWERS)


def answer_always(node, report: Callable[[Exception], None]) -> None:
    """Let a service whose callback raises answer what it has until then: in ROS 2's own services, that it failed.

    rclpy raises for a transition that the state does not have, and for a parameter value of an unknown type.
    """
    for service in node.services:
        service.callback = partial(_answer, service.callback, report)


def _answer(callback, report, request, response):
    try:
        return callback(request, response)
    except Exception as error:
        report(error)
        return response
