"""The scatter-accumulated projection against eq. 5 voxel by voxel."""

import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from occ_core import Grid  # noqa: E402
from occ_core.lifting import OUT_OF_VIEW  # noqa: E402
from occ_models.occle.projection import Projection, scatter_accumulate, scatter_accumulate_ref  # noqa: E402

GRID = Grid((2, 3, 2), 4.0, (0.0, -6.0, -2.0))
VOXELS = 12
# Sixteenths and their sums are exact in float32: borders of cells and of the image are met on purpose.
PLACES = st.one_of(st.just((OUT_OF_VIEW, OUT_OF_VIEW)), st.tuples(*[st.integers(-17, 17).map(lambda n: n / 16)] * 2))


def table(places):
    return torch.tensor(places).reshape(-1, GRID.shape[0] * GRID.shape[1], GRID.shape[2], 2)


def at(*places):
    """A table of one sample whose first voxels fall on those places and the others nowhere."""
    return table([*places, *[(OUT_OF_VIEW, OUT_OF_VIEW)] * (VOXELS - len(places))])


def features(batch=1, channels=3, seed=0):
    return torch.randn(batch, channels, *GRID.shape, generator=torch.Generator().manual_seed(seed))


@settings(deadline=None)
@given(
    st.lists(PLACES, min_size=2 * VOXELS, max_size=2 * VOXELS),
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.booleans(),
)
def test_accumulation_equals_the_reference(places, shape, plain):
    weights = torch.rand(VOXELS, generator=torch.Generator().manual_seed(1)) + 0.1
    sums, hit = scatter_accumulate(features(2), table(places), weights, shape, plain)
    expected, expected_hit = scatter_accumulate_ref(features(2), table(places), weights, shape, plain)
    assert torch.equal(hit, expected_hit)
    torch.testing.assert_close(sums, expected, atol=1e-5, rtol=1e-5)


def test_a_coordinate_next_to_the_border_stays_in_the_image():
    most = torch.nextafter(torch.tensor(1.0), torch.tensor(0.0)).item()
    _, hit = scatter_accumulate(features(), at((most, most), (-most, -most)), torch.ones(VOXELS), (4, 6))
    assert hit.nonzero().tolist() == [[0, 0, 0], [0, 3, 5]]


def test_only_cells_on_which_a_voxel_falls_are_hit():
    sums, hit = scatter_accumulate(features(), at((-0.9, 0.9), (0.9, -0.9)), torch.ones(VOXELS), (2, 3))
    assert hit[0].tolist() == [[False, False, True], [True, False, False]]
    assert (sums[0, :, ~hit[0]] == 0).all()


def test_sums_keep_their_scale_and_follow_the_weights():
    fused, place = features().flatten(2), (0.1, 0.1)
    weights = torch.arange(1.0, VOXELS + 1)
    sums, _ = scatter_accumulate(features(), at(place, place), weights, (1, 1))
    torch.testing.assert_close(sums[0, :, 0, 0], (fused[0, :, 0] + 2 * fused[0, :, 1]) / 5**0.5)
    alone, _ = scatter_accumulate(features(), at(place), 7 * weights, (1, 1))
    torch.testing.assert_close(alone[0, :, 0, 0], fused[0, :, 0])


def test_the_plain_sum_of_equation_5_is_a_sum_and_nothing_else():
    places = [(n / 8 - 0.7, 0.3 - n / 16) for n in range(VOXELS)]
    fused, shape = features(), (3, 4)
    expected = torch.zeros(3, *shape)
    for voxel, (u, v) in enumerate(places):
        row, column = int((v + 1) / 2 * shape[0]), int((u + 1) / 2 * shape[1])
        expected[:, row, column] += fused[0].flatten(1)[:, voxel]
    sums, _ = scatter_accumulate(fused, at(*places), torch.ones(VOXELS), shape, plain=True)
    torch.testing.assert_close(sums[0], expected)
    scaled, _ = scatter_accumulate(fused, at(*places), torch.ones(VOXELS), shape)
    assert not torch.allclose(scaled, sums)  # several voxels fall on a cell


def test_gradient_reaches_the_voxels_that_are_seen_and_no_others():
    fused = features().requires_grad_()
    sums, _ = scatter_accumulate(fused, at((0.5, 0.5), (-1.0, 0.0), (0.2, 0.2)), torch.ones(VOXELS), (4, 4))
    sums.sum().backward()
    assert (fused.grad.flatten(2).abs().sum(1)[0] > 0).nonzero().flatten().tolist() == [0, 2]


def test_near_voxels_weigh_more_where_distance_counts():
    by_distance, alike = (Projection(3, GRID, (4, 6), choice).weights for choice in (True, False))
    assert (alike == 1).all()
    distance = torch.from_numpy(GRID.centers()).reshape(-1, 3).norm(dim=1)
    torch.testing.assert_close(by_distance, 1 / distance)
    assert by_distance.max() > 2 * by_distance.min()
    near = Projection(3, Grid((2, 2, 2), 0.2, (0.0, -0.2, -0.2)), (4, 6), True).weights
    assert (near == 1).all()  # nothing nearer than a metre weighs more than there


def test_projection_gives_class_logits_of_the_image_and_holds_no_weights_in_its_state():
    projection = Projection(3, GRID, (4, 6), True)
    logits, hit = projection(features(2), table([(n / 12 - 1, 0.3) for n in range(2 * VOXELS)]))
    assert logits.shape == (2, 20, 4, 6) and logits.dtype == torch.float32
    assert hit.shape == (2, 4, 6) and hit.dtype == torch.bool
    assert "weights" not in projection.state_dict()
