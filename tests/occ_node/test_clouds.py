"""Which cloud leads, and which clouds join it."""

from types import SimpleNamespace

import pytest

from occ_node.clouds import CloudMessage, Clouds
from occ_node.gaps import Gaps

RATES = {"front": 10, "left": 20, "right": 7}


class Robot:
    """LiDARs of several rates whose clouds arrive in the order of their stamps, with a clock of its own."""

    def __init__(self, topics=("front", "left", "right"), tolerance=0.05):
        self.now = 0.0
        self.clouds = Clouds(topics, tolerance, lambda: self.now)
        self._gaps = {topic: Gaps() for topic in topics}

    def receive(self, topic: str, seconds: float, frame="lidar") -> CloudMessage | None:
        """The cloud, if it leads."""
        self.now = max(self.now, seconds)
        stamp = round(1e9 * seconds)
        self._gaps[topic].lost(stamp)
        message = SimpleNamespace(header=SimpleNamespace(frame_id=frame))
        cloud = CloudMessage(topic, message, stamp)
        return cloud if self.clouds.add(cloud, self._gaps[topic].period) else None

    def drive(self, begin: float, end: float, topics=tuple(RATES)):
        """(leading topic, joined topics, missing ones) of each frame."""
        arrivals = [(n / RATES[t], t) for t in topics for n in range(1000) if begin <= n / RATES[t] < end]
        for seconds, topic in sorted(arrivals):
            if leading := self.receive(topic, seconds):
                joined, missing = self.clouds.joining(leading)
                yield leading.topic, sorted(cloud.topic for cloud in joined), missing


def test_clouds_at_10_20_and_7_hz_join():
    frames = list(Robot().drive(0, 10))
    assert len(frames) == 100 and {leading for leading, _, _ in frames} == {"front"}
    assert all(joined == ["left", "right"] for _, joined, _ in frames[15:])


def test_a_missing_one_is_named_and_the_others_join():
    robot = Robot()
    list(robot.drive(0, 5))
    frames = list(robot.drive(5, 8, ("front", "left")))[3:]
    assert len(frames) == 27 and all(frame == ("front", ["left"], ["right"]) for frame in frames)


def test_the_next_one_leads_half_a_second_after_the_first_fell_silent_and_the_first_comes_back_at_once():
    robot = Robot()
    list(robot.drive(0, 5))
    leading = [(robot.now, topic) for topic, _, _ in robot.drive(5, 7, ("left", "right"))]
    assert leading[0][0] == pytest.approx(5.4, abs=0.11) and {topic for _, topic in leading} == {"left"}
    leading = [topic for topic, _, _ in robot.drive(7, 8)]
    assert set(leading[1:]) == {"front"}


def test_the_nearest_in_time_joins():
    robot = Robot()
    for ms in (900, 960, 1040):
        robot.receive("left", ms / 1000)
    (joined,), missing = robot.clouds.joining(robot.receive("front", 1.0))
    assert joined.stamp in (960_000_000, 1_040_000_000) and missing == ["right"]


def test_the_tolerance_counts_while_the_period_is_not_known():
    robot = Robot(tolerance=0.03)
    robot.receive("left", 0.96)
    leading = robot.receive("front", 1.0)
    assert robot.clouds.joining(leading) == ([], ["left", "right"])
    robot.clouds.tolerance = 0.05
    assert [cloud.topic for cloud in robot.clouds.joining(leading)[0]] == ["left"]


def test_a_clock_that_jumps_back_forgets_the_clouds():
    robot = Robot(("front", "left"))
    list(robot.drive(0, 5, ("front", "left")))
    robot.receive("left", 0.0)
    robot.now += 0.1
    leading = robot.receive("front", 0.02)
    assert [cloud.stamp for cloud in robot.clouds.joining(leading)[0]] == [0]


def test_the_first_topics_frame_is_known_from_its_first_cloud():
    robot = Robot()
    robot.receive("left", 0.0, "left_lidar")
    assert robot.clouds.first_frame() is None
    robot.receive("front", 0.1, "front_lidar")
    assert robot.clouds.first_frame() == "front_lidar"
