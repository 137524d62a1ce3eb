"""What subscribers get, and what they never get, over real DDS."""

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install occ_node[ros])")

import rclpy
from nav_msgs.msg import OccupancyGrid
from rclpy.context import Context
from visualization_msgs.msg import Marker

from occ_core import KITTI_GRID, Calibration, Occupancy
from occ_node.dds import free_domain
from occ_node.outputs import LATCHED, OUTPUTS, Frame
from occ_node.parameters import Settings
from occ_node.publishers import Publishers

from . import scene
from .live import Client, wait_for

LABELS = np.zeros(KITTI_GRID.shape, np.uint8)
LABELS[60, 120:130, 10] = 13
SECOND = 1_000_000_000


def frame(second: int) -> Frame:
    header, occupancy = scene.header(second * SECOND, "velo_link"), Occupancy(LABELS, LABELS, KITTI_GRID)
    return Frame(header, "camera", None, Calibration.without_camera(np.eye(4)), occupancy)


@pytest.fixture
def domain():
    return free_domain()


@pytest.fixture
def times() -> list[float]:
    """The node's clock shows these, one for each frame, then 0."""
    return []


@pytest.fixture
def publishers(domain, times):
    context = Context()
    rclpy.init(context=context, domain_id=domain)
    node = rclpy.create_node("occ_node", context=context)
    chosen = [output for output in OUTPUTS if output.name in ("voxels", "markers", "grid")]
    yield Publishers(node, chosen, Settings(), lambda: times.pop(0) if times else 0.0)
    node.destroy_node()
    context.try_shutdown()


@pytest.fixture
def client(domain, publishers):
    client = Client(domain, outputs=["voxels", "markers"], with_cloud=False)
    yield client
    client.close()


def seconds(messages) -> list[int]:
    return [message.header.stamp.sec for message in messages]


def late_maps(client) -> list:
    """What a subscriber to the latched map gets from now on."""
    maps = []
    client.node.create_subscription(OccupancyGrid, "/occ_node/grid", maps.append, LATCHED)
    return maps


def test_a_late_subscriber_gets_the_newest_answered_frame(publishers, client):
    wait_for(publishers.wanted, "a subscriber")
    for second in (1, 2, 3):
        publishers.publish(frame(second))
    maps = late_maps(client)
    wait_for(lambda: maps, "a map")
    assert seconds(maps) == [3]


def test_after_frames_that_nobody_wanted_a_late_subscriber_gets_no_old_map(publishers, client):
    publishers.publish(frame(1))
    publishers.idle()
    publishers.idle()
    maps = late_maps(client)

    def published():
        publishers.publish(frame(20))
        return maps

    wait_for(published, "a map", pause=0.1)
    assert set(seconds(maps)) == {20}


def test_the_last_map_stays_while_no_newer_frame_comes(publishers, client):
    publishers.publish(frame(1))
    maps = late_maps(client)
    assert seconds(wait_for(lambda: maps, "a map")) == [1]


def test_markers_end_by_themselves_and_are_cleared_at_deactivation(domain, client, publishers):
    received = client.received["markers"]

    def published():
        publishers.publish(frame(1))
        return received

    wait_for(published, "markers", pause=0.1)
    cubes = received[-1].markers[1]
    assert 1 <= cubes.lifetime.sec < 60
    publishers.destroy()
    wait_for(lambda: len(received[-1].markers) == 1, "the clearing message")
    assert received[-1].markers[0].action == Marker.DELETEALL


@pytest.mark.parametrize(("at", "lifetime"), [((0,), 1), ((0, 0.1), 1), ((0, 2, 4, 6), 10), ((0, 2, 4, 94, 96), 10)])
def test_the_lifetime_is_five_periods_and_a_pause_does_not_count(publishers, client, times, at, lifetime):
    received = client.received["markers"]
    wait_for(publishers.wanted, "a subscriber")
    wait_for(lambda: client.node.count_publishers("/occ_node/markers"), "the publisher")
    times += at
    for second in range(len(at)):
        publishers.publish(frame(second))
    wait_for(lambda: received and received[-1].markers[0].header.stamp.sec == len(at) - 1, "the last markers")
    assert received[-1].markers[1].lifetime.sec == lifetime
