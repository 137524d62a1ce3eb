"""Others' kernels in place of the plain forms, where they are installed: mamba_ssm's scan, spconv's convolutions.

The plain forms are what is exported; these are for GPUs. `tests/occ_models/test_kernels.py` compares them.
"""

import torch
from torch import Tensor, nn

from .layers.sparse import MaskedConv3d
from .layers.ssd import Mamba2
from .occle import OccLE


def use_kernels(model: OccLE) -> list[str]:
    """Put the kernels that are installed into the model, which must be on the GPU; weights stay what they are.

    Returns one line for each package: what it took over, or why nothing. What a checkpoint holds is no longer in it by
    the same names.
    """
    return [_use_mamba(model), _use_spconv(model)]


def _use_mamba(model: OccLE) -> str:
    try:
        from mamba_ssm.ops.triton.ssd_combined import mamba_chunk_scan_combined  # noqa: F401
    except Exception as error:  # its CUDA extension raises what it likes where it does not fit
        return f"no mamba_ssm ({_last_line(error)})"
    layers = [module for module in model.modules() if isinstance(module, Mamba2)]
    for layer in layers:
        layer.scan = mamba_scan
    return f"mamba_ssm in {len(layers)} layers"


def mamba_scan(x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, chunk: int) -> Tensor:
    """`layers.ssd.scan` by mamba_ssm; one opaque operator to whoever compiles the model."""
    run = _opaque_scan if torch.compiler.is_compiling() else _scan
    return run(x, dt, a, b, c, chunk)


def _scan(x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, chunk: int) -> Tensor:
    from mamba_ssm.ops.triton.ssd_combined import mamba_chunk_scan_combined

    # (batch, length, groups, state): one group, shared by all heads.
    return mamba_chunk_scan_combined(x, dt, a.float(), b.unsqueeze(2), c.unsqueeze(2), chunk)


@torch.library.custom_op("occ_node::mamba_scan", mutates_args=())
def _opaque_scan(x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, chunk: int) -> Tensor:
    return _scan(x, dt, a, b, c, chunk)


@_opaque_scan.register_fake
def _(x, dt, a, b, c, chunk):
    return x.new_empty(x.shape)


def _use_spconv(model: OccLE) -> str:
    try:
        import spconv.pytorch  # noqa: F401
    except Exception as error:
        return f"no spconv ({_last_line(error)})"
    found = [
        (parent, name, layer)
        for parent in model.modules()
        for name, layer in parent.named_children()
        if isinstance(layer, MaskedConv3d)
    ]
    for parent, name, layer in found:
        setattr(parent, name, SpconvMaskedConv3d(layer).train(layer.training))
    return f"spconv in {len(found)} layers"


class SpconvMaskedConv3d(nn.Module):
    """A `MaskedConv3d` that spconv computes at the active sites alone; dense in and out, and the same in evaluation.

    Normalisation learns from active sites only. The host waits for the sites, so that no CUDA graph can hold this
    layer. On a CPU, spconv 2.3 is right with one thread only (`torch.set_num_threads(1)`).
    """

    def __init__(self, layer: MaskedConv3d):
        super().__init__()
        import spconv.pytorch as spconv

        conv = layer.conv
        kind = spconv.SubMConv3d if layer.stride == 1 else spconv.SparseConv3d
        shape = (conv.in_channels, conv.out_channels, layer.kernel, layer.stride, layer.padding)
        self.dense, self.norm = layer, layer.norm
        self.conv = kind(*shape, bias=False)
        self.conv.weight = nn.Parameter(conv.weight.detach().permute(0, 2, 3, 4, 1).contiguous())  # (O, k, k, k, I)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """See `MaskedConv3d`."""
        if torch.compiler.is_compiling():
            return self.dense(x, mask)  # compilers cannot follow spconv
        from spconv.pytorch import SparseConvTensor

        active = mask[:, 0] != 0
        # Contiguous: nonzero gives columns, and spconv reads rows whatever the strides say.
        sites = active.nonzero().int().contiguous()
        features = x.permute(0, 2, 3, 4, 1)[active]
        sparse = self.conv(SparseConvTensor(features, sites, list(x.shape[2:]), x.shape[0]))
        values = self.norm(sparse.features.T[None, :, :, None, None]).relu()[0, :, :, 0, 0].T
        # Not by its own dense(), which torch 2.9 and newer index differently.
        where = tuple(sparse.indices.long().unbind(1))
        y = x.new_zeros(x.shape[0], *sparse.spatial_shape, values.shape[1])
        y[where] = values
        reached = mask.new_zeros(y.shape[:4])
        reached[where] = 1
        return y.permute(0, 4, 1, 2, 3), reached.unsqueeze(1)


def _last_line(error: Exception) -> str:
    return ([line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__])[-1]
