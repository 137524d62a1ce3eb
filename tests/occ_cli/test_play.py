"""`occ-node play` as subscribers see it: times, order, loops, /clock, names."""

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
PATIENCE = 120
"""Seconds to wait for anything: on a busy machine everything takes longer."""


class Listener:
    """The stamps received, by topic."""

    def __init__(self, domain: int, topics: dict):
        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=domain)
        self._node = rclpy.create_node("listener", context=self._context)
        self.received = {topic: [] for topic in topics}
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
            self.received[topic].append(stamp.sec * 10**9 + stamp.nanosec)

        return keep

    def stamps(self, topic: str) -> list[int]:
        return [stamp - EPOCH_NS for stamp in self.received[topic]]

    def close(self):
        self._context.try_shutdown()
        self._thread.join(PATIENCE)


@pytest.fixture
def listen():
    """Start a listener on its own domain; (listener, environment for players)."""
    from occ_node.dds import free_domain, use_loopback_profile

    listeners = []

    def start(topics):
        use_loopback_profile()
        domain = free_domain()
        listeners.append(Listener(domain, topics))
        return listeners[-1], os.environ | {"ROS_DOMAIN_ID": str(domain)}

    yield start
    for listener in listeners:
        listener.close()


def play(environment, *arguments) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "occ_cli.node", "play", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE)


def wait_for(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def published(log) -> list[dict]:
    """The lines of a player's log, one for each message."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return [line for line in lines if line["event"] == "message"]


def test_loops_repeat_the_stamps_at_the_given_rate(listen, bag, tmp_path):
    listener, environment = listen({POINTS: PointCloud2})
    options = ["--loop", "2", "--rate", "2", "--topics", POINTS, "--need", POINTS, "--log", tmp_path / "log"]
    done = play(environment, bag, *options, "--wait", PATIENCE)
    assert done.returncode == 0, done.stderr
    wait_for(lambda: len(listener.received[POINTS]) == 30)
    assert listener.stamps(POINTS) == [n * PERIOD for n in range(15)] * 2
    messages = published(tmp_path / "log")
    assert messages[-1]["scheduled"] - messages[0]["scheduled"] == pytest.approx(29 * 0.1 / 2, abs=1e-6)
    assert all(message["published"] >= message["scheduled"] for message in messages)


def test_clock_follows_the_stamps(listen, bag):
    listener, environment = listen({"/clock": Clock, INFO: CameraInfo})
    options = ["--clock", "--rate", "2", "--topics", INFO, "--need", INFO, "--wait", PATIENCE]
    done = play(environment, bag, *options)
    assert done.returncode == 0, done.stderr
    wait_for(lambda: len(listener.received[INFO]) == 15 and 14 * PERIOD in listener.stamps("/clock"))
    ticks = listener.stamps("/clock")
    assert len(ticks) > 15 and set(ticks) - {n * PERIOD for n in range(15)}  # between the messages too
    assert ticks == sorted(ticks)
    assert ticks[-1] == 14 * PERIOD


def test_remap_publishes_under_another_name_and_the_log_says_when(listen, bag, tmp_path):
    listener, environment = listen({"/lidar": PointCloud2})
    log = tmp_path / "played.jsonl"
    options = ["--remap", f"{POINTS}:=/lidar", "--topics", POINTS, "--need", POINTS, "--rate", "5", "--log", log]
    done = play(environment, bag, *options, "--wait", PATIENCE)
    assert done.returncode == 0, done.stderr
    wait_for(lambda: len(listener.received["/lidar"]) == 15)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["event"] for line in lines] == ["start", *["message"] * 15, "end"]
    messages = published(log)
    assert [line["stamp"] - EPOCH_NS for line in messages] == [n * PERIOD for n in range(15)]
    steps = [b["scheduled"] - a["scheduled"] for a, b in pairwise(messages)]
    assert steps == pytest.approx([0.02] * 14, abs=1e-6)
    assert all(line["published"] >= line["scheduled"] for line in messages)


def test_a_needed_topic_without_a_subscriber_is_an_error(bag, capsys, monkeypatch):
    from occ_node.dds import free_domain

    monkeypatch.setenv("ROS_DOMAIN_ID", str(free_domain()))
    assert main(["play", str(bag), "--loopback", "--need", POINTS, "--wait", "0.3"]) == 1
    assert f"nobody subscribed to {POINTS} within 0.3 s" in capsys.readouterr().err


def test_what_is_not_installed_is_left_out_with_a_line_on_stderr(listen, bag):
    _, environment = listen({POINTS: PointCloud2})
    done = play(environment, bag, "--rate", "20", "--wait", PATIENCE)
    assert done.returncode == 0
    if "tf2_msgs" not in sys.modules:
        try:
            import tf2_msgs.msg  # noqa: F401
        except ImportError:
            assert "/tf_static is left out: tf2_msgs/msg/TFMessage is not installed here" in done.stderr


def test_ctrl_c_ends_an_endless_loop_in_silence(listen, bag, tmp_path):
    _, environment = listen({POINTS: PointCloud2})
    log = tmp_path / "log"
    command = [sys.executable, "-m", "occ_cli.node", "play", str(bag), "--loop", "0", "--log", str(log)]
    player = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    try:
        wait_for(lambda: log.exists() and POINTS in log.read_text())
        player.send_signal(signal.SIGINT)
        player.send_signal(signal.SIGINT)  # as a terminal and `ros2 launch` do
        assert player.wait(PATIENCE) == 0
    finally:
        player.kill()
    lines = player.stderr.read().decode().splitlines()
    assert not [line for line in lines if "left out" not in line and not line.startswith("play:")]
