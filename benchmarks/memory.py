"""Memory of the running node over 2,000 frames: the real process, fed by the real player at the pace of the drive."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rclpy
import tqdm

from occ_data.bags import write_bag
from occ_data.kitti import Sequence
from occ_data.synthetic import generate
from occ_node.topics import MARKERS, SEMANTIC_GRID, VOXELS, message_class

from .measure import Options, markdown

FRAMES, DRIVE = 2000, 40
TOPICS = {
    "--image": "/kitti/camera_color_left/image_raw",
    "--camera-info": "/kitti/camera_color_left/camera_info",
    "--points": "/kitti/velo/pointcloud",
}
COUNTED = f"/occ_node/{SEMANTIC_GRID.name}"
OUTPUTS = {f"/occ_node/{topic.name}": message_class(topic.type) for topic in (SEMANTIC_GRID, MARKERS, VOXELS)}
COMMAND = [sys.executable, "-m", "occ_cli.node"]


def measure(options: Options) -> dict:
    """Resident memory of the node, sampled every second while frames are answered."""
    os.environ.setdefault("ROS_DOMAIN_ID", "87")
    drive, loops = (10, 2) if options.quick else (DRIVE, -(-FRAMES // DRIVE))
    with tempfile.TemporaryDirectory() as folder:
        print(f"making a drive of {drive} frames, then playing it {loops} times at 10 Hz", flush=True)
        sequence = Sequence(generate(folder, "90", drive, seed=1, voxels_every=0, progress=False))
        bag = Path(folder) / "drive"
        write_bag(sequence, bag)
        topics = [part for pair in TOPICS.items() for part in pair]
        calibration = str(sequence.path / "calib.txt")
        run = [*COMMAND, "run", "--loopback", "--bundle", options.bundle, "--calibration", calibration, *topics]
        options_of_play = ["--loopback", "--loop", str(loops), "--wait", "60", "--need", *TOPICS.values()]
        play = [*COMMAND, "play", str(bag), *options_of_play]
        with _process(run) as node:
            samples = _watch(node, play, drive * loops)
    return {"bundle": options.bundle, "frames_in": drive * loops, **_summary(samples)}


def _watch(node: subprocess.Popen, play: list[str], frames: int) -> list[tuple[int, float]]:
    """(frames answered so far, resident MB), once a second from the first answer until the player has ended."""
    answered, samples = 0, []

    def count(_):
        nonlocal answered
        answered += 1

    rclpy.init(args=[])
    try:
        watcher = rclpy.create_node("occ_benchmark_memory")
        # Every output is listened to, so that every output is made.
        for topic, kind in OUTPUTS.items():
            watcher.create_subscription(kind, topic, count if topic == COUNTED else lambda _: None, 10, raw=True)
        deadline = time.monotonic() + 60
        while not all(watcher.count_publishers(topic) for topic in OUTPUTS):
            if node.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the node did not start (exit code {node.poll()})")
            rclpy.spin_once(watcher, timeout_sec=0.1)
        with (
            _process(play) as player,
            tqdm.tqdm(total=frames, desc="node under watch", unit="frame", leave=False) as bar,
        ):
            due = time.monotonic()
            while player.poll() is None:
                if node.poll() is not None:
                    raise RuntimeError(f"the node ended with code {node.returncode} after {answered} frames")
                rclpy.spin_once(watcher, timeout_sec=0.2)
                if time.monotonic() >= due and answered:
                    samples.append((answered, resident_megabytes(node.pid)))
                    due = time.monotonic() + 1
                bar.update(answered - bar.n)
        watcher.destroy_node()
    finally:
        rclpy.try_shutdown()
    if player.returncode:
        raise RuntimeError(f"the player ended with code {player.returncode}")
    if len(samples) < 2:
        raise RuntimeError("the node answered no frame")
    return samples


def _summary(samples: list[tuple[int, float]]) -> dict:
    """The slope leaves out the first tenth, where caches fill."""
    frames, megabytes = np.array(samples).T
    settled = frames >= 0.1 * frames[-1]
    slope = np.polyfit(frames[settled], megabytes[settled], 1)[0] if settled.sum() > 2 else 0.0
    return {
        "frames_answered": int(frames[-1]),
        "first_mb": float(megabytes[0]),
        "last_mb": float(megabytes[-1]),
        "peak_mb": float(megabytes.max()),
        "slope_mb_per_1000_frames": float(1000 * slope),
        "samples": len(samples),
    }


def resident_megabytes(pid: int) -> float:
    """Resident set of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} has no resident memory")


@contextmanager
def _process(command: list[str]) -> Iterator[subprocess.Popen]:
    """A process that is ended as Ctrl-C ends it."""
    process = subprocess.Popen(command)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def tables(result: dict) -> dict[str, str]:
    """For docs/results.md."""
    row = [
        f"{result['frames_answered']} of {result['frames_in']} frames answered",
        f"{result['peak_mb']:.0f}",
        f"{result['first_mb']:.0f}",
        f"{result['last_mb']:.0f}",
        f"{result['slope_mb_per_1000_frames']:+.1f}",
    ]
    header = ["resident memory of the node, MB", "peak", "at the first frame", "at the last", "per 1,000 frames"]
    return {"memory": markdown(header, [row])}
