"""The GPU: whether there is one, its memory, stream and graphs, through cuda-python."""

import ctypes
import re
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np

from ..backend import BackendError, last_line

_OLDEST = (8, 6)
_NO_DEVICE = 100  # CUDA_ERROR_NO_DEVICE of the driver


class CudaError(BackendError):
    """A CUDA call that failed; the message gives the action and the error's name."""


def gpu_problem() -> str | None:
    """Why TensorRT cannot run here, in one sentence; None where it can.

    TensorRT is imported only once the driver has shown a GPU: without one, its runtime can end the process.
    """
    if problem := _no_gpu():
        return problem
    try:
        cuda = _runtime()
    except ImportError as error:
        return f"cuda-python cannot be imported: {last_line(error)} (pip install 'occ_node[gpu]')"
    driver, ours = (call()[1] // 1000 for call in (cuda.cudaDriverGetVersion, cuda.cudaRuntimeGetVersion))
    if driver < ours:
        return f"the NVIDIA driver is for CUDA {driver}, cuda-python for CUDA {ours} (pip install 'cuda-python<{ours}')"
    try:
        import tensorrt as trt
    except ImportError as error:
        return f"tensorrt cannot be imported: {last_line(error)} (JetPack brings it; elsewhere pip install tensorrt)"
    if tuple(int(number) for number in re.findall(r"\d+", trt.__version__)[:2]) < _OLDEST:
        return f"tensorrt {trt.__version__} is too old; 8.6 or newer is needed"
    return None


def _no_gpu() -> str | None:
    """What the driver reports. Asked directly, because /dev and /proc differ between desktops, Jetson and WSL."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "no NVIDIA GPU (its driver's libcuda.so.1 is not installed)"
    count = ctypes.c_int(0)
    error = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    if error == _NO_DEVICE or (not error and count.value == 0):
        return "no NVIDIA GPU (the driver sees none)"
    return f"the NVIDIA driver does not answer (CUDA error {error})" if error else None


def gpu_identity() -> tuple[str, str]:
    """Name and compute capability of the GPU, such as ("Orin", "8.7")."""
    properties = _check(_runtime().cudaGetDeviceProperties(0), "read the GPU's properties")
    return properties.name.decode(errors="replace").rstrip("\0"), f"{properties.major}.{properties.minor}"


class Cuda:
    """Memory, one stream and graphs of the first visible GPU; all freed by `close`, in reverse order.

    Not safe between threads. Raises CudaError.
    """

    def __init__(self):
        self._cuda, self._held = _runtime(), ExitStack()
        _check(self._cuda.cudaSetDevice(0), "select the GPU")
        # Non-blocking: work of other libraries on the default stream must not wait for this one.
        stream = self._cuda.cudaStreamCreateWithFlags(self._cuda.cudaStreamNonBlocking)
        self._stream = self._hold(_check(stream, "create a stream"), self._cuda.cudaStreamDestroy)

    @property
    def stream(self) -> int:
        """The stream's handle, as TensorRT takes it."""
        return int(self._stream)

    def device_buffer(self, size: int) -> int:
        """Address of `size` bytes on the GPU."""
        address = _check(self._cuda.cudaMalloc(size), f"allocate {size / 2**20:.1f} MiB on the GPU")
        return int(self._hold(address, self._cuda.cudaFree))

    def pinned_array(self, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        """Page-locked host memory, which the GPU reads directly. Freed by `close`."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        address = _check(self._cuda.cudaMallocHost(size), f"allocate {size / 2**20:.1f} MiB of pinned memory")
        self._hold(address, self._cuda.cudaFreeHost)
        memory = memoryview((ctypes.c_ubyte * size).from_address(int(address)))
        return np.frombuffer(memory, dtype).reshape(shape)

    def upload(self, array: np.ndarray, address: int) -> None:
        """Copy pinned memory to the GPU, on the stream."""
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyHostToDevice
        _check(self._cuda.cudaMemcpyAsync(address, array.ctypes.data, array.nbytes, kind, self._stream), "copy inputs")

    def download(self, address: int, array: np.ndarray) -> None:
        """Copy back to pinned memory, on the stream."""
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost
        _check(self._cuda.cudaMemcpyAsync(array.ctypes.data, address, array.nbytes, kind, self._stream), "copy outputs")

    def capture(self, work: Callable[[], None]) -> Any:
        """Record the work put on the stream, without running it; gives the graph for `launch`."""
        # Thread-local: allocations of a build on another thread must not end the capture.
        mode = self._cuda.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        _check(self._cuda.cudaStreamBeginCapture(self._stream, mode), "begin a CUDA graph")
        failed = None
        try:
            work()
        except BackendError as error:
            failed = error
        ended = self._cuda.cudaStreamEndCapture(self._stream)  # even where it failed
        self._cuda.cudaGetLastError()  # clears the error, which would be read as one of the next call
        if failed is not None:
            raise failed
        graph = _check(ended, "capture a CUDA graph")
        try:
            executable = _check(self._cuda.cudaGraphInstantiate(graph, 0), "make a CUDA graph")
        finally:
            self._cuda.cudaGraphDestroy(graph)
        return self._hold(executable, self._cuda.cudaGraphExecDestroy)

    def launch(self, graph: Any) -> None:
        """Put a captured graph on the stream."""
        _check(self._cuda.cudaGraphLaunch(graph, self._stream), "launch the CUDA graph")

    def synchronize(self) -> None:
        """Wait until the stream is empty; raises the errors of its work."""
        _check(self._cuda.cudaStreamSynchronize(self._stream), "run the network")

    def close(self) -> None:
        self._held.close()

    def _hold(self, handle: Any, release: Callable) -> Any:
        self._held.callback(release, handle)
        return handle


def _runtime():
    """The CUDA runtime's module: cuda.bindings.runtime, or cuda.cudart before cuda-python 12.6."""
    try:
        from cuda.bindings import runtime
    except ImportError:
        from cuda import cudart as runtime
    return runtime


def _check(result: tuple, action: str) -> Any:
    """The value after the error code, with which every result of cuda-python begins."""
    error, *values = result
    if int(error):
        raise CudaError(f"tensorrt cannot {action}: {error.name}")
    return values[0] if values else None
