"""Third-party kernels instead of the plain forms, where they are installed: mamba_ssm's scan, spconv's convolutions.

The plain forms are exported; these are for GPUs. `tests/occ_models/test_kernels.py` compares them.
"""

import torch
from torch import Tensor, nn

from .layers.sparse import MaskedConv3d
from .layers.ssd import Mamba2, scan


def use_kernels(model: nn.Module) -> list[str]:
    """Put the installed kernels whose results equal the plain forms' into a model, on the device where it is.

    Weights keep their values and names. Returns one line per package: the layers that it replaced, or why none.
    """
    return [_use_mamba(model), _use_spconv(model)]


def _use_mamba(model: nn.Module) -> str:
    layers = [module for module in model.modules() if isinstance(module, Mamba2)]
    try:  # an incompatible CUDA extension may raise any exception
        if layers:
            _check(mamba_scan, scan, _sequence(next(model.parameters()).device))
    except Exception as error:
        return f"no mamba_ssm ({_last_line(error)})"
    for layer in layers:
        layer.scan = mamba_scan
    return f"mamba_ssm in {len(layers)} layers"


def _sequence(device: torch.device) -> tuple:
    x, dt, b, c = (torch.rand(1, 128, *shape, device=device) for shape in ((2, 16), (2,), (16,), (16,)))
    return x - 0.5, 0.5 * dt, torch.tensor([-1.0, -8.0], device=device), b - 0.5, c - 0.5, 64


def _check(fast, plain, arguments: tuple) -> None:
    """Raise ValueError where a kernel's result differs from the plain one's by more than the rounding of TF32."""
    with torch.no_grad():
        found, expected = fast(*arguments), plain(*arguments)
    found, expected = (r[0] if isinstance(r, tuple) else r for r in (found, expected))
    deviation = (found - expected).abs().max() / expected.std().clamp(min=1e-6)
    if not deviation < 5e-2:
        raise ValueError(f"its results differ by {deviation:.2g} standard deviations")


def mamba_scan(x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, chunk: int) -> Tensor:
    """`layers.ssd.scan` by mamba_ssm; a single opaque operator when the model is compiled."""
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


def _use_spconv(model: nn.Module) -> str:
    found = [
        (parent, name, layer)
        for parent in model.modules()
        for name, layer in parent.named_children()
        if type(layer) is MaskedConv3d and layer.kernel > 1  # of 1: there are no neighbours to find
    ]
    try:
        twins = [SpconvMaskedConv3d(layer).train(layer.training) for _, _, layer in found]
        for twin, (_, _, layer) in zip(twins, found, strict=True):
            _check_spconv(twin, layer)
    except Exception as error:
        return f"no spconv ({_last_line(error)})"
    for twin, (parent, name, _) in zip(twins, found, strict=True):
        setattr(parent, name, twin)
    return f"spconv in {len(found)} layers"


class SpconvMaskedConv3d(MaskedConv3d):
    """A `MaskedConv3d` that spconv computes only at the active sites, with the layer's own weights; dense in and out.

    The host waits for the sites, so this layer cannot be part of a CUDA graph. On a CPU, spconv 2.3 is correct only
    with one thread (`torch.set_num_threads(1)`).
    """

    def __init__(self, layer: MaskedConv3d):
        nn.Module.__init__(self)
        import spconv.pytorch as spconv

        self.kernel, self.stride, self.padding = layer.kernel, layer.stride, layer.padding
        self.conv, self.norm = layer.conv, layer.norm
        kind = spconv.SubMConv3d if layer.stride == 1 else spconv.SparseConv3d
        shape = (layer.conv.in_channels, layer.conv.out_channels, layer.kernel, layer.stride, layer.padding)
        self._spconv = [kind(*shape, bias=False)]  # in a list: its weight is not a parameter of this layer

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """See `MaskedConv3d`."""
        if torch.compiler.is_compiling():
            return super().forward(x, mask)  # compilers cannot follow spconv
        from spconv.pytorch import SparseConvTensor

        active = mask[:, 0] != 0
        # Contiguous: nonzero returns columns, and spconv reads rows and ignores strides.
        sites = active.nonzero().int().contiguous()
        features = x.permute(0, 2, 3, 4, 1)[active]
        weight = self.conv.weight.permute(0, 2, 3, 4, 1).contiguous()  # (O, k, k, k, I)
        tensor = SparseConvTensor(features, sites, list(x.shape[2:]), x.shape[0])
        sparse = torch.func.functional_call(self._spconv[0], {"weight": weight}, (tensor,))
        values = self.normalise(sparse.features)
        # Without spconv's own dense(), which torch 2.9 and newer index differently.
        where = tuple(sparse.indices.long().unbind(1))
        y = x.new_zeros(x.shape[0], *sparse.spatial_shape, values.shape[1])
        y[where] = values.to(y.dtype)
        reached = mask.new_zeros(y.shape[:4])
        reached[where] = 1
        return y.permute(0, 4, 1, 2, 3), reached.unsqueeze(1)


def _check_spconv(twin: MaskedConv3d, layer: MaskedConv3d) -> None:
    weight, training = layer.conv.weight, layer.training
    mask = (torch.rand(1, 1, 16, 16, 8, device=weight.device) > 0.9).to(weight.dtype)
    x = torch.randn(1, weight.shape[1], 16, 16, 8, device=weight.device, dtype=weight.dtype) * mask
    try:  # in evaluation mode, so that batch statistics stay as they are
        _check(twin.eval(), layer.eval(), (x, mask))
    finally:
        twin.train(training), layer.train(training)


def _last_line(error: Exception) -> str:
    return ([line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__])[-1]
