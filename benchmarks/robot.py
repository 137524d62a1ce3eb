"""A small robot, and the node as a process of its own with the fake network: for what disturbs the node on purpose."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2, PointField
from std_msgs.msg import Header

from occ_node.cdr import byte_array
from occ_node.topics import CAMERA_INFO, DIAGNOSTICS, IMAGE, POINTS, VOXELS

WIDTH, HEIGHT = 96, 32
CALIBRATION = "P2: 60 0 48 0 0 60 16 0 0 0 1 0\nTr: 0 -1 0 0 0 0 -1 -0.1 1 0 0 -0.3\n"
K = (60.0, 0.0, 48.0, 0.0, 60.0, 16.0, 0.0, 0.0, 1.0)
NODE = "/occ_node"
PATIENCE = 120.0
"""Seconds to wait for anything at most."""


def wait_for(condition: Callable[[], Any], what: str, timeout: float = PATIENCE) -> Any:
    """The condition's value as soon as it is true. Raises RuntimeError."""
    end = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > end:
            raise RuntimeError(f"{timeout:g} s without {what}")
        time.sleep(0.005)
    return value


def header(stamp: int, frame: str) -> Header:
    """stamp : nanoseconds"""
    return Header(stamp=Time(sec=stamp // 10**9, nanosec=stamp % 10**9), frame_id=frame)


def image(stamp: int) -> Image:
    """A camera's image."""
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    return Image(
        header=header(stamp, "camera"), height=HEIGHT, width=WIDTH, encoding="rgb8", step=3 * WIDTH,
        data=byte_array(pixels),
    )  # fmt: skip


def camera_info(stamp: int) -> CameraInfo:
    """Its intrinsics."""
    P = [*K[:3], 0.0, *K[3:6], 0.0, *K[6:], 0.0]
    return CameraInfo(header=header(stamp, "camera"), height=HEIGHT, width=WIDTH, k=K, p=P)


def cloud(stamp: int) -> PointCloud2:
    """A wall 12 m ahead."""
    y, z = np.meshgrid(np.arange(-4, 4, 0.1), np.arange(-1.5, 2, 0.1))
    points = np.stack([np.full(y.size, 12.1), y.ravel(), z.ravel(), np.full(y.size, 0.5)], 1).astype(np.float32)
    fields = [
        PointField(name=name, offset=4 * n, datatype=PointField.FLOAT32, count=1)
        for n, name in enumerate(("x", "y", "z", "intensity"))
    ]
    return PointCloud2(
        header=header(stamp, "velo_link"), height=1, width=len(points), fields=fields, point_step=16,
        row_step=16 * len(points), data=byte_array(points), is_dense=True,
    )  # fmt: skip


class Robot:
    """Publishes frames and keeps what the node says, by a thread of its own."""

    def __init__(self, domain: int, compressed: bool = False):
        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain)
        self.node = rclpy.create_node("occ_benchmark_robot", context=self._context)
        self.publishers = {
            IMAGE: self.node.create_publisher(CompressedImage if compressed else Image, IMAGE, 10),
            POINTS: self.node.create_publisher(PointCloud2, POINTS, 10),
            CAMERA_INFO: self.node.create_publisher(CameraInfo, CAMERA_INFO, 10),
        }
        self.answered: dict[int, float] = {}
        """Stamp of a frame -> time.monotonic() of its voxels."""
        self.values: dict[str, str] = {}
        """Of the newest diagnostics."""
        self.node.create_subscription(PointCloud2, f"{NODE}/{VOXELS.name}", self._on_voxels, 10)
        self.node.create_subscription(DiagnosticArray, DIAGNOSTICS, self._on_diagnostics, 10)
        self._stamp = 10**12
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Leave the domain."""
        self._context.try_shutdown()
        self._thread.join(PATIENCE)
        self.node.destroy_node()

    def next_stamp(self) -> int:
        """A frame's period after the last one."""
        self._stamp += 100_000_000
        return self._stamp

    def connected(self) -> bool:
        """Whether somebody subscribes to all three inputs."""
        return all(publisher.get_subscription_count() for publisher in self.publishers.values())

    def send(self, messages: dict[str, Any]) -> None:
        """Messages by input, published in this order."""
        for name, message in messages.items():
            self.publishers[name].publish(message)

    def good_frame(self) -> tuple[int, dict[str, Any]]:
        """(stamp, messages by input) of the next frame."""
        stamp = self.next_stamp()
        return stamp, {CAMERA_INFO: camera_info(stamp), IMAGE: image(stamp), POINTS: cloud(stamp)}

    def seconds_to_an_answer(self, frame: Callable | None = None, timeout: float = PATIENCE) -> float:
        """Send good frames at 10 Hz until one of them is answered: seconds from the first one."""
        start, sent = time.monotonic(), []
        while time.monotonic() < start + timeout:
            stamp, messages = (frame or self.good_frame)()
            sent.append(stamp)
            self.send(messages)
            until = time.monotonic() + 0.1
            while time.monotonic() < until:
                if times := [self.answered[stamp] for stamp in sent if stamp in self.answered]:
                    return times[0] - start
                time.sleep(0.002)
        raise RuntimeError(f"no answer within {timeout:g} s; diagnostics: {self.values}")

    def counter(self, name: str) -> int:
        """A number of the newest diagnostics."""
        return int(self.values.get(name, 0))

    def _on_voxels(self, message: PointCloud2) -> None:
        stamp = message.header.stamp
        self.answered[stamp.sec * 10**9 + stamp.nanosec] = time.monotonic()

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self.values = {entry.key: entry.value for entry in message.status[0].values}

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except Exception:
            if self._context.ok():
                raise


class NodeProcess:
    """`python -m occ_node.node` with parameters; its output goes to a file."""

    def __init__(self, folder: Path, domain: int, **parameters):
        calibration = folder / "calib.txt"
        calibration.write_text(CALIBRATION)
        self.log_file = folder / f"node_{domain}.log"
        rules = {"calibration_file": calibration, **parameters}
        command = [sys.executable, "-m", "occ_node.node", "--ros-args"]
        command += [item for name, value in rules.items() for item in ("-p", f"{name}:={value}")]
        with self.log_file.open("wb") as stream:
            self.process = subprocess.Popen(
                command, stdout=stream, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                env=os.environ | {"ROS_DOMAIN_ID": str(domain), "PYTHONUNBUFFERED": "1"},
                cwd=Path(__file__).parents[1], start_new_session=True,
            )  # fmt: skip

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process.poll() is None

    def log(self) -> str:
        """All that it printed."""
        return self.log_file.read_text(errors="replace")

    def wait_until_ready(self) -> "NodeProcess":
        """Raises RuntimeError with its log where it ends instead."""
        wait_for(lambda: "ready after" in self.log() or not self.alive, "a ready node")
        if not self.alive:
            raise RuntimeError(f"the node ended with code {self.process.returncode}:\n{self.log()[-2000:]}")
        return self

    def stop(self, number: int = signal.SIGINT, patience: float = 30.0) -> int:
        """End it with a signal, SIGKILL after that; its exit code."""
        self.process.send_signal(number)
        try:
            return self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


@contextmanager
def running(folder: Path, domain: int, **parameters) -> Iterator[NodeProcess]:
    """A ready node, ended at the end."""
    node = NodeProcess(folder, domain, **parameters)
    try:
        yield node.wait_until_ready()
    finally:
        if node.alive:
            node.stop()


def resident_megabytes(pid: int) -> float:
    """Resident set of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} has no resident memory")


NOT_A_FRAME = (
    "no_partner.points",
    "stale.points",
    "clock_jumped_back",
    "malformed.camera_info",
    "malformed.tf",
    "callback",
)
"""Drops of messages that are no frame: a frame begins with an image."""


def frame_drops(values: dict[str, str]) -> dict[str, int]:
    """Reason -> frames that were received and not answered, from diagnostics; "idle" is one of them."""
    dropped = {key.removeprefix("dropped."): int(value) for key, value in values.items() if key.startswith("dropped.")}
    reasons = {reason: number for reason, number in dropped.items() if reason not in NOT_A_FRAME}
    return reasons | {"idle": int(values.get("idle", 0))}


def unaccounted(values: dict[str, str]) -> int:
    """Frames offered less frames answered and dropped, from diagnostics: those still in the node, 0 when it rests.

    Offered are the images, and the clouds that were used alone.
    """
    offered = int(values["received.image"]) + int(values.get("alone.points", 0))
    return offered - int(values["published"]) - sum(frame_drops(values).values())
