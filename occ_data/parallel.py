"""The same work on many items in several processes."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from typing import Any

from occ_core.errors import ReportedError


class WorkerLost(ReportedError):
    """A process ended without a result, as one that the system killed for its memory."""


def in_order(work: Callable[[Any], Any], items: Sequence[Any], workers: int) -> Iterator[Any]:
    """`work` of each item, in their order; with one worker in this process.

    An error of `work` is raised in the place of its item, and what has not begun is left undone. Raises WorkerLost.
    """
    if workers <= 1 or len(items) <= 1:
        yield from map(work, items)
        return
    # Not forked: this process may have threads.
    pool = ProcessPoolExecutor(min(workers, len(items)), get_context("spawn"), _prepare, (work,))
    try:
        yield from pool.map(_run, items)
    except BrokenProcessPool:
        raise WorkerLost(
            f"one of {workers} processes was ended from outside, perhaps for lack of memory; try fewer workers"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


_work: Callable[[Any], Any]


def _prepare(work: Callable[[Any], Any]) -> None:
    """In each new process: Ctrl-C is the parent's to answer, and the process ends with its parent."""
    global _work
    _work = work
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()


def end_with_parent() -> None:
    """In a child process: end when its parent does, however that ended."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = parent_process()
    if parent is not None:  # always so in a child
        parent.join()
        os._exit(1)


def _run(item: Any) -> Any:
    return _work(item)
