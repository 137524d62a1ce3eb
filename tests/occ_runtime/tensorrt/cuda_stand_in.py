"""A recording stand-in for cuda-python's runtime module: GPU memory is host memory, and a stream is a list of calls.

It is not CUDA: it shows that calls come in a sound order and that failures are met, nothing else.
"""

import ctypes
import threading
from enum import IntEnum
from types import ModuleType, SimpleNamespace


class cudaError_t(IntEnum):
    cudaSuccess = 0
    cudaErrorMemoryAllocation = 2
    cudaErrorIllegalAddress = 700
    cudaErrorStreamCaptureUnsupported = 900
    cudaErrorStreamCaptureInvalidated = 901


class Stream:
    """Work runs when somebody waits for it, not before; while capturing it goes to a graph."""

    def __init__(self):
        self.waiting, self.graph = [], None

    def put(self, work) -> None:
        (self.waiting if self.graph is None else self.graph).append(work)

    def __int__(self):
        return id(self)


class CudaStandIn:
    """failing: function -> error it answers with; live: what is not released yet; calls: (function, thread)."""

    def __init__(self):
        self.failing: dict[str, cudaError_t] = {}
        self.live: dict[int, object] = {}
        self.calls: list[tuple[str, int]] = []
        self.driver = 13000
        self.device = SimpleNamespace(name=b"Stand-in GPU", major=8, minor=7)

    def module(self) -> ModuleType:
        """What `from cuda.bindings import runtime` gives."""
        module = ModuleType("cuda.bindings.runtime")
        for name in dir(type(self)):
            if name.startswith("cuda"):
                setattr(module, name, self._recorded(name))
        module.cudaError_t = cudaError_t
        module.cudaStreamNonBlocking = 1
        module.cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2)
        module.cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal=1)
        return module

    def _recorded(self, name):
        def call(*arguments):
            self.calls.append((name, threading.get_ident()))
            if name in self.failing:
                if name == "cudaStreamEndCapture":  # one that fails has ended the capture all the same
                    arguments[0].graph = None
                return (self.failing[name], None)
            return (cudaError_t.cudaSuccess, *(getattr(self, name)(*arguments) or ()))

        return call

    def stream(self, handle: int) -> Stream:
        return self.live[handle]

    def cudaDriverGetVersion(self):
        return (self.driver,)

    def cudaRuntimeGetVersion(self):
        return (12060,)

    def cudaGetLastError(self):
        pass

    def cudaSetDevice(self, number):
        assert number == 0

    def cudaGetDeviceProperties(self, number):
        return (self.device,)

    def cudaMalloc(self, size):
        memory = ctypes.create_string_buffer(size)
        self.live[ctypes.addressof(memory)] = memory
        return (ctypes.addressof(memory),)

    cudaMallocHost = cudaMalloc

    def cudaFree(self, address):
        del self.live[int(address)]

    cudaFreeHost = cudaFree

    def cudaMemcpyAsync(self, target, source, size, kind, stream):
        assert {target, source} <= self.live.keys() and kind in (1, 2)
        stream.put(lambda: ctypes.memmove(target, source, size))

    def cudaStreamCreateWithFlags(self, flags):
        stream = Stream()
        self.live[id(stream)] = stream
        return (stream,)

    def cudaStreamDestroy(self, stream):
        assert not stream.waiting
        del self.live[id(stream)]

    def cudaStreamSynchronize(self, stream):
        while stream.waiting:
            stream.waiting.pop(0)()

    def cudaStreamBeginCapture(self, stream, mode):
        assert not stream.waiting and stream.graph is None, "the warm-up has to be over"
        stream.graph = []

    def cudaStreamEndCapture(self, stream):
        graph, stream.graph = stream.graph, None
        self.live[id(graph)] = graph
        return (graph,)

    def cudaGraphInstantiate(self, graph, flags):
        executable = tuple(graph)
        self.live[id(executable)] = executable
        return (executable,)

    def cudaGraphLaunch(self, executable, stream):
        assert id(executable) in self.live
        stream.put(lambda: [work() for work in executable])

    def cudaGraphDestroy(self, graph):
        del self.live[id(graph)]

    cudaGraphExecDestroy = cudaGraphDestroy
