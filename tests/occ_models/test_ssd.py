import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from occ_models.layers.hilbert import hilbert_curve, hilbert_order  # noqa: E402
from occ_models.layers.ssd import Mamba2, ssd, ssd_ref  # noqa: E402


@pytest.mark.parametrize(("length", "chunk"), [(64, 64), (256, 32), (200, 64), (7, 16)])
def test_chunked_form_equals_the_recurrence(length, chunk):
    generator = torch.Generator().manual_seed(length)
    x = torch.randn(2, length, 3, 4, generator=generator)
    a = -torch.rand(2, length, 3, generator=generator)
    b, c = torch.randn(2, 2, length, 5, generator=generator)
    expected = ssd_ref(x.double(), a.double(), b.double(), c.double())
    np.testing.assert_allclose(ssd(x, a, b, c, chunk), expected, atol=1e-4, rtol=1e-4)


def test_strong_decay_gives_no_nan():
    x, a = torch.randn(1, 256, 1, 4), torch.full((1, 256, 1), -8.0)
    b, c = torch.randn(2, 1, 256, 5)
    assert torch.isfinite(ssd(x, a, b, c, 64)).all()


def test_mamba_is_causal():
    torch.manual_seed(0)
    layer = Mamba2(16, head=16, chunk=16).eval()
    tokens = torch.randn(1, 64, 16)
    changed = tokens.clone()
    changed[:, 40:] += 1
    with torch.no_grad():
        torch.testing.assert_close(layer(tokens)[:, :40], layer(changed)[:, :40])
        assert not torch.allclose(layer(tokens)[:, 40:], layer(changed)[:, 40:])


@pytest.mark.parametrize("order", [1, 3, 6])
def test_hilbert_curve_visits_every_cell_by_neighbours(order):
    cells = hilbert_curve(order)
    assert len(np.unique(cells, axis=0)) == 4**order
    assert (np.abs(np.diff(cells, axis=0)).sum(1) == 1).all()


@pytest.mark.parametrize("shape", [(8, 8, 4), (16, 8, 2), (5, 7, 3)])
def test_hilbert_order_is_a_permutation_with_whole_columns(shape):
    order = hilbert_order(shape)
    assert sorted(order) == list(range(np.prod(shape)))
    columns = order.reshape(-1, shape[2])
    assert (columns // shape[2] == columns[:, :1] // shape[2]).all()
    assert (np.diff(columns, axis=1) == 1).all()
