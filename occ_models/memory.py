"""Less memory for a training step: activations computed again in the backward pass."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

LAYERS = 16
"""Most layers with weights in a part whose activations are computed again together."""


def recompute_activations(model: nn.Module) -> int:
    """Keep only what enters each part of the network, and compute the rest again in the backward pass; same gradients.

    Parts are the largest modules of at most LAYERS layers. Batch statistics are updated once, and random numbers are
    drawn again alike. Returns the number of parts.
    """
    parts = list(_parts(model))
    for part in parts:
        contexts = partial(_contexts, part)
        part.forward = partial(checkpoint, part.forward, use_reentrant=False, context_fn=contexts)
    return len(parts)


def compile_parts(model: nn.Module) -> None:
    """`torch.compile` each part of the network, in place: tasks also call parts alone."""
    for part in model.children():
        for module in part if isinstance(part, nn.ModuleList) else (part,):
            module.compile()


def _parts(module: nn.Module) -> Iterator[nn.Module]:
    for child in module.children():
        layers = sum(any(True for _ in part.parameters(recurse=False)) for part in child.modules())
        if 0 < layers <= LAYERS and not isinstance(child, nn.ModuleList | nn.ParameterList):
            yield child
        else:
            yield from _parts(child)


def _contexts(part: nn.Module):
    """Of the forward pass, and of its repetition."""
    return nullcontext(), _statistics_kept(part)


@contextmanager
def _statistics_kept(part: nn.Module):
    """Batch normalisation does not count this batch once more."""
    norms = [module for module in part.modules() if isinstance(module, _BatchNorm)]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count
