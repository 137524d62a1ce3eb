"""The recorder as a process, on a disk that becomes full."""

import contextlib
import functools
import json
import os
import resource
import subprocess
import sys

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.context import Context
from rosbags.rosbag2 import Reader

from occ_node.dds import free_domain
from occ_node.recorder import write_mcap
from occ_node.topics import DIAGNOSTICS, RECORDED, VOXELS, message_class

from .live import PATIENCE, wait_for
from .scene import cloud

LIMIT = 2_000_000
"""Bytes that a file may have: to the recorder the same as a disk of that size."""


class Robot:
    """Publishes what the recorder records."""

    def __init__(self, domain: int):
        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain)
        self._node = rclpy.create_node("occ_node", context=self._context)
        self.publishers = {
            topic.name: self._node.create_publisher(message_class(topic.type), f"~/{topic.name}", 10)
            for topic in RECORDED
        }
        self._diagnostics = self._node.create_publisher(DiagnosticArray, DIAGNOSTICS, 10)

    def close(self) -> None:
        self._node.destroy_node()
        self._context.try_shutdown()


@pytest.fixture
def domain() -> int:
    return free_domain()


@pytest.fixture
def robot(domain):
    robot = Robot(domain)
    yield robot
    robot.close()


@contextlib.contextmanager
def files_limited_to(size: int):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def start(domain, output, arrivals, limit=None) -> subprocess.Popen:
    limited = functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE, (limit, limit)) if limit else None
    command = [sys.executable, "-m", "occ_node.recorder", str(output), "--arrivals", str(arrivals)]
    return subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, preexec_fn=limited, env=os.environ | {"ROS_DOMAIN_ID": str(domain)}
    )


def matched(arrivals) -> bool:
    return arrivals.exists() and "matched" in arrivals.read_text()


def messages(output) -> list[bytes]:
    with Reader(output) as reader:
        return [bytes(data) for _, _, data in reader.messages()]


def test_a_full_disk_ends_the_recording_and_keeps_the_whole_messages(robot, domain, tmp_path):
    output, arrivals = tmp_path / "outputs.mcap", tmp_path / "arrivals.jsonl"
    recorder = start(domain, output, arrivals, LIMIT)
    try:
        wait_for(lambda: matched(arrivals) or recorder.poll() is not None, "publishers")
        message, sent = cloud(10**9), 0

        def publish_until_it_ends():
            nonlocal sent
            sent += 1
            robot.publishers[VOXELS.name].publish(message)
            return recorder.poll() is not None

        wait_for(publish_until_it_ends, "the end of the recorder")
        error = recorder.communicate(timeout=PATIENCE)[1]
    finally:
        recorder.kill()
    assert recorder.returncode == 1
    stored = [json.loads(line) for line in arrivals.read_text().splitlines() if '"message"' in line]
    kept = messages(output)
    assert "File too large" in error.splitlines()[-1] and f"holds the first {len(kept)} messages" in error
    assert 0 < len(kept) <= len(stored) <= LIMIT // stored[0]["size"]
    assert {len(data) for data in kept} == {stored[0]["size"]}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["arrivals.jsonl", "outputs.mcap"]


def test_the_end_of_a_recording_makes_room_for_its_beginning(tmp_path):
    data = [os.urandom(50_000) for _ in range(40)]
    spool, arrivals, output = tmp_path / "spool", tmp_path / "arrivals.jsonl", tmp_path / "outputs.mcap"
    spool.write_bytes(b"".join(data))
    lines = [
        {
            "event": "message",
            "mono": n,
            "output": VOXELS.name,
            "stamp": n,
            "source": n,
            "size": 50_000,
            "at": 50_000 * n,
        }
        for n in range(40)
    ]
    cut_short = '{"event": "mess'
    arrivals.write_text("".join(json.dumps(line) + "\n" for line in lines) + cut_short)
    with files_limited_to(1_000_000):
        kept = write_mcap(output, "/occ_node", arrivals, spool)
    assert 10 < kept < 20
    assert messages(output) == data[:kept]
    assert spool.stat().st_size == 50_000 * kept
    with files_limited_to(1000), pytest.raises(OSError, match="File too large"):
        write_mcap(output, "/occ_node", arrivals, spool)
    assert messages(output) == data[:kept], "the file that was there stays"
