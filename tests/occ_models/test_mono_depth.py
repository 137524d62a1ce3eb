"""Depth as a distribution over distances, and what it says of the voxels."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from occ_core import Calibration, Grid  # noqa: E402
from occ_core.lifting import OUT_OF_VIEW, lifting_table  # noqa: E402
from occ_models.monoocc.depth import (  # noqa: E402
    FARTHEST,
    NEAREST,
    DepthHead,
    behind,
    bin_of,
    bins_in,
    centers,
    depth_loss,
    distribution,
    metric_depth,
    shares,
    voxel_evidence,
    voxel_evidence_ref,
)

P = np.array([[700.0, 0, 600, 45], [0, 700, 180, 0], [0, 0, 1, 0.003]])
T = np.array([[0.0, -1, 0, 0], [0, 0, -1, -0.07], [1, 0, 0, -0.3], [0, 0, 0, 1]])


def drawn(shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_head_gives_a_distance_to_each_cell_of_eight_pixels():
    features = [torch.zeros(2, 8 << n, 48 >> n + 2, 160 >> n + 2) for n in range(3)]
    assert DepthHead([8, 16, 32], 12, 24)(features).shape == (2, 24, 6, 20)


def test_bins_and_their_centres_are_each_others_inverse():
    metres = centers(20).double()
    torch.testing.assert_close(bin_of(metres, 20), torch.arange(20.0).double(), atol=1e-5, rtol=0)
    assert metres[0] == NEAREST and metres[-1] == pytest.approx(FARTHEST)
    ratio = metres[1:] / metres[:-1]
    torch.testing.assert_close(ratio, ratio[:1].expand(19), atol=1e-5, rtol=0)
    outside = bin_of(torch.tensor([-3.0, 0.1, 1e4]), 20)
    torch.testing.assert_close(outside, torch.tensor([0.0, 0.0, 19.0]))


def test_shares_sum_to_one_and_lie_on_the_two_nearest_centres():
    depth = torch.tensor([[[0.5, 2.0, 3.3, 17.0, 63.9, 80.0]]], dtype=torch.float64)
    found = shares(depth, 12)
    torch.testing.assert_close(found.sum(1), torch.ones_like(depth))
    assert ((found > 0).sum(1) <= 2).all()
    index = torch.arange(12).reshape(1, -1, 1, 1)
    torch.testing.assert_close((found * index).sum(1), bin_of(depth, 12))


def test_a_depth_image_decides_where_it_is_known_and_the_network_elsewhere():
    logits, depth = drawn((2, 12, 3, 4)), torch.zeros(2, 3, 4, dtype=torch.float64)
    depth[0, 1, 2] = 9.0
    found = distribution(logits, depth)
    torch.testing.assert_close(found.sum(1), torch.ones(2, 3, 4, dtype=torch.float64))
    torch.testing.assert_close(found[0, :, 1, 2], shares(depth, 12)[0, :, 1, 2])
    found[0, :, 1, 2] = logits.softmax(1)[0, :, 1, 2]
    torch.testing.assert_close(found, logits.softmax(1))


def test_metric_depth_is_that_of_the_best_bins_and_as_sure_as_they_are():
    depth = torch.tensor([[[2.0, 5.0, 11.3, 30.0]]])
    metres, confidence = metric_depth(shares(depth, 96))
    torch.testing.assert_close(metres, depth, atol=0, rtol=1e-3)
    torch.testing.assert_close(confidence, torch.ones(1, 1, 4))
    # Two distances: the likelier one is used, not one in between.
    two = 0.7 * shares(depth[..., 1:2], 96) + 0.3 * shares(depth[..., 3:], 96)
    metres, confidence = metric_depth(two)
    assert metres.item() == pytest.approx(5, rel=1e-3) and confidence.item() == pytest.approx(0.7)


def test_depth_loss_falls_towards_the_truth_and_starts_at_the_logarithm_of_the_bins():
    depth = torch.tensor([[[3.0, 12.0], [0.0, 40.0]]])
    truth = (shares(depth, 16) + 1e-4).log()
    start, half, end = (depth_loss(part * truth, depth).item() for part in (0, 0.5, 1))
    assert start == pytest.approx(math.log(16)) and start > half > end


def test_depth_loss_looks_at_what_is_known_alone():
    depth = torch.tensor([[[3.0, 12.0], [0.0, 40.0]]])
    logits = drawn((1, 16, 2, 2)).requires_grad_()
    depth_loss(logits, depth).backward()
    assert (logits.grad[..., 1, 0] == 0).all() and (logits.grad.abs().sum(1)[depth > 0] > 0).all()
    nothing = depth_loss(logits, torch.zeros(1, 2, 2))
    assert nothing.item() == 0 and nothing.requires_grad


def test_behind_a_bin_lies_what_comes_later_and_half_of_its_own():
    probabilities = torch.tensor([0.1, 0.2, 0.3, 0.4]).reshape(1, 4, 1, 1)
    torch.testing.assert_close(behind(probabilities).flatten(), torch.tensor([0.95, 0.8, 0.55, 0.2]))


def test_a_voxel_covers_as_many_bins_as_fit_into_it_and_at_most_one():
    metres = centers(32).double()
    width = (metres[21] - metres[19]) / 2  # of a bin in the middle
    assert bins_in(metres[20:21], width.item() / 4, 32).item() == pytest.approx(0.25, rel=0.01)
    assert bins_in(torch.tensor([0.1, 3.0]), 50.0, 32).tolist() == [1, 1]


@pytest.mark.parametrize("size", [(3, 5), (6, 19), (2, 2)])
def test_voxel_evidence_equals_the_reference(size):
    bins, generator = 7, torch.Generator().manual_seed(0)
    probabilities = drawn((2, bins, *size)).softmax(1)
    lifting = 2 * torch.rand(2, 30, 4, 2, generator=generator, dtype=torch.float64) - 1
    depth = 90 * torch.rand(2, 30, 4, generator=generator, dtype=torch.float64) - 5
    lifting[0, 0] = torch.tensor([[-1.0, -1.0], [1.0, 1.0], [-1.0, 1.0], [0.999, -0.999]])  # beyond the outer pixels
    lifting[:, 1] = OUT_OF_VIEW
    depth[0, 2] = torch.tensor([NEAREST, FARTHEST, 0.0, 1e4])
    depth[0, 3] = centers(bins)[:4]
    found = voxel_evidence(probabilities, lifting, depth, 1.6)
    assert found.shape == (2, 3, 30, 4)
    torch.testing.assert_close(found, voxel_evidence_ref(probabilities, lifting, depth, 1.6))


@pytest.mark.parametrize("width", [1220, 610])
def test_voxel_evidence_equals_the_reference_on_a_calibration(width):
    half = np.diag([width / 1220, width / 1220, 1])
    table = lifting_table(Grid((16, 16, 4), 3.2, (0.0, -25.6, -4.0)), Calibration(half @ P, T, (width, 370)))
    assert table.in_view.any() and not table.in_view.all()
    lifting, depth = (torch.from_numpy(a)[None] for a in (table.coordinates, table.depth))
    probabilities = drawn((1, 9, 6, 19), 3).float().softmax(1)
    found, expected = (f(probabilities, lifting, depth, 3.2) for f in (voxel_evidence, voxel_evidence_ref))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_a_wall_ends_the_rays_in_its_own_voxels_and_hides_what_is_behind():
    calibration = Calibration(P, T, (1220, 370))
    table = lifting_table(Grid((20, 16, 6), 1.0, (0.5, -8.0, -3.0)), calibration)  # centres at x = 1, 2, ... 20 m
    metres = calibration.project(np.array([10.0, 0, 0]))[1] * calibration.canonical
    probabilities = distribution(torch.zeros(1, 64, 23, 76), torch.full((1, 23, 76), metres, dtype=torch.float32))
    lifting, depth = (torch.from_numpy(a)[None] for a in (table.coordinates, table.depth))
    ends, goes_on, in_view = voxel_evidence(probabilities, lifting, depth, 1.0).reshape(3, 20, 16, 6)
    seen = torch.from_numpy(table.in_view)
    torch.testing.assert_close(in_view, seen.float())
    assert seen[4:].flatten(1).any(1).all() and not seen.all()

    def of(values, metres):
        return values[metres - 1][seen[metres - 1]]

    assert (of(ends, 10) >= 0.5).all()  # half and more: the distance is between two centres
    for x in range(3, 9):
        assert (of(ends, x) == 0).all()
        torch.testing.assert_close(of(goes_on, x), torch.ones_like(of(goes_on, x)))
    for x in range(12, 21):
        assert (of(ends, x) == 0).all() and (of(goes_on, x) == 0).all()
    assert (ends[~seen] == 0).all() and (goes_on[~seen] == 0).all()
