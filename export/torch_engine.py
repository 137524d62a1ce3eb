"""The second engine path: the torch model itself on the GPU, behind the runtime's `Backend` protocol.

For machines with torch and CUDA, and with third-party kernels where they are installed; a robot needs none of this.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from occ_models.config import load_config
from occ_models.kernels import use_kernels
from occ_models.layers.head import OccupancyNetwork
from occ_models.networks import OCCLE, Network
from occ_runtime import BackendError, input_specs
from occ_runtime.backend import last_line

MODES = ("eager", "graph", "compiled", "tensorrt")
PRECISIONS = {"f32": torch.float32, "f16": torch.float16}


class TorchBackend:
    """See `occ_runtime.Backend`.

    Parameters
    ----------
    model : moved to `device` and changed: pass one that is used nowhere else
    mode : "eager"; "graph", the same replayed as a CUDA graph; "compiled" by torch, or by Torch-TensorRT ("tensorrt"),
        and replayed as well. There is no CUDA graph where an operator waits for the host; `description` says so.
    precision : "f32", or "f16" for weights and activations (exponents of the state-space model stay in float32)
    kernels : use third-party kernels where they are installed (`occ_models.kernels`)

    Raises
    ------
    BackendError where CUDA, or what the mode needs, is missing.
    """

    name = "torch"

    def __init__(
        self,
        model: OccupancyNetwork,
        mode: str = "graph",
        precision: str = "f32",
        kernels: bool = False,
        device: str = "cuda",
    ):
        if mode not in MODES or precision not in PRECISIONS:
            expected = f"{', '.join(MODES)} and {', '.join(PRECISIONS)}"
            raise BackendError(f"torch: mode {mode!r} in {precision!r} is unknown; expected one of {expected}")
        if device == "cuda" and not torch.cuda.is_available():
            raise BackendError(f"torch {torch.__version__} sees no CUDA device; this engine needs one")
        model = model.eval().to(device)
        notes = use_kernels(model) if kernels else []
        network = Prediction(model.to(PRECISIONS[precision]))
        self._inputs = {
            spec.name: torch.zeros(spec.shape, dtype=getattr(torch, spec.dtype), device=device)
            for spec in input_specs(model.config.preprocess, model.config.inputs)
        }
        arguments = tuple(self._inputs[name] for name in model.config.inputs)
        if mode == "compiled":
            network = torch.compile(network, dynamic=False)
        elif mode == "tensorrt":
            network = _torch_tensorrt(network, arguments)
        self._step: Callable[[], tuple[Tensor, Tensor]] | None = lambda: network(*arguments)
        if mode != "eager":
            try:
                self._step = record(self._step)
                notes.append("CUDA graph")
            except RuntimeError as error:
                notes.append(f"no CUDA graph: {last_line(error)}")
        where = torch.cuda.get_device_name() if device == "cuda" else device
        self.precision = precision
        self.description = ", ".join([f"torch {torch.__version__}", where, precision, mode, *notes])

    @torch.no_grad()
    def infer(self, inputs: dict[str, np.ndarray | Tensor]) -> dict[str, np.ndarray]:
        """Inputs may be numpy arrays, or tensors on the device as `TorchFramePreprocessor` makes them."""
        for name, buffer in self._inputs.items():
            if name not in inputs:
                raise ValueError(f"input tensor {name!r} is missing")
            array = torch.as_tensor(inputs[name])
            if (array.dtype, array.shape) != (buffer.dtype, buffer.shape):
                found, wanted = (f"{t.dtype}{list(t.shape)}".removeprefix("torch.") for t in (array, buffer))
                raise ValueError(f"input tensor {name} is {found}, expected {wanted}")
            buffer.copy_(array, non_blocking=True)
        labels, confidence = self._step()
        return {name: t.cpu().numpy() for name, t in (("labels", labels), ("confidence", confidence))}

    def close(self) -> None:
        self._step = None
        self._inputs = {}
        torch.cuda.empty_cache()


class Prediction(nn.Module):
    """A network's `predict` as a module; inputs are converted to the precision of its weights."""

    def __init__(self, model: OccupancyNetwork):
        super().__init__()
        self.model = model

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        dtype = self.model.head.occupancy.weight.dtype
        return self.model.predict(*(tensor.to(dtype) if tensor.is_floating_point() else tensor for tensor in inputs))


def record(step: Callable[[], tuple[Tensor, ...]]) -> Callable[[], tuple[Tensor, ...]]:
    """The same step as a CUDA graph. Raises RuntimeError where it cannot be captured."""
    side = torch.cuda.Stream()
    with torch.no_grad():
        with torch.cuda.stream(side):
            for _ in range(3):  # libraries choose their algorithms, allocators reserve memory
                step()
        side.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs = step()

    def replay() -> tuple[Tensor, ...]:
        graph.replay()
        return outputs

    return replay


def _torch_tensorrt(network: nn.Module, arguments: tuple[Tensor, ...]) -> nn.Module:
    try:
        import torch_tensorrt
    except Exception as error:  # an incompatible version may raise any exception
        raise BackendError(f"torch_tensorrt cannot be imported: {last_line(error)}") from None
    try:
        # Operators without a TensorRT converter, third-party kernels among them, stay in torch.
        return torch_tensorrt.compile(network, ir="dynamo", inputs=list(arguments))
    except Exception as error:
        raise BackendError(f"torch_tensorrt cannot compile the network: {last_line(error)}") from None


def random_model(size: str, network: Network = OCCLE) -> OccupancyNetwork:
    """A network of one of its sizes, or of a YAML file, with random weights, the same at every call.

    Batch statistics are as far from their initial values as training brings them; many classes fill a tenth of the
    grid.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = network.make_model(load_config(size, network.config)).eval()
        with torch.no_grad():
            for key, buffer in model.named_buffers():
                if key.endswith("running_mean"):
                    buffer.normal_(0, 0.1)
                elif key.endswith("running_var"):
                    buffer.uniform_(0.3, 1)
            model.head.occupancy.weight.mul_(24)
            model.head.occupancy.bias.fill_(-2)  # most of a scene is free
    return model
