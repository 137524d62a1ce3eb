"""The f32 graph with explicit int8 quantisation, as TensorRT builds int8 engines from and OpenVINO runs on a CPU."""

import contextlib
import io
import logging
import tempfile
from collections.abc import Collection
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

from occ_core.errors import InputError

Frame = dict[str, np.ndarray]

PERCENTILE = 99.95
"""Share of a tensor's values, in percent, that its range must hold. Nearly all values are the zeros of empty space, so
a larger share of the others is clipped; with the full range, single peaks would cost the others their resolution."""
KEPT_FLOAT = "model.head."
"""Weights of the head: one quantisation level of its maps is as large as the distance between two classes."""


def to_int8(model: onnx.ModelProto, frames: Collection[Frame]) -> onnx.ModelProto:
    """The graph with its convolutions quantised (see `quantised_convolutions`), ranges from `frames` of input tensors.

    In TensorRT's form: symmetric, a scale for each output channel of the weights, weights and biases kept in float
    with the quantisation beside them. Raises InputError where there is no frame.
    """
    if not len(frames):
        raise InputError("int8 needs frames to calibrate with, there are none")
    graph = onnx.ModelProto()  # a copy: it is changed while its weights are written to files and read again
    graph.CopyFrom(model)
    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / "int8.onnx"
        quantize_static(
            graph,
            path,
            _OneByOne(frames, [value.name for value in model.graph.input]),
            quant_format=QuantFormat.QDQ,
            nodes_to_quantize=quantised_convolutions(model),
            op_types_to_quantize=["Conv"],
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.Percentile,
            extra_options={
                "ActivationSymmetric": True,
                "AddQDQPairToWeight": True,
                "CalibPercentile": PERCENTILE,
                "CalibStridedMinMax": 1,  # one frame's activations in memory, not all frames'
                "OpTypesToExcludeOutputQuantization": ["Conv"],
                "QuantizeBias": False,
            },
        )
        quantised = onnx.load(path)
    onnx.checker.check_model(quantised, full_check=True)
    return quantised


def quantised_convolutions(model: onnx.ModelProto) -> list[str]:
    """Names of the convolutions to quantise: 2-D and dense, neither in the head nor the first after an input.

    Conv3d and depthwise convolutions gain nothing in int8; the matrices of attention and state-space model are too
    small to.
    """
    weights = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    chosen, convolved = [], set()  # convolved: tensors with a convolution somewhere before them
    for node in model.graph.node:
        if convolved.intersection(node.input) or node.op_type == "Conv":
            convolved.update(node.output)
        if node.op_type != "Conv" or node.input[0] not in convolved:
            continue
        dense = not any(attribute.name == "group" and attribute.i != 1 for attribute in node.attribute)
        if dense and len(weights[node.input[1]]) == 4 and not node.input[1].startswith(KEPT_FLOAT):
            chosen.append(node.name)
    return chosen


class _OneByOne(CalibrationDataReader):
    """Frames as the calibrator reads them: a range at a time, None at its end."""

    def __init__(self, frames: Collection[Frame], names: list[str]):
        self._count, self._frames, self._names, self._left = len(frames), iter(frames), names, 0

    def __len__(self) -> int:
        return self._count

    def set_range(self, start_index: int, end_index: int) -> None:
        self._left = end_index - start_index

    def get_next(self) -> Frame | None:
        if not self._left:
            return None
        self._left -= 1
        frame = next(self._frames)
        return {name: frame[name] for name in self._names}


@contextlib.contextmanager
def _quiet():
    """Hide the quantiser's progress, and its advice to fold constants, which the export has done."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
