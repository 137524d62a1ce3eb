"""The node and TensorRT: without a GPU it says so, with one it answers before, while and after the engine is built."""

import signal
from functools import partial

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install occ_node[ros])")

from occ_runtime.tensorrt import gpu_problem

from ..occ_runtime.conftest import make_bundle, network
from .live import Client, NodeProcess, wait_for


class GpuNodeProcess(NodeProcess):
    """The node with stand-ins for GPU and TensorRT."""

    module = "tests.occ_node.node_with_gpu"


@pytest.fixture
def bundle(tmp_path):
    return make_bundle(tmp_path / "tiny", network()).path


@pytest.fixture
def start(tmp_path, bundle, calibration_file):
    """Start a node of a class with parameters, and a client; gives both."""
    started = []

    def start(kind, **parameters):
        common = {"bundle": bundle, "calibration_file": calibration_file, "engine_cache": tmp_path / "engines"}
        node = kind(tmp_path, **common, **parameters)
        started.append(node.stop)
        client = Client(node.domain, outputs=["voxels"])
        started.append(client.close)
        node.wait_until_ready()
        return node, client.wait_until_connected()

    yield start
    for end in started:
        end()


def test_without_a_gpu_diagnostics_and_log_say_why_openvino_answers(start):
    if (problem := gpu_problem()) is None:
        pytest.skip("this machine has an NVIDIA GPU with TensorRT; the test is for those without")
    node, client = start(NodeProcess, backend="auto")
    client.answered()
    backend = wait_for(lambda: client.values.get("backend"), "diagnostics")
    assert backend.startswith("openvino") and backend.endswith(f"(auto: tensorrt: {problem})")
    assert backend in node.log()


def test_tensorrt_without_a_gpu_is_refused_in_one_line(tmp_path, bundle):
    if gpu_problem() is None:
        pytest.skip("this machine has an NVIDIA GPU with TensorRT; the test is for those without")
    node = NodeProcess(tmp_path, bundle=bundle, backend="tensorrt")
    assert node.wait_until_exit() == 1
    assert node.log().endswith(f"[occ_node]: not configured: tensorrt: {gpu_problem()}\n")


def answered_by(client, backend: str) -> bool:
    client.answered()
    return client.values.get("backend", "").startswith(backend)


def test_frames_are_answered_while_the_engine_is_built_and_by_the_engine_then(start, tmp_path, monkeypatch):
    monkeypatch.setenv("BUILD_UNTIL", str(tmp_path / "go"))
    node, client = start(GpuNodeProcess)
    wait_for(partial(answered_by, client, "openvino"), "an answer from openvino")
    assert client.values["engine"].startswith("engine: building ")
    (tmp_path / "go").touch()
    wait_for(partial(answered_by, client, "tensorrt 10.3.0, Stand-in GPU"), "an answer from tensorrt")
    assert client.values["engine"].startswith("engine: ready, tensorrt 10.3.0")
    assert "takes over from openvino" in node.log()
    assert client.counter("dropped.failed") == 0
    assert node.signal(signal.SIGINT) == 0


def test_a_build_that_fails_is_said_and_frames_go_on(start, tmp_path, monkeypatch):
    monkeypatch.setenv("BUILD_UNTIL", str(tmp_path))
    monkeypatch.setenv("BUILDER_REFUSES", "no kernel fits")
    node, client = start(GpuNodeProcess)
    client.answered()
    wait_for(lambda: client.values.get("engine", "").endswith("no kernel fits; openvino stays"), "the reason")
    client.answered()
    assert node.log().count("no kernel fits") == 1


def test_tensorrt_by_name_waits_for_the_build(start, tmp_path, monkeypatch):
    monkeypatch.setenv("BUILD_UNTIL", str(tmp_path))
    node, client = start(GpuNodeProcess, backend="tensorrt")
    assert "engine: building" in node.log() and "engine: built in" in node.log()
    wait_for(partial(answered_by, client, "tensorrt"), "an answer from tensorrt")


def test_sigterm_ends_a_node_whose_build_runs(start, tmp_path, monkeypatch):
    monkeypatch.setenv("BUILD_UNTIL", str(tmp_path / "go"))
    node, client = start(GpuNodeProcess)
    client.answered()
    node.send_signal(signal.SIGTERM)
    wait_for(lambda: "engine: ending the build" in node.log(), "the end of the build")
    (tmp_path / "go").touch()  # its current step is over
    assert node.wait_until_exit() == 0
    assert "Traceback" not in node.log()
    assert not list((tmp_path / "engines").glob("*.plan*"))
