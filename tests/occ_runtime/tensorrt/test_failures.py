"""Every way in which building, loading and running can fail, over the stand-ins: one clear line each."""

import re
import sys

import pytest

from occ_runtime import BackendError, BundleError
from occ_runtime.tensorrt import gpu_problem

from ..conftest import make_bundle, network
from .cuda_stand_in import cudaError_t

OUT_OF_MEMORY = cudaError_t.cudaErrorMemoryAllocation


def refused(load, *words: str, **options) -> str:
    """Loading ends with one line that holds the words."""
    with pytest.raises(BackendError) as caught:
        load(**options)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message
    return message


def nothing_left(cache) -> bool:
    return not [file for file in cache.iterdir() if file.suffix in (".plan", ".json", ".tmp")]


def test_a_node_that_the_parser_does_not_take_is_named_with_its_reason(gpu, load, version, cache):
    gpu.parser_errors = [("/head/scatter", "ScatterND", "reduction is\nnot supported"), ("/b", "CumSum", "axis")]
    message = refused(load, f"tensorrt {version}.0 does not take", "model.onnx", "reduction is not supported", "axis")
    if version == "8.6":  # it knows the node's number alone
        assert "node 0: reduction is" in message
    else:
        assert "node 0 /head/scatter (ScatterND): reduction is not supported; node 1 /b (CumSum): axis" in message
    assert nothing_left(cache)


def test_none_from_the_builder_is_said_with_what_tensorrt_logged(gpu, load, cache):
    gpu.builder_refuses = "Could not find any implementation for node {ForeignNode[/a.../b]}."
    refused(load, "cannot build", "model.onnx", "Could not find any implementation for node")
    assert nothing_left(cache)


def test_out_of_memory_while_building_is_said(newest, load, cache):
    newest.builder_refuses = "[virtualMemoryBuffer.cpp] Error Code 2: OutOfMemory (requested 9 GiB)"
    refused(load, "cannot build", "OutOfMemory (requested 9 GiB)")
    assert nothing_left(cache)


def test_a_builder_that_cannot_start_is_said(newest, load, monkeypatch):
    def factory(logger):
        logger.log(1, "CUDA initialization failure with error: 35")
        raise TypeError("pybind11::init(): factory function returned nullptr")

    monkeypatch.setattr(sys.modules["tensorrt"], "Builder", factory)
    refused(load, "cannot start its builder: CUDA initialization failure with error: 35")


def test_none_from_deserialize_after_a_build_is_said_and_the_plan_not_kept(gpu, load, version, cache):
    gpu.deserialize_refuses = "Serialization assertion failed"
    refused(load, f"tensorrt {version}.0 does not take the plan: Serialization assertion failed")
    assert len(gpu.built) == 1
    assert nothing_left(cache)


def test_a_plugin_that_is_missing_is_named(newest, load):
    newest.deserialize_refuses = "getPluginCreator could not find plugin: GridSample3D version: 1"
    refused(load, "could not find plugin: GridSample3D version: 1")


def test_no_room_for_the_context_is_said(newest, load):
    newest.context_refuses = "Requested amount of GPU memory (1 GiB) could not be allocated"
    refused(load, "cannot make room for the network on the GPU: Requested amount of GPU memory")


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("cudaMalloc", "tensorrt cannot allocate 0.0 MiB on the GPU: cudaErrorMemoryAllocation"),
        ("cudaMallocHost", "tensorrt cannot allocate 0.0 MiB of pinned memory: cudaErrorMemoryAllocation"),
        ("cudaStreamCreateWithFlags", "tensorrt cannot create a stream: cudaErrorMemoryAllocation"),
        ("cudaSetDevice", "tensorrt cannot select the GPU: cudaErrorMemoryAllocation"),
        ("cudaGetDeviceProperties", "tensorrt cannot read the GPU's properties: cudaErrorMemoryAllocation"),
    ],
)
def test_a_cuda_call_that_fails_is_named_and_nothing_stays_allocated(newest, load, function, words):
    newest.cuda.failing[function] = OUT_OF_MEMORY
    refused(load, words)
    assert newest.cuda.live == {}


def test_a_frame_that_fails_on_the_gpu_raises_with_the_error(newest, load, bundle):
    backend = load()
    newest.cuda.failing["cudaStreamSynchronize"] = cudaError_t.cudaErrorIllegalAddress
    with pytest.raises(BackendError, match="tensorrt cannot run the network: cudaErrorIllegalAddress"):
        backend.infer(bundle.golden()[0])
    newest.cuda.failing.clear()
    newest.cuda.calls.clear()
    assert backend.infer(bundle.golden()[0])["labels"].any()


def test_wrong_numbers_are_refused_with_the_deviation_and_not_kept(gpu, load, cache):
    gpu.plan = lambda onnx: network(kind=9)
    refused(load, "labels differ (5.786 %)", "474 of 474 where occupied", "at most 0.5 % may")
    assert nothing_left(cache)


def test_wrong_numbers_free_the_gpu(newest, load):
    newest.plan = lambda onnx: network(kind=9)
    refused(load, "labels differ")
    assert newest.cuda.live == {}


def test_a_plan_with_other_tensors_is_refused(newest, load, tmp_path):
    with pytest.raises(BundleError, match=r"outputs are .*certainty.*the manifest lists"):
        load(make_bundle(tmp_path / "other", network(confidence="certainty")))


def test_a_driver_older_than_cuda_python_is_said(newest, load):
    newest.cuda.driver = 11080
    refused(load, "the NVIDIA driver is for CUDA 11, cuda-python for CUDA 12 (pip install 'cuda-python<12')")


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("tensorrt", "tensorrt cannot be imported: .*JetPack brings it; elsewhere pip install tensorrt"),
        ("cuda", r"cuda-python cannot be imported: .*\(pip install 'occ_node\[gpu\]'\)"),
    ],
)
def test_a_gpu_without_its_python_packages_says_which_is_missing(newest, monkeypatch, module, text):
    for name in [name for name in sys.modules if name == module or name.startswith(f"{module}.")]:
        monkeypatch.setitem(sys.modules, name, None)
    assert re.match(text, gpu_problem())
