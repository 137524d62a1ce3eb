"""The node for an hour: the real process, fed by the real player at 10 Hz. `python -m benchmarks.soak --minutes 60`

Watched are the node's resident memory, the time from each cloud's publication to its voxels, and that every frame is
accounted for: offered = answered + the reasons of the others.
"""

import argparse
import bisect
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import rclpy
import tqdm
from diagnostic_msgs.msg import DiagnosticArray

from occ_cli.processes import JsonLines
from occ_data.bags import write_bag
from occ_data.bags.writer import WORLD_FRAME
from occ_data.kitti import Sequence
from occ_data.synthetic import generate
from occ_node.dds import free_domain, use_loopback_profile
from occ_node.recorder import header_stamp
from occ_node.topics import DIAGNOSTICS, GRID, MAP, MARKERS, OBSTACLES, SEMANTIC_GRID, VOXELS, Topic, message_class
from occ_runtime import OCCLE

from .measure import Options, markdown, milliseconds
from .report import publish
from .robot import frame_drops, resident_megabytes, unaccounted

RATE, DRIVE = 10, 40
MINUTES = 60.0
GROWTH_MB, SLOWER = 1.0, 0.10
"""What a run of ten minutes or more is judged by: growth per 1,000 frames; p95 of the last quarter over the first."""
IMAGE_TOPIC, POINTS_TOPIC = "/kitti/camera_color_left/image_raw", "/kitti/velo/pointcloud"
TOPICS = {
    "--image": IMAGE_TOPIC,
    "--camera-info": "/kitti/camera_color_left/camera_info",
    "--points": POINTS_TOPIC,
}
OUTPUTS = (SEMANTIC_GRID, MARKERS, VOXELS)
FOR_NAV2 = (OBSTACLES, GRID, MAP)
COMMAND = [sys.executable, "-m", "occ_cli.node"]


@dataclass
class Watch:
    """What was seen of the node.

    arrivals : (time.monotonic(), stamp in ns) of voxels; samples : (time.monotonic(), resident MB), once a second
    reports : (time.monotonic(), values) of the newest diagnostics
    """

    arrivals: list[tuple[float, int]] = field(default_factory=list)
    samples: list[tuple[float, float]] = field(default_factory=list)
    report: tuple[float, dict[str, str]] = (0.0, {})


def measure(options: Options, minutes: float = MINUTES, for_nav2: bool = False) -> dict:
    """One run of so many minutes; 12 s with `options.quick`. for_nav2 : with FOR_NAV2 and the rolling map."""
    os.environ["ROS_DOMAIN_ID"] = str(free_domain())
    minutes = 0.2 if options.quick else minutes
    drive = min(DRIVE, round(minutes * 60 * RATE))
    loops = -(-round(minutes * 60 * RATE) // drive)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"making a drive of {drive} frames, then playing it {loops} times at {RATE} Hz", flush=True)
        sequence = Sequence(generate(folder, "90", drive, seed=1, voxels_every=0, progress=False))
        write_bag(sequence, folder / "drive")
        topics = [part for pair in TOPICS.items() for part in pair]
        calibration = str(sequence.path / "calib.txt")
        run = [*COMMAND, "run", "--loopback", "--bundle", options.bundle, "--calibration", calibration, *topics]
        if for_nav2:
            run += ["--param", f"map_frame:={WORLD_FRAME}"]
        played = JsonLines(folder / "played.jsonl")
        play = [*COMMAND, "play", str(folder / "drive"), "--loopback", "--loop", str(loops), "--wait", "60"]
        play += ["--log", str(played.path), "--need", *TOPICS.values()]
        with _process(run, folder / "node.log") as node:
            watch = _watch(node, play, drive * loops, folder, (*OUTPUTS, *FOR_NAV2) if for_nav2 else OUTPUTS)
        played.update()
    return {"bundle": options.bundle, "minutes": minutes, **summary(watch, played.lines)}


def _watch(node: subprocess.Popen, play: list[str], frames: int, folder: Path, outputs: tuple[Topic, ...]) -> Watch:
    """Until the player has ended and the node has accounted for every frame."""
    watch = Watch()

    def on_voxels(cdr: bytes) -> None:
        watch.arrivals.append((time.monotonic(), header_stamp(VOXELS.name, cdr) or 0))

    def on_diagnostics(message: DiagnosticArray) -> None:
        watch.report = (time.monotonic(), {entry.key: entry.value for entry in message.status[0].values})

    rclpy.init(args=[])
    try:
        watcher = rclpy.create_node("occ_benchmark_soak")
        # Every output is listened to, so that every output is made.
        for topic in outputs:
            heard = on_voxels if topic is VOXELS else lambda _: None
            watcher.create_subscription(message_class(topic.type), f"/occ_node/{topic.name}", heard, 10, raw=True)
        watcher.create_subscription(DiagnosticArray, DIAGNOSTICS, on_diagnostics, 10)

        def spin_until(condition, what: str, timeout: float) -> None:
            end, due = time.monotonic() + timeout, 0.0
            while not condition():
                if node.poll() is not None:
                    log = (folder / "node.log").read_text(errors="replace")
                    raise RuntimeError(f"the node ended with code {node.returncode}: {log[-1000:]}")
                if (now := time.monotonic()) > end:
                    raise RuntimeError(f"{what}: not within {timeout:g} s; diagnostics: {watch.report[1]}")
                rclpy.spin_once(watcher, timeout_sec=0.2)
                if now >= due and watch.arrivals:
                    watch.samples.append((now, resident_megabytes(node.pid)))
                    due = now + 1
                    bar.update(len(watch.arrivals) - bar.n)

        with tqdm.tqdm(total=frames, desc="node under watch", unit="frame", leave=False, disable=None) as bar:
            names = [f"/occ_node/{topic.name}" for topic in outputs]
            spin_until(lambda: all(watcher.count_publishers(name) for name in names), "the node to start", 180)
            with _process(play, folder / "player.log") as player:
                spin_until(lambda: player.poll() is not None, "the end of the drive", 2 * frames / RATE + 120)
            end = time.monotonic() + 1
            spin_until(
                lambda: watch.report[0] > end and unaccounted(watch.report[1]) == 0, "an account of every frame", 60
            )
        watcher.destroy_node()
    finally:
        rclpy.try_shutdown()
    if player.returncode:
        raise RuntimeError(f"the player ended with code {player.returncode}")
    if len(watch.samples) < 2:
        raise RuntimeError("the node answered no frame")
    return watch


def summary(watch: Watch, played: list[dict]) -> dict:
    """played : the lines of the player's log. Memory's slope leaves out the first tenth, where caches fill."""
    values = watch.report[1]
    alone = int(values.get("alone.points", 0))  # clouds that were frames by themselves
    offered = sum(line.get("topic") == IMAGE_TOPIC for line in played) + alone
    received, answered = int(values["received.image"]) + alone, int(values["published"])
    at, megabytes = np.array(watch.samples).T
    frames = np.searchsorted([mono for mono, _ in watch.arrivals], at)
    settled = frames >= 0.1 * frames[-1]
    slope = np.polyfit(frames[settled], megabytes[settled], 1)[0] if settled.sum() > 2 else 0.0
    latencies = latency(watch.arrivals, played)
    first, last = (
        np.percentile(part, 95) for part in (latencies[: len(latencies) // 4 + 1], latencies[-len(latencies) // 4 :])
    )
    return {
        "offered": offered,
        "answered": answered,
        "reasons": {"lost on the way": offered - received} | frame_drops(values),
        "first_mb": float(megabytes[0]),
        "last_mb": float(megabytes[-1]),
        "peak_mb": float(megabytes.max()),
        "slope_mb_per_1000_frames": float(1000 * slope),
        "p50_ms": float(np.median(latencies)),
        "p95_first_quarter_ms": float(first),
        "p95_last_quarter_ms": float(last),
        "samples": len(watch.samples),
    }


def latency(arrivals: list[tuple[float, int]], played: list[dict]) -> np.ndarray:
    """Milliseconds from the publication of a cloud to its voxels, in the order of arrival.

    A drive that is played again has the same stamps: the newest cloud before the voxels counts.
    """
    published = defaultdict(list)
    for line in played:
        if line.get("topic") == POINTS_TOPIC:
            published[line["stamp"]].append(line["published"])
    found = [
        mono - times[before - 1]
        for mono, stamp in arrivals
        if (times := published[stamp]) and (before := bisect.bisect(times, mono))
    ]
    return 1e3 * np.array(found)


def failures(result: dict) -> list[str]:
    """What was not as it should be; memory and latency are judged from ten minutes on."""
    found = []
    accounted = result["answered"] + sum(result["reasons"].values())
    if result["offered"] != accounted:
        found.append(f"{result['offered']} frames offered, {accounted} accounted for")
    if result["minutes"] < 10:
        return found
    if (slope := result["slope_mb_per_1000_frames"]) > GROWTH_MB:
        found.append(f"memory grew by {slope:.2f} MB per 1,000 frames; expected less than {GROWTH_MB:g}")
    first, last = result["p95_first_quarter_ms"], result["p95_last_quarter_ms"]
    if last > (1 + SLOWER) * first:
        found.append(f"p95 rose from {first:.0f} to {last:.0f} ms; expected {100 * SLOWER:.0f} % at most")
    return found


@contextmanager
def _process(command: list[str], log: Path) -> Iterator[subprocess.Popen]:
    """A process that is ended as Ctrl-C ends it."""
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)
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
    reasons = ", ".join(f"{name} {number}" for name, number in result["reasons"].items() if number) or "none"
    header = [
        f"{result['minutes']:g} minutes of {result['bundle']}", "answered", "memory, MB: first", "last", "peak",
        "growth per 1,000 frames", "p50, ms", "p95 of the first quarter, ms", "of the last",
    ]  # fmt: skip
    row = [
        f"{result['offered']} frames offered; not answered: {reasons}",
        f"{result['answered']}",
        *(f"{result[name]:.0f}" for name in ("first_mb", "last_mb", "peak_mb")),
        f"{result['slope_mb_per_1000_frames']:+.2f}",
        *(milliseconds(result[name]) for name in ("p50_ms", "p95_first_quarter_ms", "p95_last_quarter_ms")),
    ]
    return {"soak": markdown(header, [row])}


def main(argv: list[str] | None = None) -> int:
    """1 where something was not as it should be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=MINUTES, help="default %(default)g; shorter ones are not kept")
    parser.add_argument("--bundle", default=OCCLE, help="engine bundle, by name or path (default: %(default)s)")
    parser.add_argument(
        "--nav2", action="store_true", help="with obstacles, grid and the rolling map (needs tf2_msgs); not kept"
    )
    arguments = parser.parse_args(argv)
    use_loopback_profile()
    try:
        result = measure(Options(arguments.bundle, None), arguments.minutes, arguments.nav2)
    except RuntimeError as error:
        print(f"benchmarks.soak: {error}", file=sys.stderr)
        return 1
    publish("soak", result, tables(result), kept=arguments.minutes >= MINUTES and not arguments.nav2)
    for text in (found := failures(result)):
        print(f"benchmarks.soak: {text}", file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
