"""A drive whose LiDAR and camera are killed and come back, in turn: `python -m benchmarks.sensor_faults --kills 10`.

The real node process is fed at 10 Hz. Every switch is to take less than a second and to be counted, no frame is
answered twice, stamps increase, the outputs never stop for more than a second, and every message is accounted for.
"""

import argparse
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField
from std_msgs.msg import String

from occ_data.kitti import Sequence
from occ_data.synthetic import generate
from occ_node.cdr import byte_array
from occ_node.dds import free_domain, use_loopback_profile
from occ_node.modes import BOTH, CAMERA, LIDAR
from occ_node.topics import CAMERA_INFO, IMAGE, MODE, POINTS, VOXELS
from occ_runtime import BACKENDS, MONOOCC, OCCLE
from occ_runtime.fake_backend import FakeBackend, write_fake_bundle

from . import robot as small
from .measure import markdown
from .report import keep
from .robot import NODE, NodeProcess, Robot, header, running, unaccounted, wait_for

PERIOD, FRAMES = 0.1, 10
OUT = ON = 1.5
"""Seconds of a sensor's silence, and of both sensors after it."""
KILLS = 10
LIMIT = 1.0
"""Seconds that a switch, and a gap in the outputs, may take."""
REPORTS = 1.0
"""Seconds between two diagnostics."""
TYPES = {CAMERA_INFO: CameraInfo, IMAGE: Image, POINTS: PointCloud2}
SENSORS = {POINTS: CAMERA, IMAGE: LIDAR}
"""The mode without each sensor."""


class Fault(NamedTuple):
    """One silence: `time.monotonic()` of the sensor's last message before it, and of its first one after it."""

    sensor: str
    killed: float
    back: float


@dataclass
class Seen:
    """What the node said: (time.monotonic(), stamp in ns) of voxels, (time.monotonic(), mode) of each mode."""

    voxels: list[tuple[float, int]] = field(default_factory=list)
    modes: list[tuple[float, str]] = field(default_factory=list)


class Feeder:
    """Sends frames at 10 Hz from a thread of its own; a sensor that is killed has no publisher."""

    def __init__(self, robot: Robot, frames: list[dict[str, Any]]):
        """frames : messages by input, again and again"""
        self._robot, self._frames = robot, frames
        self._silent: tuple[str, ...] = ()
        self._sent: dict[str, float] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def fault(self, sensor: str, out: float, on: float) -> Fault:
        """Kill a sensor for `out` seconds, then let both send for `on` seconds."""
        self._silent = (IMAGE, CAMERA_INFO) if sensor == IMAGE else (sensor,)
        time.sleep(out)
        killed = self._sent.pop(sensor)
        self._silent = ()
        wait_for(lambda: sensor in self._sent, f"a subscription to {sensor}")
        back = self._sent[sensor]
        time.sleep(on)
        return Fault(sensor, killed, back)

    def stop(self) -> None:
        """No frame after this."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        start, number = time.monotonic(), 0
        while not self._stopped.wait(max(0.0, start + number * PERIOD - time.monotonic())):
            self._send(self._frames[number % len(self._frames)])
            number += 1

    def _send(self, messages: dict[str, Any]) -> None:
        stamp, publishers, silent = time.time_ns(), self._robot.publishers, self._silent
        for name, message in messages.items():
            if name in silent:
                if name in publishers:
                    self._robot.node.destroy_publisher(publishers.pop(name))
                continue
            if name not in publishers:
                publishers[name] = self._robot.node.create_publisher(TYPES[name], name, 10)
            message.header = header(stamp, message.header.frame_id)
            connected = publishers[name].get_subscription_count() > 0
            publishers[name].publish(message)
            if connected:
                self._sent[name] = time.monotonic()


def measure(kills: int, bundle: str = OCCLE, fallback: str = MONOOCC, backend: str = "auto") -> dict:
    """Each sensor so many times, the two in turn. The backend `fake` gets bundles and a small robot of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder, domain = Path(name), free_domain()
        parameters = {"bundle": bundle, "fallback": fallback, "backend": backend}
        if backend == FakeBackend.name:
            parameters["bundle"] = write_fake_bundle(folder / "both").path
            parameters["fallback"] = write_fake_bundle(folder / "camera", camera_only=True).path
            frames = [_small_frame()]
        else:
            sequence = Sequence(generate(folder, "90", FRAMES, seed=1, voxels_every=0, progress=False))
            parameters["calibration_file"] = sequence.path / "calib.txt"
            frames = [_frame(sequence, frame) for frame in sequence.frames]
        with running(folder, domain, **parameters) as node:
            return {
                "bundle": Path(parameters["bundle"]).name,
                "backend": backend,
                "kills": kills,
                **_drive(node, Robot(domain), frames, kills),
            }


def _drive(node: NodeProcess, robot: Robot, frames: list[dict[str, Any]], kills: int) -> dict:
    seen = _listen(robot)
    wait_for(lambda: seen.modes and robot.connected(), "the node's topics")
    feeder = Feeder(robot, frames)
    try:
        wait_for(lambda: len(seen.voxels) >= FRAMES, "frames of both sensors")
        start = time.monotonic()
        faults = [feeder.fault(sensor, OUT, ON) for _ in range(kills) for sensor in SENSORS]
        end = time.monotonic()
        feeder.stop()
        time.sleep(2 * REPORTS)
        wait_for(lambda: unaccounted(robot.values) == 0, f"an account of all messages; diagnostics: {robot.values}")
        driven = [arrival for arrival in seen.voxels if start <= arrival[0] <= end]
        return summary(driven, seen.modes, faults, robot.values)
    finally:
        feeder.stop()
        robot.close()


