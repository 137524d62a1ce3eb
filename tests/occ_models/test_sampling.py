"""Interval sampling of the labels, and draws that depend only on the step."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs torch (the train extra)")

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from occ_models.sampling import Draws, labelled_frames, turns_of

# Items 0, 1, ... shared out: for each kind the sizes of its groups.
SIZES = st.lists(st.lists(st.integers(0, 5), max_size=3), min_size=1, max_size=2).filter(lambda k: sum(map(sum, k)) > 0)


def kinds_of(sizes):
    items = iter(range(100))
    return [[[next(items) for _ in range(n)] for n in groups] for groups in sizes]


FIRSTS = st.sampled_from([0.5, 0.1, 1 / 3, 0.99, 0.0, 1.0])


def drawn(kinds, batch=1, steps=40, seed=0, **where):
    return list(Draws(kinds, batch, steps, seed, **where))


@settings(deadline=None)
@given(st.integers(1, 500), st.floats(0, 1), st.integers(0, 9))
def test_labelled_frames_are_as_many_as_asked_for_and_evenly_spaced(count, share, seed):
    number = round(share * count)
    assume(share == 0 or number)
    kept = labelled_frames(count, share, seed)
    assert kept.shape == (count,) and kept.sum() == number
    gaps = np.diff(np.flatnonzero(kept))
    assert ((count // max(number, 1) <= gaps) & (gaps <= -(-count // max(number, 1)))).all()


def test_the_seed_moves_the_labelled_frames_within_their_interval():
    firsts = {int(np.flatnonzero(labelled_frames(100, 0.1, seed))[0]) for seed in range(50)}
    assert len(firsts) > 5 and max(firsts) < 10
    np.testing.assert_array_equal(labelled_frames(100, 0.1, 7), labelled_frames(100, 0.1, 7))


def test_a_share_of_zero_keeps_none_and_of_one_all():
    assert not labelled_frames(20, 0.0).any() and not labelled_frames(0, 0.0).any()
    assert labelled_frames(20, 1.0).all()


@pytest.mark.parametrize(
    ("count", "share", "words"),
    [
        (4, 0.1, "0.1 of 4 frames selects none; expected at least 0.25"),
        (4, 1.5, "from 0 to 1, got 1.5"),
        (4, -0.1, "from 0 to 1, got -0.1"),
        (4, float("nan"), "from 0 to 1, got nan"),
    ],
)
def test_a_share_that_cannot_be_kept_is_one_clear_line(count, share, words):
    with pytest.raises(ValueError, match=words) as caught:
        labelled_frames(count, share)
    assert "\n" not in str(caught.value)


@settings(deadline=None)
@given(SIZES, st.integers(0, 40), st.integers(1, 3), FIRSTS)
def test_draws_that_start_later_are_the_tail_of_all(sizes, start, batch, first):
    kinds = kinds_of(sizes)
    assert drawn(kinds, batch, start=start, first=first) == drawn(kinds, batch, first=first)[start:]


@settings(deadline=None)
@given(SIZES, st.integers(1, 3), st.integers(2, 4), FIRSTS)
def test_several_processes_draw_what_one_with_a_larger_batch_draws(sizes, batch, world, first):
    kinds = kinds_of(sizes)
    parts = [drawn(kinds, batch, rank=rank, world=world, first=first) for rank in range(world)]
    together = [[draw for batch in batches for draw in batch] for batches in zip(*parts, strict=True)]
    assert together == drawn(kinds, batch * world, first=first)


@settings(deadline=None)
@given(SIZES)
def test_every_item_of_a_group_comes_once_in_each_of_its_passes(sizes):
    kinds = kinds_of(sizes)
    items = [batch[0].item for batch in drawn(kinds, steps=200)]
    for group in (group for groups in kinds for group in groups if group):
        own = [item for item in items if item in group]
        passes = [own[n : n + len(group)] for n in range(0, len(own) - len(group) + 1, len(group))]
        assert passes and all(sorted(one) == group for one in passes)


def test_kinds_take_turns_and_so_do_the_groups_in_each():
    items = [batch[0].item for batch in drawn([[[0, 1], [2, 3]], [[4, 5]]], steps=80)]
    assert all(item < 4 for item in items[::2]) and all(item >= 4 for item in items[1::2])
    assert all(item < 2 for item in items[::4]) and all(item in (2, 3) for item in items[2::4])


@pytest.mark.parametrize(
    ("shares", "expected"),
    [((1, 3), (0.25, 0.75)), ((0.4, 0.6), (0.4, 0.6)), ((7, 7), (0.5, 0.5)), ((1, 400), (0.01, 0.99))],
)
def test_groups_have_their_shares_of_the_draws_spread_evenly(shares, expected):
    items = np.array([batch[0].item for batch in drawn([[[0, 1, 2], [3, 4]]], steps=2000, shares=shares)])
    for part in (items, *items.reshape(10, 200)):
        assert abs((part < 3).sum() - expected[0] * len(part)) <= 2
    assert np.ptp(np.bincount(items, minlength=5)[:3]) <= 1 and np.ptp(np.bincount(items, minlength=5)[3:]) <= 1


@settings(deadline=None)
@given(SIZES, st.integers(0, 40), st.integers(1, 3), FIRSTS)
def test_draws_with_shares_that_start_later_are_the_tail_of_all(sizes, start, batch, first):
    kinds, shares = kinds_of(sizes), (2, 3, 0.5)
    assert (
        drawn(kinds, batch, start=start, first=first, shares=shares)
        == (drawn(kinds, batch, first=first, shares=shares)[start:])
    )


def test_the_share_of_a_group_without_items_goes_to_the_others():
    assert drawn([[[0], [], [1, 2]]], shares=(1, 5, 3)) == drawn([[[0], [1, 2]]], shares=(1, 3))
    assert turns_of((1, 2, 5)) == [2, 1, 2, 0, 2, 2, 1, 2]


@pytest.mark.parametrize("first", [0.0, 0.1, 1 / 3, 0.5, 0.75, 1.0])
def test_the_first_kind_has_its_share_of_the_draws_spread_evenly(first):
    items = np.array([batch[0].item for batch in drawn([[[0, 1, 2]], [[3, 4, 5, 6]]], steps=3000, first=first)])
    for part in (items, *items.reshape(30, 100)):
        assert abs((part < 3).sum() - first * len(part)) <= 1
    for kind in (range(3), range(3, 7)):
        counts = np.bincount(items, minlength=7)[kind]
        assert counts.max() - counts.min() <= 1  # each item of a kind as often as the others


@pytest.mark.parametrize("seed", range(3))
def test_frames_that_are_one_kind_are_drawn_alike(seed):
    """Chi-square over 10,000 draws: of the frames, and of the place in its epoch at which each frame comes."""
    frames = 40
    items = np.array([batch[0].item for batch in drawn([[list(range(frames))]], steps=10_000, seed=seed)])
    expected = len(items) / frames
    assert ((np.bincount(items, minlength=frames) - expected) ** 2 / expected).sum() < 62.4  # 99 % of chi-square(39)
    epochs = items.reshape(-1, frames)
    assert (np.sort(epochs) == np.arange(frames)).all()  # every frame once an epoch
    places = np.argsort(epochs)  # of each frame
    table = np.array([np.bincount(column, minlength=frames) for column in places.T])
    expected = len(epochs) / frames
    # Rows and columns have fixed sums; 39 x 39 degrees of freedom, four standard deviations on both sides.
    freedom = (frames - 1) ** 2
    assert abs(((table - expected) ** 2 / expected).sum() - freedom) < 4 * (2 * freedom) ** 0.5


def test_empty_kinds_and_groups_are_left_out():
    for first in (0.5, 0.0, 1.0):
        assert drawn([[[], [0, 1, 2]], [[], []]], first=first) == drawn([[[0, 1, 2]]])


def test_draws_are_numbered_and_another_seed_orders_them_otherwise():
    kinds = [[list(range(20))]]
    assert [draw.number for batch in drawn(kinds, batch=2, steps=5) for draw in batch] == list(range(10))
    orders = {tuple(draw.item for batch in drawn(kinds, seed=seed) for draw in batch) for seed in range(5)}
    assert len(orders) == 5
    first, second = (drawn(kinds, batch=20, steps=2)[n] for n in (0, 1))
    assert [d.item for d in first] != [d.item for d in second]  # and each pass otherwise
