"""Decoded frames kept in memory, shared by the processes that load them."""

import hashlib
import json
import mmap
from collections.abc import Callable
from multiprocessing import get_context

import numpy as np

from occ_core.errors import InputError

_SLOTS = 1 << 18
_ALIGNED = 16
_PATIENCE = 5.0

Arrays = tuple[np.ndarray, ...]


class FrameCache:
    """Arrays of frames, up to a number of gigabytes in all. Several data sets may share one.

    Processes forked after it was made share it too: what one has read, none reads again. Memory is taken as it is used.
    Nothing is removed: where there is no room left, frames are read each time.
    """

    def __init__(self, gigabytes: float):
        self._room = int(gigabytes * 1e9)
        try:
            self._memory = mmap.mmap(-1, max(self._room, 1))
        except (OSError, OverflowError) as error:
            raise InputError(f"cache_gb: {gigabytes:g} GB of memory cannot be reserved: {error}") from None
        # A table of open slots: the key's hash, and where its arrays begin, plus one (0: an empty slot).
        self._keys = np.frombuffer(mmap.mmap(-1, 8 * _SLOTS), np.uint64)
        self._starts = np.frombuffer(mmap.mmap(-1, 8 * _SLOTS), np.int64)
        self._used = np.frombuffer(mmap.mmap(-1, 16), np.int64)  # bytes, slots
        # Semaphores as well as memory pass to forked processes only.
        self._lock = get_context("fork").Lock()

    @property
    def used(self) -> int:
        """Bytes that are taken."""
        return int(self._used[0])

    def get(self, key, read: Callable[[], Arrays]) -> Arrays:
        """What `read` gives for the key, which has the same `repr` in each process. Not to be changed in place."""
        number = int.from_bytes(hashlib.blake2b(repr(key).encode(), digest_size=8).digest(), "little")
        slot = self._slot(number)
        if self._starts[slot]:
            return self._stored(int(self._starts[slot]) - 1)
        arrays = tuple(np.ascontiguousarray(array) for array in read())
        self._keep(number, arrays)
        return arrays

    def _slot(self, number: int) -> int:
        """The key's slot, or the empty one where it would be."""
        slot = number % _SLOTS
        while self._starts[slot] and self._keys[slot] != number:
            slot = (slot + 1) % _SLOTS
        return slot

    def _keep(self, number: int, arrays: Arrays) -> None:
        header = json.dumps([[array.dtype.str, array.shape] for array in arrays]).encode()
        blocks = [len(header).to_bytes(_ALIGNED, "little"), header, *(array.tobytes() for array in arrays)]
        size = sum(_aligned(len(block)) for block in blocks)
        start = self._reserve(size)
        if start is None:
            return
        place = start
        for block in blocks:
            self._memory[place : place + len(block)] = block
            place += _aligned(len(block))
        # Under the lock, so that a process that sees the slot sees the arrays.
        if self._lock.acquire(timeout=_PATIENCE):
            slot = self._slot(number)
            self._keys[slot], self._starts[slot] = number, start + 1
            self._lock.release()

    def _reserve(self, size: int) -> int | None:
        """Where so many bytes may be written; None where there is no room, or a process died with the lock."""
        if self.used + size > self._room or not self._lock.acquire(timeout=_PATIENCE):
            return None
        start = self.used
        fits = start + size <= self._room and self._used[1] < _SLOTS // 2
        if fits:
            self._used[:] = start + size, self._used[1] + 1
        self._lock.release()
        return start if fits else None

    def _stored(self, place: int) -> Arrays:
        length = int.from_bytes(self._memory[place : place + _ALIGNED], "little")
        place += _ALIGNED
        header = json.loads(self._memory[place : place + length])
        place += _aligned(length)
        arrays = []
        for dtype, shape in header:
            count = int(np.prod(shape))
            array = np.frombuffer(self._memory, dtype, count, place).reshape(shape)
            arrays.append(array)
            place += _aligned(array.nbytes)
        return tuple(arrays)


def _aligned(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED
