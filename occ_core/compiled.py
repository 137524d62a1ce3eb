"""numba's compiler, with a cache on disk that may be missing or damaged."""

import logging
from collections.abc import Callable
from functools import cache
from typing import Any

import numba
from numba.core.caching import FunctionCache

_LOG = logging.getLogger(__name__)


class _Cache(FunctionCache):
    """numba's own cache; files that cannot be read are written anew, and where none can be written none are."""

    def load_overload(self, sig, target_context):
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # numba unpickles the file: a damaged one raises anything
            return None

    def save_overload(self, sig, data):
        try:
            super().save_overload(sig, data)
        except Exception:
            self._save_anew(sig, data)

    def _save_anew(self, sig, data) -> None:
        try:
            self.flush()  # the index may be the damaged file
            super().save_overload(sig, data)
        except OSError:
            _log_uncached()


def compiled(function: Callable) -> Any:
    """Decorator: the function as machine code that runs without the GIL, compiled at the first call of each signature.

    The machine code is kept where numba keeps it ($NUMBA_CACHE_DIR, `__pycache__` beside the source or the user's cache
    folder). Where none of them can be written, as on a read-only file system, it is compiled anew in each process.
    """
    dispatcher: Any = numba.njit(nogil=True)(function)
    try:
        dispatcher._cache = _Cache(dispatcher.py_func)
    except RuntimeError:  # no folder that can be written
        _log_uncached()
    return dispatcher


@cache
def _log_uncached() -> None:
    """One line a process."""
    _LOG.warning(
        "compiled functions are not kept: no folder for them can be written; the start takes longer "
        "(set NUMBA_CACHE_DIR to a folder of your own)"
    )
