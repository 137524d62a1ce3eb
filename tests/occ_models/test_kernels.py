"""Third-party kernels against the plain forms; where they are missing, a stand-in that computes with the reference."""

import sys
from copy import deepcopy
from dataclasses import replace
from types import ModuleType

import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from occ_models import kernels  # noqa: E402
from occ_models.config import load_config  # noqa: E402
from occ_models.kernels import SpconvMaskedConv3d, mamba_scan, use_kernels  # noqa: E402
from occ_models.layers.sparse import MaskedConv3d  # noqa: E402
from occ_models.layers.ssd import Mamba2, scan, ssd_ref  # noqa: E402
from occ_models.occle.config import OccLEConfig  # noqa: E402
from occ_models.occle.model import OccLE  # noqa: E402

from .test_occle import PICO, frame, tensors  # noqa: E402


def sequence(length: int = 100, device: str = "cpu", dtype=torch.float32):
    """Arguments of a scan: two sequences, three heads of width 16, state 8, chunks of 32."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.rand(*shape, generator=generator).to(device)

    x, b, c = (t.to(dtype) - 0.5 for t in (draw(2, length, 3, 16), draw(2, length, 8), draw(2, length, 8)))
    return x, draw(2, length, 3) * 0.5, -1 - draw(3) * 15, b, c, 32


@pytest.fixture
def recorded(monkeypatch):
    """mamba_ssm with its documented signature; notes what it is called with and answers with `ssd_ref`."""
    calls = []

    def mamba_chunk_scan_combined(
        x, dt, A, B, C, chunk_size, D=None, z=None, dt_bias=None, initial_states=None, seq_idx=None, cu_seqlens=None,
        dt_softplus=False, dt_limit=(0.0, float("inf")), return_final_states=False,
    ):  # fmt: skip
        calls.append({"x": x, "dt": dt, "A": A, "B": B, "C": C, "chunk_size": chunk_size})
        assert D is z is dt_bias is initial_states is None and not dt_softplus and not return_final_states
        batch, length, heads, _ = x.shape
        assert dt.shape == (batch, length, heads) and A.shape == (heads,)
        assert B.shape == C.shape == (batch, length, 1, B.shape[3]) and B.dtype == C.dtype == x.dtype
        y = ssd_ref(x * dt.unsqueeze(-1), dt * A, B[:, :, 0], C[:, :, 0])
        return y.to(x.dtype)  # as the kernel does

    for name in ("mamba_ssm", "mamba_ssm.ops", "mamba_ssm.ops.triton"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    combined = ModuleType("mamba_ssm.ops.triton.ssd_combined")
    combined.mamba_chunk_scan_combined = mamba_chunk_scan_combined
    monkeypatch.setitem(sys.modules, combined.__name__, combined)
    return calls


def test_the_plain_scan_is_the_recurrence_with_its_steps():
    x, dt, a, b, c, chunk = sequence()
    expected = ssd_ref(x.double() * dt.unsqueeze(-1), (dt * a).double(), b.double(), c.double())
    torch.testing.assert_close(scan(x, dt, a, b, c, chunk).double(), expected, atol=1e-4, rtol=1e-4)


def test_mamba_ssm_is_called_as_documented(recorded):
    arguments = sequence()
    torch.testing.assert_close(mamba_scan(*arguments), scan(*arguments), atol=1e-4, rtol=1e-4)
    (call,) = recorded
    assert call["chunk_size"] == 32
    assert call["dt"].dtype == call["A"].dtype == torch.float32
    assert (call["A"] < 0).all() and (call["dt"] > 0).all()


def test_half_precision_keeps_steps_and_decays_in_float32(recorded):
    layer = Mamba2(16, head=16, chunk=16).half()
    layer.scan = mamba_scan
    layer(torch.randn(1, 40, 16).half())
    (call,) = recorded
    assert call["x"].dtype == torch.float16
    assert call["dt"].dtype == call["A"].dtype == torch.float32


def test_a_layer_gives_the_same_with_the_kernel(recorded):
    torch.manual_seed(0)
    layer, tokens = Mamba2(16, head=16, chunk=16).eval(), torch.randn(2, 50, 16)
    expected = layer(tokens)
    layer.scan = mamba_scan
    torch.testing.assert_close(layer(tokens), expected, atol=1e-5, rtol=1e-4)
    assert len(recorded) == 1


def test_every_layer_of_the_model_takes_the_kernel_and_learns_through_it(recorded, pico):
    notes = use_kernels(pico)
    layers = [module for module in pico.modules() if isinstance(module, Mamba2)]
    assert f"mamba_ssm in {len(layers)} layers" in notes
    assert all(layer.scan is mamba_scan for layer in layers)
    layers[0](torch.randn(1, 20, 8)).sum().backward()
    assert layers[0].a_log.grad.abs().sum() > 0


def test_a_compiler_sees_one_operator(recorded):
    layer = Mamba2(16, head=16, chunk=16).eval()
    layer.scan = mamba_scan
    tokens = torch.randn(1, 40, 16)
    program = torch.export.export(layer, (tokens,))
    operators = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert operators.count("occ_node.mamba_scan.default") == 1
    assert not recorded  # nothing ran while the shapes were followed
    torch.testing.assert_close(program.module()(tokens), layer(tokens))


@pytest.fixture
def pico():
    return OccLE(load_config(PICO, OccLEConfig))


def test_a_kernel_that_gives_something_else_is_said_and_left_out(recorded, monkeypatch, pico):
    combined = sys.modules["mamba_ssm.ops.triton.ssd_combined"]
    right = combined.mamba_chunk_scan_combined
    monkeypatch.setattr(combined, "mamba_chunk_scan_combined", lambda *arguments: 1.5 * right(*arguments))
    note, _ = use_kernels(pico)
    assert note.startswith("no mamba_ssm (its results differ by ")
    assert all(module.scan is scan for module in pico.modules() if isinstance(module, Mamba2))


def test_what_is_not_installed_is_said_and_left_as_it_is(monkeypatch):
    pico = OccLE(replace(load_config(PICO, OccLEConfig), sparse=True))
    monkeypatch.setitem(sys.modules, "mamba_ssm", None)
    monkeypatch.setitem(sys.modules, "spconv", None)
    notes = use_kernels(pico)
    assert [note.partition(" (")[0] for note in notes] == ["no mamba_ssm", "no spconv"]
    assert all(module.scan is scan for module in pico.modules() if isinstance(module, Mamba2))


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def spconv_device(request):
    """Where spconv runs; on a CPU with one thread, as it is wrong with more."""
    pytest.importorskip("spconv.pytorch", reason="needs spconv (pip install spconv==2.3.8)", exc_type=ImportError)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield request.param
    torch.set_num_threads(threads)


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (2, 2), (4, 4), (3, 2)])
def test_spconv_equals_the_masked_dense_convolution(spconv_device, kernel, stride):
    layer, x, mask = masked_layer(kernel, stride)
    with torch.no_grad():
        expected, expected_mask = layer(x, mask)
        found, found_mask = (
            SpconvMaskedConv3d(layer).eval().to(spconv_device)(x.to(spconv_device), mask.to(spconv_device))
        )
    assert torch.equal(found_mask.cpu(), expected_mask)
    assert 0.05 < (found != 0).float().mean() < 0.95
    torch.testing.assert_close(found.cpu(), expected, atol=1e-5 if spconv_device == "cpu" else 1e-2, rtol=1e-3)


def test_every_masked_layer_of_a_model_is_taken_over(spconv_device):
    layer, _, _ = masked_layer(3, 1)
    model = torch.nn.ModuleDict({"inner": torch.nn.ModuleList([layer]), "other": torch.nn.Linear(2, 2)})
    assert "spconv in 1 layers" in use_kernels(model)
    assert isinstance(model["inner"][0], SpconvMaskedConv3d) and not model["inner"][0].training


def test_the_model_gives_the_same_with_spconv(spconv_device):
    config = replace(load_config(PICO, OccLEConfig), sparse=True)
    torch.manual_seed(0)
    model, inputs = OccLE(config).eval().to(spconv_device), [t.to(spconv_device) for t in tensors(frame(config))]
    with torch.no_grad():
        expected = model(*inputs)
        assert "spconv in 2 layers" in use_kernels(model)
        found = model(*inputs)
    tolerance = 1e-4 if spconv_device == "cpu" else 2e-2
    torch.testing.assert_close(found.geometry, expected.geometry, atol=tolerance, rtol=tolerance)


def test_the_semantic_branch_gives_the_same_with_spconv(spconv_device):
    config = replace(load_config(PICO, OccLEConfig), sparse_layers=3, semantic_header="lidar")
    torch.manual_seed(0)
    model, inputs = OccLE(config).eval().to(spconv_device), [t.to(spconv_device) for t in tensors(frame(config))]
    with torch.no_grad():
        expected = model(*inputs)
        assert "spconv in 8 layers" in use_kernels(model)
        found = model(*inputs)
    tolerance = 1e-4 if spconv_device == "cpu" else 2e-2
    torch.testing.assert_close(found.semantic_3d, expected.semantic_3d, atol=tolerance, rtol=tolerance)


def test_a_layer_learns_the_same_with_spconv_under_the_same_names(spconv_device):
    results, (original, x, mask) = [], masked_layer(3, 1)
    names = list(original.state_dict())
    for twin in (False, True):
        layer = deepcopy(original).to(spconv_device).train()
        layer = SpconvMaskedConv3d(layer).train() if twin else layer
        assert list(layer.state_dict()) == names
        with torch.set_grad_enabled(spconv_device == "cuda"):  # spconv has no gradients on a CPU
            found, _ = layer(x.to(spconv_device), mask.to(spconv_device))
        results.append([found.detach(), layer.norm.running_mean, layer.norm.running_var])
        if spconv_device == "cuda":
            found.square().sum().backward()
            results[-1] += [layer.conv.weight.grad, layer.norm.weight.grad]
    for dense, sparse in zip(*results, strict=True):
        torch.testing.assert_close(sparse, dense, atol=1e-3 if spconv_device == "cpu" else 5e-2, rtol=1e-3)


def test_a_compiler_gets_the_dense_form(spconv_device):
    layer, x, mask = masked_layer(3, 1)
    program = torch.export.export(SpconvMaskedConv3d(layer).eval(), (x, mask))
    with torch.no_grad():
        torch.testing.assert_close(program.module()(x, mask), layer(x, mask))


def masked_layer(kernel: int, stride: int):
    """A layer with statistics off their start, and a grid of which a tenth is active."""
    generator = torch.Generator().manual_seed(kernel)
    mask = (torch.rand(2, 1, 16, 16, 8, generator=generator) > 0.9).float()
    x = torch.randn(2, 8, 16, 16, 8, generator=generator) * mask
    layer = MaskedConv3d(8, 12, kernel, stride).eval()
    layer.norm.running_mean.normal_(0, 0.5, generator=generator)
    layer.norm.running_var.uniform_(0.3, 1, generator=generator)
    return layer, x, mask


@pytest.mark.gpu
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-2), (torch.float16, 5e-2)])
def test_mamba_ssm_equals_the_plain_scan(dtype, tolerance):
    pytest.importorskip("mamba_ssm", reason="needs mamba_ssm", exc_type=ImportError)
    arguments = sequence(4096, "cuda", dtype)
    expected = scan(*arguments)
    # Its products run in TF32 on tensor cores.
    deviation = (kernels.mamba_scan(*arguments) - expected).abs().max() / expected.std()
    assert deviation < tolerance
