import threading
import time

import pytest

from occ_runtime import Profiler


def test_percentiles_and_count():
    profiler = Profiler()
    for n in range(1, 101):
        profiler.record("inference", n / 1000)
    assert profiler.summary() == {
        "inference": {"count": 100, "p50_ms": pytest.approx(50.5), "p95_ms": pytest.approx(95.05)}
    }


def test_old_samples_leave_the_window_and_stay_counted():
    profiler = Profiler(window=2)
    for seconds in (9.0, 0.001, 0.001):
        profiler.record("inference", seconds)
    assert profiler.summary()["inference"] == {"count": 3, "p50_ms": pytest.approx(1), "p95_ms": pytest.approx(1)}


def test_a_stage_is_timed():
    profiler = Profiler()
    start = time.perf_counter()
    with profiler.stage("work"):
        sum(range(10_000))
    assert 0 < profiler.summary()["work"]["p50_ms"] <= (time.perf_counter() - start) * 1e3


def test_a_stage_that_raises_is_not_counted():
    profiler = Profiler()
    with pytest.raises(KeyError), profiler.stage("work"):
        raise KeyError
    assert profiler.summary() == {}


def test_stages_are_listed_in_order_of_first_use():
    profiler = Profiler()
    for name in ("preprocess", "inference", "preprocess"):
        profiler.record(name, 0.0)
    assert list(profiler.summary()) == ["preprocess", "inference"]


def test_threads_lose_no_sample():
    profiler = Profiler()

    def record():
        for _ in range(500):
            profiler.record("work", 0.001)
            profiler.summary()

    threads = [threading.Thread(target=record) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert profiler.summary()["work"]["count"] == 2000
