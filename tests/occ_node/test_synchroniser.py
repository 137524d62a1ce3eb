"""Pairing by stamp, and the count of every message that is not paired."""

from collections import Counter
from itertools import pairwise

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

    def __init__(self, tolerance=0.05, inputs=("image", "points"), **silence):
        self.now = 0.0
        self.counters = Counters(inputs)
        self._synchroniser = Synchroniser(tolerance, self.counters, inputs, **silence)

    def image(self, ms):
        self._synchroniser.add("image", ("image", ms), START + round(ms * MS))

    def points(self, ms):
        self._synchroniser.add("points", ("points", ms), START + round(ms * MS))

    def pair(self):
        pair = self._synchroniser.take(0)
        return pair and (pair.image and pair.image[1], pair.points and pair.points[1])

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


class Robot(Line):
    """A line whose sensors may be silent, with a clock of its own, in seconds."""

    def __init__(self, spare=("image", "points")):
        super().__init__(spare=spare, clock=lambda: self.now)

    def drive(self, tenths, *silent, lag=1):
        """Both sensors at 10 Hz, the clouds `lag` ms later, but for those that are silent: the frames, in order."""
        frames = []
        for _ in range(tenths):
            self.now = round(self.now + 0.1, 3)
            ms = round(1000 * self.now)
            if "image" not in silent:
                self.image(ms)
            if "points" not in silent:
                self.points(ms + lag)
            frames.append(self.pair())
        return frames


def kinds(frames):
    """One letter a frame: both, image, points, - none."""
    return "".join("-" if f is None else "p" if f[0] is None else "i" if f[1] is None else "b" for f in frames)


def test_frames_go_on_with_the_images_half_a_second_after_the_last_cloud_until_the_next_pair():
    robot = Robot()
    assert kinds(robot.drive(5)) == "bbbbb"
    assert kinds(robot.drive(8, "points")) == "----iiii"
    assert kinds(robot.drive(3)) == "ibb"  # the first image came before the cloud
    assert robot.counters.counts().alone == {"image": 5, "points": 0}
    assert robot.drops() == {"no_partner.image": 4, "no_partner.points": 1}


def test_frames_go_on_with_the_clouds_half_a_second_after_the_last_image_until_the_next_pair():
    robot = Robot()
    assert kinds(robot.drive(5)) == "bbbbb"
    assert kinds(robot.drive(8, "image")) == "----pppp"
    assert kinds(robot.drive(3)) == "bbb"
    assert robot.counters.counts().alone == {"image": 0, "points": 4}
    assert robot.drops() == {"no_partner.points": 4}


def test_an_input_that_frames_need_is_waited_for():
    robot = Robot(spare=("image",))
    robot.drive(5)
    assert kinds(robot.drive(20, "points")) == "-" * 20
    assert robot.drops() == {"no_partner.image": 12}


def test_a_sensor_that_never_came_is_waited_for_two_seconds():
    robot = Robot()
    assert kinds(robot.drive(25, "image")) == "-" * 19 + "pppppp"


def test_a_pause_of_both_is_no_silence_of_one():
    robot = Robot()
    robot.drive(5)
    robot.now += 60
    robot.image(60_600)
    robot.now += 0.3
    robot.points(60_601)
    assert robot.pair() == (60_600, 60_601)
    assert robot.counters.counts().alone == {"image": 0, "points": 0}


def test_a_pause_of_both_costs_no_time_while_one_is_used_alone():
    robot = Robot()
    robot.drive(5)
    robot.drive(8, "points")
    robot.now += 60
    assert kinds(robot.drive(3, "points")) == "iii"
    robot.now += 60
    assert kinds(robot.drive(3)) == "ibb"


def test_a_bag_that_plays_slowly_has_no_silent_sensors():
    robot = Robot()
    for n in range(20):
        robot.now += 1.5
        robot.image(100 * n)
        assert robot.pair() is None
        robot.now += 0.7
        robot.points(100 * n)
        assert robot.pair() == (100 * n, 100 * n)
    assert robot.drops() == {}


def test_a_cloud_older_than_an_image_that_was_answered_alone_is_not_answered():
    robot = Robot()
    robot.drive(5, lag=-30)
    robot.drive(8, "points")
    assert kinds(robot.drive(1, lag=-30)) == "i"
    assert robot.drive(1, lag=-30) == [(1500, 1470)]
    assert robot.drops()["no_partner.points"] == 1


def test_a_sensor_that_comes_back_with_another_clock_leaves_the_other_alone():
    robot = Robot()
    robot.drive(5)
    robot.drive(8, "points")
    for lag in (3_600_000, -3_600_000):
        assert kinds(robot.drive(30, lag=lag))[-10:] == "i" * 10
    assert kinds(robot.drive(4))[-2:] == "bb"


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.01, 0.1, 0.4, 0.6, 3.0]),  # seconds to the message
            SOURCES,
            st.integers(-120, 120),  # ms that its stamp is off
            st.booleans(),  # whether the worker is ready for a frame then
        ),
        max_size=60,
    ),
    spare=st.sampled_from([("image", "points"), ("image",), ("points",)]),
)
def test_whatever_falls_silent_no_message_is_answered_twice_stamps_increase_and_all_are_accounted_for(steps, spare):
    robot, added, frames = Robot(spare), Counter(), []
    for seconds, source, off, ready in steps:
        robot.now += seconds
        getattr(robot, source)(1000 * robot.now + off)
        added[source] += 1
        if ready and (frame := robot.pair()):
            frames.append(frame)
    drops, alone = robot.drops(), robot.counters.counts().alone
    offered = len(frames) + drops.get("superseded", 0) + (robot.pair() is not None)
    for source, other in (("image", "points"), ("points", "image")):
        dropped = sum(drops.get(f"{reason}.{source}", 0) for reason in ("stale", "no_partner"))
        assert added[source] + alone[other] == offered + dropped + robot.waiting()[source]
        used = [frame[source == "points"] for frame in frames if frame[source == "points"] is not None]
        assert len(used) == len(set(used))
    assert all(alone[source] == 0 for source, other in (("image", "points"), ("points", "image")) if other not in spare)
    for before, after in pairwise(frames):
        if None in (*before, *after):  # a switch, or without a sensor
            assert _stamp(after) > _stamp(before)


def _stamp(frame):
    return frame[0] if frame[1] is None else frame[1]
