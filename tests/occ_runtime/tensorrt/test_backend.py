"""Build, cache, load, enqueue and graph over the stand-ins, for every TensorRT version served."""

import re
import threading

import numpy as np
import pytest

from occ_core.frame import FramePreprocessor
from occ_runtime import Backend, BackendError, load_backend
from occ_runtime.tensorrt import gpu_problem

from ..conftest import PREPROCESS, frame
from .conftest import install
from .cuda_stand_in import cudaError_t


@pytest.fixture
def inputs():
    return FramePreprocessor(PREPROCESS)(*frame())


def test_a_built_engine_answers_the_golden_sample(gpu, load, bundle):
    golden_inputs, expected = bundle.golden()
    outputs = load().infer(golden_inputs)
    assert np.array_equal(outputs["labels"], expected["labels"])
    assert np.abs(outputs["confidence"].astype(int) - expected["confidence"]).max() <= 1


def test_it_fulfils_the_protocol(newest, load):
    backend = load()
    assert isinstance(backend, Backend)
    assert (backend.name, backend.precision) == ("tensorrt", "f32")


def test_the_description_names_version_gpu_precision_and_graph(gpu, load, version):
    assert load().description == f"tensorrt {version}.0, Stand-in GPU, f32, CUDA graph"


def test_the_second_load_takes_the_plan_from_the_cache(gpu, load, reported):
    load()
    reported.clear()
    load()
    assert len(gpu.built) == 1
    assert reported == []


def test_networks_are_strongly_typed_where_the_version_can(gpu, load, version, typed_bundle):
    for precision in ("f32", "f16", "int8"):
        load(typed_bundle, precision=precision)
    flags = [set(built["flags"]) for built in gpu.built]
    if version == "8.6":
        assert flags == [set(), {"FP16", "OBEY_PRECISION_CONSTRAINTS"}, {"INT8"}]
    else:
        assert flags == [set()] * 3  # without TF32, too
    assert {built["network"] for built in gpu.built} == {1 if version == "8.6" else 2}


def test_on_8_what_the_network_computes_in_f32_stays_so(monkeypatch, load, typed_bundle):
    script = install(monkeypatch, "8.6")
    load(typed_bundle, precision="f16")
    cast, f32, f16 = script.built[0]["pinned"]
    assert (cast, f32, f16) == (0, 1, 0)


def test_auto_takes_f16_where_the_bundle_has_it(newest, load, bundle, typed_bundle):
    assert ", f32, " in load(bundle).description
    assert ", f16, " in load(typed_bundle).description


def test_a_precision_that_tensorrt_lacks_is_refused(newest, load):
    with pytest.raises(BackendError, match="precision 'bf16' is not supported; expected one of f32, f16, int8"):
        load(precision="bf16")


def test_a_frame_is_one_graph_launch(gpu, load, inputs):
    backend = load()
    done = len(gpu.cuda.calls)
    backend.infer(inputs)
    assert [name for name, _ in gpu.cuda.calls[done:]] == ["cudaGraphLaunch", "cudaStreamSynchronize"]


def test_memory_is_allocated_once(newest, load, inputs):
    backend = load()
    before = [name for name, _ in newest.cuda.calls]
    for _ in range(3):
        backend.infer(inputs)
    after = [name for name, _ in newest.cuda.calls]
    assert before.count("cudaMalloc") == after.count("cudaMalloc") == 4
    assert before.count("cudaMallocHost") == after.count("cudaMallocHost") == 4


def test_one_thread_owns_the_gpu_whoever_infers(newest, load, inputs):
    backend = load()
    frames = [threading.Thread(target=backend.infer, args=(inputs,)) for _ in range(3)]
    for thread in frames:
        thread.start()
    for thread in frames:
        thread.join()
    owners = {thread for name, thread in newest.cuda.calls if not name.endswith("GetVersion")}
    assert len(owners) == 1
    assert threading.get_ident() not in owners


def test_outputs_stay_as_they_are_when_the_next_frame_runs(newest, load, inputs):
    backend = load()
    first = backend.infer(inputs)["labels"]
    kept = first.copy()
    second = backend.infer(inputs | {"occupancy": 1 - inputs["occupancy"]})["labels"]
    assert np.array_equal(first, kept)
    assert not np.array_equal(first, second)


def test_an_input_of_another_shape_is_named(newest, load, inputs):
    inputs["image"] = inputs["image"][..., :-1]
    with pytest.raises(ValueError, match="input tensor image is float32"):
        load().infer(inputs)


def test_close_frees_all_memory(newest, bundle, cache, reported, inputs):
    backend = load_backend(bundle, "tensorrt", engine_cache=str(cache), report=reported)
    backend.infer(inputs)
    assert newest.cuda.live
    backend.close()
    assert newest.cuda.live == {}


def test_older_cuda_python_serves_as_well(monkeypatch, load, inputs):
    install(monkeypatch, "10.3", modern_cuda=False)
    assert load().infer(inputs)["labels"].any()


def test_where_the_graph_cannot_be_captured_it_runs_without_and_says_so(gpu, load, inputs):
    gpu.cuda.failing["cudaStreamEndCapture"] = cudaError_t.cudaErrorStreamCaptureInvalidated
    backend = load()
    assert "without CUDA graph (tensorrt cannot capture a CUDA graph: cudaErrorStreamCapt" in backend.description
    assert backend.infer(inputs)["labels"].any()
    assert "cudaGraphLaunch" not in [name for name, _ in gpu.cuda.calls]


def test_an_enqueue_that_fails_while_capturing_ends_the_capture(newest, load, inputs):
    def refuses():
        capturing = any(getattr(held, "graph", None) is not None for held in newest.cuda.live.values())
        return "operation not permitted when stream is capturing" if capturing else ""

    newest.enqueue_refuses = refuses
    backend = load()
    assert "without CUDA graph (tensorrt cannot run the network: operation not permitted" in backend.description
    assert backend.infer(inputs)["labels"].any()


def test_timings_of_one_build_serve_the_next(gpu, load, cache, bundle, typed_bundle, version):
    load(typed_bundle, precision="f32")
    load(typed_bundle, precision="f16")
    assert [built["timing"] for built in gpu.built] == ["", f"timings of {version}"]


def test_timings_of_something_else_are_left_aside(newest, load, cache):
    load()
    (timing,) = cache.glob("*.timing")
    timing.write_bytes(b"of another GPU")
    for plan in cache.glob("*.plan"):
        plan.unlink()
    load()
    assert [built["timing"] for built in newest.built] == ["", ""]


def test_progress_is_said_while_it_builds(gpu, load, version, monkeypatch):
    monkeypatch.setattr("occ_runtime.tensorrt.builder._REPORT_EVERY", 0.01)
    expected = r"engine: building model\.onnx, \d+ s" if version == "8.6" else r".*, Building Engine 0 %, \d+ s"
    heard = threading.Event()
    gpu.build = lambda: heard.wait(120)
    load(report=lambda text: heard.set() if re.fullmatch(expected, text) else None)
    assert heard.is_set()


def test_with_a_gpu_there_is_no_problem(gpu):
    assert gpu_problem() is None


@pytest.mark.parametrize(("found", "text"), [("8.5", "tensorrt 8.5.0 is too old; 8.6 or newer is needed")])
def test_a_version_that_is_too_old_is_named(monkeypatch, found, text):
    install(monkeypatch, found)
    assert gpu_problem() == text
