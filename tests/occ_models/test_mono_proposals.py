"""Query proposals: which voxels are chosen, and their way out of the grid and back."""

import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from occ_models.monoocc.proposals import ProposalNetwork, choose, cut_off, gather_rows, spread_rows  # noqa: E402


def drawn(shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_the_network_keeps_the_grid():
    network = ProposalNetwork(4, (8, 12, 16)).eval()
    assert network(drawn((2, 3, 16, 8, 4))).shape == (2, 16, 8, 4)


def test_what_it_is_told_of_a_voxel_reaches_that_voxel():
    network, evidence = ProposalNetwork(4, (8, 12)).eval(), drawn((1, 3, 16, 16, 4))
    evidence.requires_grad_()
    network(evidence)[0, 3, 9, 2].backward()
    assert evidence.grad[0, :, 3, 9, 2].abs().min() > 0
    assert (evidence.grad[0, :, 15, 0] == 0).all()  # and what is far from it does not


def test_each_slice_has_the_same_number_of_proposals_the_most_likely_ones():
    logits = drawn((2, 5, 6, 4))
    indices, weights = choose(logits, 7)
    assert indices.shape == weights.shape == (2, 5, 7)
    flat = logits.flatten(2)
    for b, x in torch.cartesian_prod(torch.arange(2), torch.arange(5)).tolist():
        chosen = set(indices[b, x].tolist())
        assert len(chosen) == 7
        assert chosen == set(flat[b, x].argsort(descending=True)[:7].tolist())


def test_more_proposals_than_voxels_are_all_voxels():
    indices, weights = choose(drawn((1, 2, 3, 2)), 100)
    assert indices.shape == weights.shape == (1, 2, 6)
    assert indices[0, 1].sort().values.tolist() == list(range(6))


def test_a_weight_rises_from_one_half_to_one():
    logits = torch.tensor([-3.0, 0.0, 0.2, 1.0, 1.2, 5.0]).reshape(1, 1, 6, 1)
    weights = weights_of(logits, 6).flatten()
    torch.testing.assert_close(weights, (4 * (logits.flatten().sigmoid() - 0.5)).clamp(0, 1))
    assert weights[1] == 0 and 0 < weights[2] < weights[3] < weights[5] == 1


def weights_of(logits, number):
    """What each voxel counts, 0 where it was not chosen: (B, X, Y*Z)."""
    indices, weights = choose(logits, number)
    return torch.zeros_like(logits.flatten(2)).scatter(2, indices, weights)


def test_nothing_jumps_where_two_candidates_change_places():
    logits = torch.tensor([3.0, 1.0, 0.8, 0.6, -1.0, -2.0]).reshape(1, 1, 6, 1)
    step = torch.zeros_like(logits)
    step[0, 0, 2], step[0, 0, 3] = -1e-4, 1e-4
    middle = logits.clone()
    middle[0, 0, 2:4] = 0.7
    before, after = middle - step, middle + step
    assert set(choose(before, 3)[0].flatten().tolist()) == {0, 1, 2}
    assert set(choose(after, 3)[0].flatten().tolist()) == {0, 1, 3}
    assert (weights_of(before, 3) - weights_of(after, 3)).abs().max() < 1e-3
    assert weights_of(before, 3).max() > 0.5


def test_by_threshold_every_voxel_above_one_half_counts_one():
    logits = drawn((2, 3, 4, 5))
    indices, weights = choose(logits, 0, "threshold")
    counted = torch.zeros_like(logits.flatten(2)).scatter(2, indices, weights)
    assert torch.equal(counted, (logits.flatten(2) > 0).float())


def test_what_a_limit_cuts_off_is_above_one_half_and_not_chosen():
    logits = drawn((2, 3, 4, 5))
    chosen = torch.zeros(2, 3, 20, dtype=torch.bool).scatter(2, choose(logits, 4)[0], True).reshape(logits.shape)
    assert torch.equal(cut_off(logits, 4), (logits > 0) & ~chosen)
    assert cut_off(logits, 4).any() and not cut_off(logits, 0).any() and not cut_off(logits, 20).any()


def test_rows_go_out_and_come_back():
    table, indices = drawn((2, 3, 8, 5)), choose(drawn((2, 3, 4, 2), 1), 4)[0]
    rows = gather_rows(table, indices)
    other = torch.full((5,), 9.0)
    back = spread_rows(rows, indices, other, 8)
    assert rows.shape == (2, 3, 4, 5) and back.shape == table.shape
    for b, x in torch.cartesian_prod(torch.arange(2), torch.arange(3)).tolist():
        chosen = indices[b, x].tolist()
        torch.testing.assert_close(rows[b, x], table[b, x, chosen])
        for place in range(8):
            torch.testing.assert_close(back[b, x, place], table[b, x, place] if place in chosen else other)


def test_a_gradient_reaches_the_chosen_rows_and_the_filling():
    table, other = drawn((1, 2, 6, 3)).requires_grad_(), torch.zeros(3, requires_grad=True)
    indices = torch.tensor([[[4, 1], [0, 5]]])
    spread_rows(gather_rows(table, indices), indices, other, 6).sum().backward()
    assert table.grad[0, :, :, 0].nonzero().tolist() == [[0, 1], [0, 4], [1, 0], [1, 5]]
    assert other.grad.tolist() == [8, 8, 8]
