"""A recording stand-in for the tensorrt module as one version has it; ONNX Runtime computes what a plan would.

It is not TensorRT: no plan, timing or precision of it says anything about a GPU. Its names are those of `api.yaml`,
so that code which asks a version for more fails as it would there.
"""

import ctypes
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from types import ModuleType

import numpy as np
import onnxruntime

from .api import API, guarded, has
from .cuda_stand_in import CudaStandIn


@dataclass
class Script:
    """What is to happen, and what did. The functions are called when it comes to that."""

    cuda: CudaStandIn
    parser_errors: list[tuple[str, str, str]] = field(default_factory=list)
    builder_refuses: str = ""
    build: Callable[[], None] = lambda: None
    plan: Callable[[bytes], bytes] = lambda onnx: onnx
    deserialize_refuses: str = ""
    context_refuses: str = ""
    enqueue_refuses: Callable[[], str] = lambda: ""
    built: list[dict] = field(default_factory=list)
    enqueued: int = 0


class Severity(IntEnum):
    INTERNAL_ERROR, ERROR, WARNING = range(3)


def tensorrt_stand_in(version: str, script: Script) -> ModuleType:
    """The module with the names that this version has."""
    DataType = IntEnum("DataType", ["FLOAT", "HALF", "UINT8", "INT32"])
    LayerType = IntEnum("LayerType", ["CAST", "CONSTANT", "CONVOLUTION"])
    TensorIOMode = IntEnum("TensorIOMode", ["INPUT", "OUTPUT"])
    flags = [name for name in API["names"]["BuilderFlag"] if has(version, f"BuilderFlag.{name}")]
    creation = {"EXPLICIT_BATCH": 0, "STRONGLY_TYPED": 1}
    creation = {name: bit for name, bit in creation.items() if has(version, f"NetworkDefinitionCreationFlag.{name}")}

    Guarded = guarded(version)

    class ILogger(Guarded):
        def __init__(self):
            self._ready = True

    ILogger.Severity = Severity

    class IProgressMonitor:
        pass

    class ITensor(Guarded):
        def __init__(self, dtype):
            self.dtype = dtype

    class ILayer(Guarded):
        def __init__(self, kind, dtype):
            self.type, self.num_outputs, self._output, self._asked = kind, 1, ITensor(dtype), []

        def get_output(self, index):
            return self._output

        def set_output_type(self, index, dtype):
            self._asked.append((self.precision, dtype))

    class INetworkDefinition(Guarded):
        def __init__(self, flags):
            self._flags, self._onnx = flags, b""
            kinds = [(LayerType.CAST, DataType.FLOAT), (LayerType.CONVOLUTION, DataType.FLOAT)]
            self._layers = [ILayer(*kind) for kind in [*kinds, (LayerType.CONVOLUTION, DataType.HALF)]]
            self.num_layers = len(self._layers)

        def get_layer(self, index):
            return self._layers[index]

    class IParserError(Guarded):
        def __init__(self, index, name, operator, text):
            self._said = (index, name, operator, text)

        def node(self):
            return self._said[0]

        def node_name(self):
            return self._said[1]

        def node_operator(self):
            return self._said[2]

        def desc(self):
            return self._said[3]

    class OnnxParser(Guarded):
        def __init__(self, network, logger):
            self._network, self.num_errors = network, len(script.parser_errors)

        def parse(self, model):
            self._network._onnx = bytes(model)
            return not self.num_errors

        def get_error(self, index):
            return IParserError(index, *script.parser_errors[index])

    class ITimingCache(Guarded):
        def __init__(self, content):
            self._content = content

        def serialize(self):
            return bytearray(b"timings of " + version.encode())

    class IBuilderConfig(Guarded):
        def __init__(self):
            self._flags, self._limits, self._timing, self._monitor = {"TF32"}, {}, None, None

        def set_flag(self, flag):
            assert flag in vars(module.BuilderFlag).values()
            self._flags.add(flag)

        def clear_flag(self, flag):
            self._flags.discard(flag)

        def set_memory_pool_limit(self, pool, size):
            self._limits[pool] = size

        def create_timing_cache(self, content):
            return ITimingCache(content)

        def set_timing_cache(self, cache, ignore_mismatch):
            fits = cache._content in (b"", b"timings of " + version.encode())
            self._timing = cache if fits else self._timing
            return fits

        def get_timing_cache(self):
            return self._timing

    class Builder(Guarded):
        def __init__(self, logger):
            self._logger = logger

        def create_network(self, flags):
            assert flags in [1 << bit for bit in creation.values()]
            return INetworkDefinition(flags)

        def create_builder_config(self):
            return IBuilderConfig()

        def build_serialized_network(self, network, config):
            monitor, going = getattr(config, "progress_monitor", None), True
            if monitor:
                monitor.phase_start("Building Engine", None, 2)
            script.build()
            if monitor:
                going = monitor.step_complete("Building Engine", 0)
                monitor.phase_finish("Building Engine")
            if script.builder_refuses:
                self._logger.log(Severity.ERROR, script.builder_refuses)
            if script.builder_refuses or not going:
                return None
            told = {
                "version": version, "network": network._flags, "flags": sorted(config._flags),
                "limits": config._limits, "pinned": [len(layer._asked) for layer in network._layers],
                "timing": config._timing._content.decode(),
            }  # fmt: skip
            script.built.append(told)
            return bytearray(json.dumps(told).encode() + b"\n" + script.plan(network._onnx))

    class IExecutionContext(Guarded):
        def __init__(self, session, logger):
            self._session, self._logger, self._addresses = session, logger, {}

        def set_tensor_address(self, name, address):
            self._addresses[name] = script.cuda.live[address]
            return True

        def execute_async_v3(self, stream_handle):
            if refusal := script.enqueue_refuses():
                self._logger.log(Severity.ERROR, refusal)
                return False
            script.cuda.stream(stream_handle).put(self._compute)
            return True

        def _compute(self):
            script.enqueued += 1
            inputs = {i.name: self._array(i) for i in self._session.get_inputs()}
            for node, value in zip(self._session.get_outputs(), self._session.run(None, inputs), strict=True):
                ctypes.memmove(self._addresses[node.name], value.ctypes.data, value.nbytes)

        def _array(self, node):
            return np.frombuffer(self._addresses[node.name], _NUMPY[node.type]).reshape(node.shape)

    class ICudaEngine(Guarded):
        def __init__(self, onnx, logger):
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            self._session, self._logger = onnxruntime.InferenceSession(onnx, options), logger
            self._inputs = {node.name: node for node in self._session.get_inputs()}
            self._nodes = self._inputs | {node.name: node for node in self._session.get_outputs()}
            self.num_io_tensors = len(self._nodes)

        def get_tensor_name(self, index):
            return list(self._nodes)[index]

        def get_tensor_mode(self, name):
            return TensorIOMode.INPUT if name in self._inputs else TensorIOMode.OUTPUT

        def get_tensor_shape(self, name):
            return self._nodes[name].shape

        def get_tensor_dtype(self, name):
            return {"float32": DataType.FLOAT, "uint8": DataType.UINT8}[_NUMPY[self._nodes[name].type]]

        def create_execution_context(self):
            if script.context_refuses:
                self._logger.log(Severity.ERROR, script.context_refuses)
                return None
            return IExecutionContext(self._session, self._logger)

    class Runtime(Guarded):
        def __init__(self, logger):
            self._logger = logger

        def deserialize_cuda_engine(self, plan):
            head, _, onnx = plan.partition(b"\n")
            refusal = script.deserialize_refuses
            try:
                made = json.loads(head)["version"]
                refusal = refusal or (f"Version tag {made} does not match" if made != version else "")
            except ValueError:
                refusal = refusal or "Magic tag does not match"
            if refusal:
                self._logger.log(Severity.ERROR, refusal)
                self._logger.log(Severity.ERROR, "Engine deserialization failed.")
                return None
            return ICudaEngine(onnx, self._logger)

    module = ModuleType("tensorrt")
    module.__version__ = f"{version}.0"
    module.init_libnvinfer_plugins = lambda logger, namespace: True
    module.BuilderFlag = type("BuilderFlag", (), {name: name for name in flags})
    module.NetworkDefinitionCreationFlag = type("NetworkDefinitionCreationFlag", (), creation)
    module.MemoryPoolType = type("MemoryPoolType", (), {"WORKSPACE": "WORKSPACE"})
    module.DataType, module.LayerType, module.TensorIOMode = DataType, LayerType, TensorIOMode
    module.ILogger, module.Builder, module.OnnxParser, module.Runtime = ILogger, Builder, OnnxParser, Runtime
    if has(version, "module.IProgressMonitor"):
        module.IProgressMonitor = IProgressMonitor
    return module


_NUMPY = {"tensor(float)": "float32", "tensor(uint8)": "uint8"}
