"""A GPU and a TensorRT that are not there; see the stand-ins for what they can and cannot show."""

import ctypes
import sys
from pathlib import Path
from types import ModuleType

import pytest

from occ_runtime import BackendOptions
from occ_runtime.tensorrt import TensorRtBackend

from ..conftest import make_bundle, network
from .api import SERVED
from .cuda_stand_in import CudaStandIn
from .tensorrt_stand_in import Script, tensorrt_stand_in


class Driver:
    """libcuda.so.1 with one GPU."""

    def cuInit(self, flags):
        return 0

    def cuDeviceGetCount(self, count):
        count._obj.value = 1
        return 0


def stand_ins(version: str, modern_cuda: bool = True) -> tuple[Script, dict[str, ModuleType | None]]:
    """The script of a machine with one GPU, and its modules for sys.modules."""
    script = Script(CudaStandIn())
    cuda, runtime = ModuleType("cuda"), script.cuda.module()
    modules = {"tensorrt": tensorrt_stand_in(version, script), "cuda": cuda, "cuda.bindings": None}
    if modern_cuda:
        modules["cuda.bindings"] = ModuleType("cuda.bindings")
        modules["cuda.bindings"].runtime = runtime
    else:
        cuda.cudart = runtime
    return script, modules


def install(monkeypatch, version: str, modern_cuda: bool = True) -> Script:
    """Put the stand-ins in the place of driver and modules."""
    script, modules = stand_ins(version, modern_cuda)
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    library = ctypes.CDLL
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Driver() if name == "libcuda.so.1" else library(name))
    return script


@pytest.fixture(params=SERVED)
def version(request) -> str:
    return request.param


@pytest.fixture
def gpu(monkeypatch, version) -> Script:
    """A GPU with each of the served versions."""
    return install(monkeypatch, version)


@pytest.fixture
def newest(monkeypatch) -> Script:
    """A GPU with the newest version, for what does not depend on it."""
    return install(monkeypatch, SERVED[-1])


@pytest.fixture
def cache(tmp_path) -> Path:
    return tmp_path / "engines"


class Reported(list):
    """A log: called with lines, it keeps them."""

    def __call__(self, text: str) -> None:
        self.append(text)

    def __str__(self):
        return "\n".join(self)


@pytest.fixture
def reported() -> Reported:
    return Reported()


@pytest.fixture
def load(bundle, cache, reported):
    """Load a TensorRtBackend; whatever is still open at the end of the test is closed."""
    opened = []

    def load(bundle=bundle, **options) -> TensorRtBackend:
        loading = {name: options.pop(name) for name in ("build", "cancelled") if name in options}
        settings = {"engine_cache": str(cache), "report": reported} | options
        backend = TensorRtBackend(bundle, BackendOptions(**settings), **loading)
        opened.append(backend)
        return backend

    yield load
    for backend in opened:
        backend.close()


@pytest.fixture
def typed_bundle(tmp_path):
    """A bundle that holds a model for every precision; here they compute the same."""
    from occ_runtime import with_typed_models

    bundle = make_bundle(tmp_path / "typed", network())
    return with_typed_models(bundle, bundle.path, {"f16": network(), "int8": network()})