def _listen(robot: Robot) -> Seen:
    seen = Seen()

    def on_voxels(message: PointCloud2) -> None:
        stamp = message.header.stamp
        seen.voxels.append((time.monotonic(), stamp.sec * 10**9 + stamp.nanosec))

    def on_mode(message: String) -> None:
        seen.modes.append((time.monotonic(), message.data))

    latched = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    robot.node.create_subscription(PointCloud2, f"{NODE}/{VOXELS.name}", on_voxels, 10)
    robot.node.create_subscription(String, f"{NODE}/{MODE.name}", on_mode, latched)
    return seen


def _small_frame() -> dict[str, Any]:
    return {CAMERA_INFO: small.camera_info(0), IMAGE: small.image(0), POINTS: small.cloud(0)}


def _frame(sequence: Sequence, frame: str) -> dict[str, Any]:
    """A frame of a drive, as its drivers would send it."""
    image, points = sequence.image(frame), sequence.scan(frame)
    (height, width, _), P = image.shape, sequence.calibration.P
    fields = [
        PointField(name=name, offset=4 * n, datatype=PointField.FLOAT32, count=1)
        for n, name in enumerate(("x", "y", "z", "intensity"))
    ]
    return {
        CAMERA_INFO: CameraInfo(
            header=header(0, "camera"), height=height, width=width, k=P[:, :3].ravel().tolist(), p=P.ravel().tolist()
        ),
        IMAGE: Image(
            header=header(0, "camera"), height=height, width=width, encoding="rgb8", step=3 * width,
            data=byte_array(image),
        ),
        POINTS: PointCloud2(
            header=header(0, "velo_link"), height=1, width=len(points), fields=fields, point_step=16,
            row_step=16 * len(points), data=byte_array(points), is_dense=True,
        ),
    }  # fmt: skip


def summary(
    voxels: list[tuple[float, int]], modes: list[tuple[float, str]], faults: list[Fault], values: dict[str, str]
) -> dict:
    """voxels, modes : as in `Seen`; values : of the diagnostics at the end. A switch ends with the first voxels after
    it; one that did not come took infinitely long.
    """
    arrivals, stamps = np.array([at for at, _ in voxels]), np.array([stamp for _, stamp in voxels])

    def seconds(begin: float, mode: str) -> float:
        entered = next((at for at, entered in modes if entered == mode and at > begin), float("inf"))
        return next((at for at in arrivals if at > entered), float("inf")) - begin

    return {
        "out_s": [seconds(fault.killed, SENSORS[fault.sensor]) for fault in faults],
        "back_s": [seconds(fault.back, BOTH) for fault in faults],
        "longest_gap_s": float(np.diff(arrivals).max()),
        "answered": len(voxels),
        "answered_twice": len(stamps) - len(set(stamps.tolist())),
        "stamps_back": int((np.diff(stamps) < 0).sum()),
        "seen_switches": len(modes) - 1,
        "counted_switches": int(values["mode_switches"]),
        "frames": {name.removeprefix("frames."): int(n) for name, n in values.items() if name.startswith("frames.")},
        "fallback": values["fallback"],
    }


def failures(result: dict, limit: float = LIMIT) -> list[str]:
    """What was not as it should be; limit : seconds of a switch and of a gap."""
    found = [
        f"a sensor that {what}: {max(result[name]):.2f} s to the first frame; expected less than {limit:g}"
        for name, what in (("out_s", "fell silent"), ("back_s", "came back"))
        if max(result[name]) >= limit
    ]
    if result["longest_gap_s"] > limit:
        found.append(f"no output for {result['longest_gap_s']:.2f} s; expected {limit:g} at most")
    found += [f"{name}: {result[name]}; expected none" for name in ("answered_twice", "stamps_back") if result[name]]
    if result["seen_switches"] != result["counted_switches"]:
        found.append(f"{result['seen_switches']} switches were seen, {result['counted_switches']} were counted")
    return found


def table(result: dict) -> str:
    """The figures of a run."""
    rows = [
        [what, len(result[name]), f"{np.median(result[name]):.2f}", f"{max(result[name]):.2f}"]
        for name, what in (("out_s", "a sensor fell silent"), ("back_s", "it came back"))
    ]
    frames = ", ".join(f"{name} {number}" for name, number in result["frames"].items())
    lines = [
        markdown(["seconds to the first frame of the next mode", "times", "median", "largest"], rows),
        f"switches: {result['seen_switches']} seen, {result['counted_switches']} counted; frames: {frames}",
        f"longest time without an output: {result['longest_gap_s']:.2f} s",
        f"answered twice: {result['answered_twice']}; stamps that went back: {result['stamps_back']}",
        f"fallback: {result['fallback']}",
    ]
    return "\n\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """1 where something was not as it should be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sensor_faults", description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=KILLS, help="of each sensor (default %(default)s)")
    parser.add_argument("--bundle", default=OCCLE, help="engine bundle, by name or path (default %(default)s)")
    parser.add_argument("--fallback", default=MONOOCC, help="camera-only bundle (default %(default)s)")
    parser.add_argument(
        "--backend", choices=BACKENDS, default="auto", help="fake: no network, to measure the node by itself"
    )
    parser.add_argument("--keep", action="store_true", help="keep the figures in benchmarks/results")
    arguments = parser.parse_args(argv)
    use_loopback_profile()
    try:
        result = measure(arguments.kills, arguments.bundle, arguments.fallback, arguments.backend)
    except RuntimeError as error:
        print(f"benchmarks.sensor_faults: {error}", file=sys.stderr)
        return 1
    print(table(result))
    if arguments.keep:
        print(f"kept in {keep('sensor_faults', result)}")
    for text in (found := failures(result)):
        print(f"benchmarks.sensor_faults: {text}", file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
