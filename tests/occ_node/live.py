"""A node in its own process, and a client that talks to it over DDS.

Time limits are generous: they end a test that hangs, on a machine that is busy with other work too.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from occ_node import outputs
from occ_node.dds import free_domain
from occ_node.topics import CAMERA_INFO, DIAGNOSTICS, IMAGE, POINTS

from . import scene

OUTPUTS = {output.name: output.message for output in outputs.OUTPUTS}
PATIENCE = 120.0
"""Seconds to wait for anything."""


def wait_for(condition, what: str, timeout: float = PATIENCE, pause: float = 0.01):
    """The condition's value as soon as it is true."""
    end = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < end, f"{timeout:g} s without {what}"
        time.sleep(pause)
    return value


class NodeProcess:
    """`python -m occ_node.node` with parameters."""

    module = "occ_node.node"

    def __init__(self, folder: Path, **parameters):
        self.domain = free_domain()
        self._log = folder / f"node_{self.domain}.log"
        rules = [item for name, value in parameters.items() for item in ("-p", f"{name}:={value}")]
        environment = os.environ | {"ROS_DOMAIN_ID": str(self.domain), "PYTHONUNBUFFERED": "1"}
        with self._log.open("wb") as stream:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self.module, "--ros-args", *rules],
                stdout=stream, stderr=subprocess.STDOUT, env=environment, cwd=Path(__file__).parents[2],
            )  # fmt: skip

    @property
    def pid(self) -> int:
        return self._process.pid

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def wait_until_ready(self) -> "NodeProcess":
        wait_for(lambda: "ready after" in self.log() or self._process.poll() is not None, "a ready node")
        assert self._process.poll() is None, self.log()
        return self

    def wait_until_exit(self) -> int:
        return self._process.wait(PATIENCE)

    def alive(self) -> bool:
        return self._process.poll() is None

    def signal(self, number: int, times: int = 1) -> int:
        """Send it and return the exit code."""
        for _ in range(times):
            self.send_signal(number)
        return self.wait_until_exit()

    def send_signal(self, number: int) -> None:
        self._process.send_signal(number)

    def stop(self) -> None:
        if self.alive():
            self.signal(signal.SIGTERM)


class Client:
    """Sends frames, keeps the answers by topic."""

    def __init__(self, domain: int, outputs=tuple(OUTPUTS), image_type=Image, with_cloud: bool = True):
        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain)
        self.node = rclpy.create_node("client", context=self._context)
        self.received = defaultdict(list)
        self.image = self.node.create_publisher(image_type, IMAGE, 5)
        self.points = self.node.create_publisher(PointCloud2, POINTS, 5) if with_cloud else None
        self.camera_info = self.node.create_publisher(CameraInfo, CAMERA_INFO, 5)
        for name in outputs:
            self.node.create_subscription(OUTPUTS[name], f"/occ_node/{name}", self.received[name].append, 5)
        self.node.create_subscription(DiagnosticArray, DIAGNOSTICS, self._on_diagnostics, 5)
        self.status, self.values = None, {}
        self._now = 1_000_000_000_000
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._context.try_shutdown()
        self._thread.join(PATIENCE)
        self.node.destroy_node()

    def wait_until_connected(self) -> "Client":
        publishers = [p for p in (self.image, self.points, self.camera_info) if p is not None]
        wait_for(lambda: all(p.get_subscription_count() for p in publishers), "subscriptions of the node")
        return self

    def next_stamp(self) -> int:
        self._now += 100_000_000
        return self._now

    def rewind(self, seconds: float) -> None:
        self._now -= round(seconds * 1e9)

    def send(self, image=None, points=None) -> None:
        """In this order; each has its own stamp."""
        for publisher, message in ((self.image, image), (self.points, points)):
            if message is not None:
                publisher.publish(message)

    def send_until(self, send, condition, what: str):
        """Call `send` again and again until the condition is true: a busy machine may lose best-effort messages."""
        end = time.monotonic() + PATIENCE
        while True:
            send()
            until = time.monotonic() + 1.0
            while time.monotonic() < until:
                if value := condition():
                    return value
                time.sleep(0.01)
            assert time.monotonic() < end, f"{PATIENCE:g} s without {what}"

    def answered(self, topic: str = "voxels", timeout: float = PATIENCE):
        """Send good frames, each with a new stamp, until one of them is answered; (stamp, message)."""
        sent, end = {}, time.monotonic() + timeout
        while time.monotonic() < end:
            stamp = self.next_stamp()
            self.camera_info.publish(scene.camera_info(stamp))
            self.send(scene.image(stamp), None if self.points is None else scene.cloud(stamp))
            sent[stamp // 10**9, stamp % 10**9] = stamp
            until = time.monotonic() + 0.5
            while time.monotonic() < until:
                for message in self.received[topic]:
                    key = (message.header.stamp.sec, message.header.stamp.nanosec)
                    if key in sent:
                        return sent[key], message
                time.sleep(0.005)
        raise AssertionError(f"no frame was answered on {topic}; diagnostics: {self.values}")

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self.status = message.status[0]
        self.values = {entry.key: entry.value for entry in self.status.values}

    def counter(self, key: str) -> int:
        """A number of the newest diagnostics, 0 before the first."""
        return int(self.values.get(key, 0))

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except Exception:
            if self._context.ok():
                raise
