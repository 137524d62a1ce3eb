"""The memory for decoded frames: what it keeps, and that forked processes share it."""

from multiprocessing import get_context

import numpy as np
import pytest

from occ_core.errors import InputError
from occ_models.frame_cache import FrameCache


def test_the_cache_keeps_what_has_room_and_no_more():
    cache, reads = FrameCache(3.3e-6), []

    def read(size):
        reads.append(size)
        return (np.zeros(size, np.uint8),)

    for key, size in (("a", 2000), ("b", 2000), ("c", 1000)):
        for _ in range(2):
            assert len(cache.get(key, lambda size=size: read(size))[0]) == size
    assert reads == [2000, 2000, 2000, 1000]  # b found no room beside a
    assert 3000 < cache.used <= 3300


def test_arrays_come_back_as_they_were():
    cache, rng = FrameCache(1e-3), np.random.default_rng(0)
    arrays = {
        n: (rng.random((n, 4), np.float32), rng.integers(0, 255, (3, n, 2), np.uint8)[:, ::-1], np.empty((0, 4)))
        for n in range(1, 40)
    }
    for _ in range(2):
        for key, wanted in arrays.items():
            for kept, array in zip(cache.get(key, lambda wanted=wanted: wanted), wanted, strict=True):
                assert kept.dtype == array.dtype and np.array_equal(kept, array)


def test_what_one_process_reads_another_finds():
    cache = FrameCache(1e-3)

    def fill(first):
        for n in range(first, first + 20):
            cache.get(n, lambda n=n: (np.full(100, n),))

    processes = [get_context("fork").Process(target=fill, args=(first,)) for first in (0, 10)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    for n in range(30):
        (found,) = cache.get(n, lambda: pytest.fail("read again"))
        assert np.array_equal(found, np.full(100, n))


def test_more_memory_than_there_can_be_is_refused():
    with pytest.raises(InputError, match=r"cache_gb: 1e\+12 GB of memory cannot be reserved"):
        FrameCache(1e12)
