"""Without a GPU, for real: one sentence, and TensorRT is not even imported."""

import ctypes
import subprocess
import sys

import pytest

from occ_runtime import BackendError, load_backend
from occ_runtime.tensorrt import gpu_problem

from .conftest import Driver


@pytest.fixture
def no_gpu():
    """Skips where there is one."""
    if (problem := gpu_problem()) is None:
        pytest.skip("this machine has an NVIDIA GPU with TensorRT; the test is for those without")
    return problem


def test_the_problem_is_one_sentence(no_gpu):
    assert "\n" not in no_gpu and len(no_gpu) < 160


def test_tensorrt_is_not_imported_before_a_gpu_is_seen():
    """Used without a GPU it can end the process; here the import of tensorrt or cuda-python does."""
    code = (
        "import ctypes, sys\n"
        "from occ_runtime.tensorrt import gpu_problem\n"
        "def no_driver(name): raise OSError(name)\n"
        "ctypes.CDLL = no_driver\n"
        "class Trap:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('tensorrt', 'cuda'): raise SystemExit('imported ' + name)\n"
        "sys.meta_path.insert(0, Trap())\n"
        "print(gpu_problem())\n"
    )
    reported = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert reported.returncode == 0, reported.stderr
    assert reported.stdout == "no NVIDIA GPU (its driver's libcuda.so.1 is not installed)\n"


@pytest.mark.parametrize(
    ("answers", "text"),
    [
        ({"cuInit": 100}, "no NVIDIA GPU (the driver sees none)"),
        ({"cuDeviceGetCount": 0}, "no NVIDIA GPU (the driver sees none)"),
        ({"cuInit": 999}, "the NVIDIA driver does not answer (CUDA error 999)"),
    ],
)
def test_what_the_driver_answers_is_told_apart(monkeypatch, answers, text):
    class Deaf(Driver):
        def cuInit(self, flags):
            return answers.get("cuInit", 0)

        def cuDeviceGetCount(self, count):
            return answers["cuDeviceGetCount"]

    monkeypatch.setattr(ctypes, "CDLL", lambda name: Deaf())
    assert gpu_problem() == text


def test_asked_for_by_name_it_is_refused_with_that_sentence(no_gpu, bundle):
    with pytest.raises(BackendError) as caught:
        load_backend(bundle, "tensorrt")
    assert str(caught.value) == f"tensorrt: {no_gpu}"


@pytest.mark.parametrize("standby", [False, True])
def test_auto_takes_openvino_and_says_why(no_gpu, bundle, standby):
    backend = load_backend(bundle, standby=standby)
    assert backend.name == "openvino"
    assert backend.description.endswith(f"(auto: tensorrt: {no_gpu})")
    backend.close()
