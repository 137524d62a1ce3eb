"""`occ-node play` as others hear it: pace, order, loops, /clock, names."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from itertools import pairwise

import pytest

rclpy = pytest.importorskip("rclpy", reason="rclpy is not installed")
# ruff: noqa: E402

from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, PointCloud2

from occ_cli.node import main
from occ_data.bags import EPOCH_NS

POINTS, INFO = "/kitti/velo/pointcloud", "/kitti/camera_color_left/camera_info"
PERIOD = 100_000_000


class Listener:
    """Stamps by topic, with the time of their arrival."""

    def __init__(self, domain: int, topics: dict):
        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=domain)
        self._node = rclpy.create_node("listener", context=self._context)
        self.heard = {topic: [] for topic in topics}
        for topic, kind in topics.items():
            self._node.create_subscription(kind, topic, self._keep(topic), 100)
        executor = SingleThreadedExecutor(context=self._context)
        executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, args=(executor,), daemon=True)
        self._thread.start()

    def _spin(self, executor):
        with suppress(ExternalShutdownException):
            executor.spin()

    def _keep(self, topic):
        def keep(message):
            stamp = message.clock if hasattr(message, "clock") else message.header.stamp
            self.heard[topic].append((stamp.sec * 10**9 + stamp.nanosec, time.monotonic()))

        return keep

    def stamps(self, topic: str) -> list[int]:
        return [stamp - EPOCH_NS for stamp, _ in self.heard[topic]]

    def close(self):
        self._context.try_shutdown()
        self._thread.join(5)


@pytest.fixture
def listen(request):
    """Start a listener on a domain of its own; (listener, environment for players)."""
    from occ_node.dds import use_loopback_profile

    listeners = []

    def start(topics):
        use_loopback_profile()
        domain = 2 + (os.getpid() + len(listeners) + 7 * hash(request.node.name)) % 99
        listeners.append(Listener(domain, topics))
        return listeners[0], os.environ | {"ROS_DOMAIN_ID": str(domain)}

    yield start
    for listener in listeners:
        listener.close()


def play(environment, *arguments) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "occ_cli.node", "play", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def wait_for(condition):
    end = time.monotonic() + 10
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)


def test_loops_repeat_the_stamps_at_the_given_rate(listen, bag):
    listener, environment = listen({POINTS: PointCloud2})
    done = play(environment, bag, "--loop", "2", "--rate", "4", "--topics", POINTS, "--need", POINTS, "--wait", "20")
    assert done.returncode == 0, done.stderr
    wait_for(lambda: len(listener.heard[POINTS]) == 30)
    assert listener.stamps(POINTS) == [n * PERIOD for n in range(15)] * 2
    arrived = [moment for _, moment in listener.heard[POINTS]]
    assert arrived[-1] - arrived[0] == pytest.approx(29 * 0.1 / 4, abs=0.15)


def test_clock_follows_the_stamps(listen, bag):
    listener, environment = listen({"/clock": Clock, INFO: CameraInfo})
    done = play(environment, bag, "--clock", "--rate", "2", "--topics", INFO, "--need", INFO, "--wait", "20")
    assert done.returncode == 0, done.stderr
    wait_for(lambda: len(listener.heard[INFO]) == 15)
    ticks = listener.stamps("/clock")
    assert len(ticks) > 40
    assert ticks == sorted(ticks)
    assert ticks[-1] == 14 * PERIOD


def test_remap_publishes_under_another_name_and_the_log_tells_when(listen, bag, tmp_path):
    listener, environment = listen({"/lidar": PointCloud2})
    log = tmp_path / "played.jsonl"
    options = ["--remap", f"{POINTS}:=/lidar", "--topics", POINTS, "--need", POINTS, "--rate", "5", "--log", log]
    done = play(environment, bag, *options, "--wait", "20")
    assert done.returncode == 0, done.stderr
    wait_for(lambda: len(listener.heard["/lidar"]) == 15)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["event"] for line in lines] == ["start", *["message"] * 15, "end"]
    messages = lines[1:-1]
    assert [line["stamp"] - EPOCH_NS for line in messages] == [n * PERIOD for n in range(15)]
    steps = [b["scheduled"] - a["scheduled"] for a, b in pairwise(messages)]
    assert steps == pytest.approx([0.02] * 14, abs=1e-6)
    assert all(line["published"] >= line["scheduled"] for line in messages)


def test_a_needed_topic_that_nobody_hears_is_an_error(bag, capsys):
    assert main(["play", str(bag), "--loopback", "--need", POINTS, "--wait", "0.3"]) == 1
    assert f"nobody subscribed to {POINTS} within 0.3 s" in capsys.readouterr().err


def test_what_is_not_installed_is_left_out_with_a_word(listen, bag):
    _, environment = listen({POINTS: PointCloud2})
    done = play(environment, bag, "--rate", "20", "--wait", "20")
    assert done.returncode == 0
    if "tf2_msgs" not in sys.modules:
        try:
            import tf2_msgs.msg  # noqa: F401
        except ImportError:
            assert "/tf_static is left out: tf2_msgs/msg/TFMessage is not installed here" in done.stderr


def test_ctrl_c_ends_an_endless_loop(listen, bag, tmp_path):
    _, environment = listen({POINTS: PointCloud2})
    log = tmp_path / "log"
    command = [sys.executable, "-m", "occ_cli.node", "play", str(bag), "--loop", "0", "--log", str(log)]
    player = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    try:
        wait_for(lambda: log.exists() and POINTS in log.read_text())
        player.send_signal(signal.SIGINT)
        assert player.wait(20) == 130
    finally:
        player.kill()
    assert b"Traceback" not in player.stderr.read()
