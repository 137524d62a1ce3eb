"""A GPU and no engine yet: frames are answered from the first moment, and by the engine once it is proven."""

import threading
import time

import numpy as np
import pytest

from occ_runtime import Backend, load_backend

from ..conftest import network

PATIENCE = 120.0
"""Seconds to wait for anything: on a busy machine everything takes longer."""


@pytest.fixture
def hold(newest):
    """A build that goes on until the test sets this."""
    event = threading.Event()
    newest.build = lambda: event.wait(PATIENCE)
    return event


@pytest.fixture
def standing_by(newest, bundle, cache, reported):
    """A loaded standby backend."""
    backends = []

    def load():
        backends.append(load_backend(bundle, engine_cache=str(cache), report=reported, standby=True))
        return backends[-1]

    yield load
    for backend in backends:
        backend.close()


def until_reported(reported, words: str) -> None:
    """Wait until a line with these words was reported."""
    end = time.monotonic() + PATIENCE
    while words not in str(reported):
        assert time.monotonic() < end, f"no report with {words!r}: {reported}"
        time.sleep(0.01)


def test_the_slower_backend_answers_while_the_engine_is_built(hold, standing_by, newest, bundle, reported):
    backend = standing_by()
    assert isinstance(backend, Backend) and backend.precision in ("f32", "bf16")
    until_reported(reported, "engine: building")
    inputs, expected = bundle.golden()
    assert np.array_equal(backend.infer(inputs)["labels"], expected["labels"])
    assert backend.name == "openvino"
    assert "(auto: engine tiny-f32-" in backend.description and "is not built yet)" in backend.description
    assert newest.enqueued == 0
    hold.set()


def test_the_first_frame_after_the_build_runs_on_the_engine(hold, standing_by, newest, bundle, reported):
    backend = standing_by()
    hold.set()
    until_reported(reported, "engine: ready, tensorrt 11.1.0, Stand-in GPU, f32, CUDA graph takes over from openvino")
    before = newest.enqueued
    inputs, expected = bundle.golden()
    assert np.array_equal(backend.infer(inputs)["labels"], expected["labels"])
    assert newest.enqueued == before + 1
    assert (backend.name, backend.precision) == ("tensorrt", "f32")
    assert backend.description.startswith("tensorrt 11.1.0")


def test_the_next_start_takes_the_engine_at_once(standing_by, newest, reported):
    standing_by()
    until_reported(reported, "engine: ready")
    assert standing_by().name == "tensorrt"
    assert len(newest.built) == 1


def test_a_build_that_fails_is_said_once_and_the_slower_backend_stays(standing_by, newest, bundle, reported):
    newest.builder_refuses = "no kernel fits"
    backend = standing_by()
    until_reported(reported, "no kernel fits; openvino stays")
    for _ in range(3):
        assert backend.infer(bundle.golden()[0])["labels"].any()
    assert backend.name == "openvino"
    assert str(reported).count("no kernel fits") == 1


def test_an_engine_with_wrong_numbers_never_answers(standing_by, newest, bundle, reported):
    newest.plan = lambda onnx: network(kind=9)
    backend = standing_by()
    until_reported(reported, "474 of 8192 labels differ (5.786 %)")
    inputs, expected = bundle.golden()
    assert np.array_equal(backend.infer(inputs)["labels"], expected["labels"])
    assert backend.name == "openvino"


def test_a_fault_of_the_builder_does_not_reach_the_frames(standing_by, newest, bundle, reported):
    def fault():
        raise AttributeError("no such name")

    newest.build = fault
    backend = standing_by()
    until_reported(reported, "engine: no such name; openvino stays")
    assert backend.infer(bundle.golden()[0])["labels"].any()


def test_closing_calls_a_running_build_off_and_leaves_nothing(newest, bundle, cache, reported):
    started, go_on = threading.Event(), threading.Event()

    def build():
        started.set()
        go_on.wait(PATIENCE)

    newest.build = build
    backend = load_backend(bundle, engine_cache=str(cache), report=reported, standby=True)
    assert started.wait(PATIENCE)
    closing = threading.Thread(target=backend.close)
    closing.start()
    until_reported(reported, "engine: ending the build")
    go_on.set()
    closing.join(PATIENCE)
    assert not closing.is_alive()
    assert [file.name for file in cache.iterdir()] == ["lock"]
    assert newest.cuda.live == {}


def test_without_standby_auto_waits_for_the_engine(newest, bundle, cache, reported):
    backend = load_backend(bundle, engine_cache=str(cache), report=reported)
    assert backend.name == "tensorrt"
    assert backend.description.endswith("CUDA graph (auto)")
    backend.close()


def test_a_gpu_that_fails_at_once_leaves_the_slower_backend_and_says_why(newest, bundle, cache, reported):
    newest.context_refuses = "out of memory"
    load_backend(bundle, "auto", engine_cache=str(cache), report=reported).close()
    backend = load_backend(bundle, engine_cache=str(cache), report=reported)
    assert backend.name == "openvino"
    assert "cannot make room for the network on the GPU: out of memory" in backend.description
