"""Pairing by stamp, and the count of every message that is not paired."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from occ_node.counters import Counters
from occ_node.synchroniser import Synchroniser

MS = 1_000_000
START = 1_300_000_000_000 * MS


class Line:
    """A synchroniser with its counters; stamps in milliseconds."""

    def __init__(self, tolerance=0.05, inputs=("image", "points")):
        self.counters = Counters(inputs)
        self._synchroniser = Synchroniser(tolerance, self.counters, inputs)

    def image(self, ms):
        self._synchroniser.add("image", ("image", ms), START + round(ms * MS))

    def points(self, ms):
        self._synchroniser.add("points", ("points", ms), START + round(ms * MS))

    def pair(self):
        pair = self._synchroniser.take(0)
        return pair and (pair.image[1], pair.points and pair.points[1])

    def waiting(self):
        return self._synchroniser.waiting()

    def drops(self):
        return {reason: number for reason, number in self.counters.counts().dropped.items() if number}


@pytest.fixture
def line():
    return Line()


@pytest.mark.parametrize("order", [("image", "points"), ("points", "image")])
def test_a_pair_is_ready_with_its_second_half(line, order):
    getattr(line, order[0])(0)
    assert line.pair() is None
    getattr(line, order[1])(20)
    assert line.pair() in [(0, 20), (20, 0)]
    assert line.drops() == {}


def test_the_nearest_partner_within_the_tolerance_is_taken(line):
    for ms in (0, 33, 66):
        line.image(ms)
    line.points(40)
    assert line.pair() == (33, 40)
    assert line.drops() == {"no_partner.image": 1}


def test_messages_a_second_apart_never_pair(line):
    for second in range(5):
        line.image(2000 * second)
        line.points(2000 * second + 1000)
        assert line.pair() is None
    assert line.drops() == {"no_partner.image": 5, "no_partner.points": 4}


def test_a_pair_not_taken_in_time_is_superseded(line):
    for ms in (0, 100, 200):
        line.image(ms)
        line.points(ms)
    assert line.pair() == (200, 200)
    assert line.pair() is None
    assert line.drops() == {"superseded": 2}


def test_repeated_and_late_messages_are_stale(line):
    line.image(100)
    line.image(100)
    line.image(40)
    assert line.drops() == {"stale.image": 2}


@pytest.mark.parametrize("first", ["image", "points"])
def test_a_bag_that_starts_again_counts_one_jump_and_goes_on(line, first):
    second = "points" if first == "image" else "image"
    for _ in range(3):
        for ms in range(0, 1000, 100):
            getattr(line, first)(ms)
            getattr(line, second)(ms + 3)
            assert line.pair() is not None
    assert line.drops() == {"clock_jumped_back": 2}


def test_a_late_message_from_before_the_jump_is_not_another_jump(line):
    line.image(9900)
    line.points(9900)
    line.image(10000)
    line.image(0)  # the bag starts again
    line.points(10000)  # still of the first run
    line.points(0)
    assert line.pair() == (0, 0)
    assert line.drops() == {"superseded": 1, "no_partner.image": 1, "clock_jumped_back": 1, "no_partner.points": 1}


def test_a_short_jump_back_does_not_block_the_other_input(line):
    line.image(10000)
    line.points(10000)
    line.pair()
    line.image(9400)
    line.points(9400)
    assert line.pair() == (9400, 9400)
    line.image(9500)
    line.points(9500)
    assert line.pair() == (9500, 9500)


def test_an_input_that_paused_before_the_jump_comes_back_after_it(line):
    line.points(3000)
    line.image(10000)
    line.image(5000)
    for ms in range(5000, 12000, 100):
        line.image(ms + 100)
        line.points(ms + 100)
    assert line.pair() == (12000, 12000)
    assert line.drops()["clock_jumped_back"] == 1


def test_without_clouds_each_image_is_a_frame():
    line = Line(inputs=("image",))
    line.image(0)
    assert line.pair() == (0, None)
    assert line.pair() is None
    assert line.drops() == {}


def test_single_images_are_superseded_stale_and_jump_as_pairs_do():
    line = Line(inputs=("image",))
    for ms in (9900, 10000, 10000, 9800):
        line.image(ms)
    assert line.drops() == {"superseded": 1, "stale.image": 2}
    line.image(0)  # the bag starts again
    line.image(100)
    assert line.pair() == (100, None)
    assert line.drops() == {"superseded": 3, "stale.image": 2, "clock_jumped_back": 1}


def test_every_message_is_accounted_for():
    random = np.random.default_rng(0)
    line, taken = Line(), 0
    images = np.cumsum(random.uniform(20, 60, 300))
    points = np.cumsum(random.uniform(70, 130, 120))
    events = sorted([(ms, "image") for ms in images] + [(ms, "points") for ms in points])
    for ms, source in events:
        getattr(line, source)(ms)
        if random.random() < 0.5:
            taken += line.pair() is not None
    end = events[-1][0] + 1000
    line.image(end)
    line.points(end)  # nothing older can wait for a partner any more
    taken += line.pair() is not None
    drops = line.drops()
    pairs = taken + drops["superseded"]
    assert pairs + drops.get("no_partner.points", 0) == len(points) + 1
    assert pairs + drops["no_partner.image"] == len(images) + 1


def test_clouds_an_hour_back_for_a_while_do_not_stop_the_pairing(line):
    for second in range(20):
        line.image(1000 * second)
        line.points(1000 * second + 5 - (3_600_000 if 4 <= second < 8 else 0))
        assert (line.pair() is None) == (4 <= second < 8)


STAMPS = st.one_of(
    st.integers(-5000, 5000),  # ms; about the sane ones, which begin at 0
    st.sampled_from([-3_600_000, 3_600_000, 0, 100, 1000]),
    st.integers(-(10**9), 10**9),
)
SOURCES = st.sampled_from(["image", "points"])


@given(
    before=st.lists(st.tuples(SOURCES, STAMPS, st.booleans()), max_size=40),
    first=SOURCES,
    period=st.sampled_from([100, 450, 1000, 2000]),
    apart=st.integers(-45, 45),  # half a period apart, the partner is not clear
    inputs=st.sampled_from([("image", "points"), ("image",)]),
)
def test_after_any_stamps_the_third_sane_pair_is_answered_and_every_message_is_accounted_for(
    before, first, period, apart, inputs
):
    """before : input, stamp, and whether the worker is ready for a pair then."""
    line, added, pairs = Line(inputs=inputs), Counter(), 0

    def add(source, ms):
        if source in inputs:
            getattr(line, source)(ms)
            added[source] += 1

    for source, ms, ready in before:
        add(source, ms)
        pairs += ready and line.pair() is not None
    for n in range(6):
        stamps = {"image": period * n, "points": period * n + apart}
        for source in sorted(stamps, key=lambda name: name != first):
            add(source, stamps[source])
        pair = line.pair()
        pairs += pair is not None
        if n >= 2:
            assert pair == (stamps["image"], stamps["points"] if "points" in inputs else None)
    drops = line.drops()
    for source in inputs:
        dropped = sum(drops.get(reason, 0) for reason in ("superseded", f"stale.{source}", f"no_partner.{source}"))
        assert added[source] == pairs + dropped + line.waiting()[source]
