"""PyTorch model -> one ONNX file with fixed shapes, batch of one, argmax and confidence inside."""

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Collection, Iterator
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from occ_models.layers.head import OccupancyNetwork, decide
from occ_runtime import input_specs

from .opset import EXPORTED, lower_opset

LOGITS = ("occupancy_logits", "semantics_logits")
"""Outputs of the whole graph that the shipped one does not have."""


class Engine(nn.Module):
    """The computation on the robot, with the logits from which labels and confidence are decided."""

    outputs = ("labels", "confidence", *LOGITS)

    def __init__(self, model: OccupancyNetwork):
        super().__init__()
        self.model = model

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """inputs : in the order of the configuration's `inputs`"""
        logits = self.model.logits(*inputs)
        return *decide(*logits, self.model.confidence), *logits


def to_onnx(model: OccupancyNetwork) -> onnx.ModelProto:
    """Export with all outputs of `Engine`; the model holds its weights and no path of this machine."""
    specs = input_specs(model.config.preprocess, model.config.inputs)
    with torch.no_grad(), _quiet():
        program = torch.onnx.export(
            Engine(model).eval(),
            tuple(torch.zeros(spec.shape, dtype=getattr(torch, spec.dtype)) for spec in specs),
            input_names=[spec.name for spec in specs],
            output_names=list(Engine.outputs),
            opset_version=EXPORTED,
            dynamo=True,
            verbose=False,
        )
    graph = lower_opset(program.model_proto)
    _strip(graph)
    onnx.checker.check_model(graph, full_check=True)
    return graph


def without_outputs(model: onnx.ModelProto, dropped: Collection[str]) -> onnx.ModelProto:
    """The same graph without some outputs and what only they need; its inputs stay."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    _retain(graph.output, lambda value: value.name not in dropped)
    needed = {value.name for value in graph.output}
    for node in reversed(model.graph.node):  # nodes are in topological order
        if needed.intersection(node.output):
            needed.update(node.input)
    _retain(graph.node, lambda node: needed.intersection(node.output))
    _retain(graph.initializer, lambda tensor: tensor.name in needed)
    _retain(graph.value_info, lambda value: value.name in needed)
    return result


def _retain(items: Any, wanted: Callable[[Any], Any]) -> None:
    """Keep the wanted entries of a protobuf list."""
    kept = [item for item in items if wanted(item)]
    del items[:]
    items.extend(kept)


def run_torch(model: OccupancyNetwork, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The reference: outputs of `Engine` by name."""
    with torch.no_grad():
        results = Engine(model).eval()(*(torch.from_numpy(inputs[name]) for name in model.config.inputs))
    return {name: result.numpy() for name, result in zip(Engine.outputs, results, strict=True)}


def _strip(model: onnx.ModelProto) -> None:
    """The exporter notes the Python stack, with its paths, at each node."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    for function in model.functions:
        for part in (function, *function.node, *function.value_info):
            part.ClearField("doc_string")
            part.ClearField("metadata_props")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide the exporter's progress and its warnings about packages that are not needed here."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
