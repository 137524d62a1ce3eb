"""The figures of a live run: frames in and out, drops, latency from stamp to publication, scores."""

import os
import platform
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from occ_core import CompletionMetrics, Grid
from occ_core.labels import labels_on
from occ_data.kitti import Sequence
from occ_node.counters import Drop
from occ_node.topics import CAMERA_INFO, IMAGE, POINTS, RECORDED, SEMANTIC_GRID, VOXELS
from occ_runtime import Bundle

from .live_run import LiveRun, Recorded
from .recordings import read_grids

_FIRST = ("frames_in", "frames_out", "answered_percent", "unanswered", "drops", "latency_ms")
_MODES = {
    "camera+lidar": "camera and LiDAR; a cloud with its image is a frame",
    "camera": "camera only; an image is a frame",
}


@dataclass
class Played:
    """One frame as it was played, and what came back.

    order: number of the frame in its loop; scheduled: when its cloud (camera only: its image) was due, in seconds of
    the monotonic clock; arrived: by output, when the recorder received it; grid_message: number of its semantic_grid.
    """

    loop: int
    order: int
    stamp: int
    scheduled: float
    arrived: dict[str, float] = field(default_factory=dict)
    grid_message: int | None = None

    @property
    def answered(self) -> bool:
        """Whether the labelled voxels came back."""
        return VOXELS.name in self.arrived and SEMANTIC_GRID.name in self.arrived

    @property
    def latency(self) -> float:
        """Seconds from the time at which the frame was due to the arrival of its last output."""
        return max(self.arrived.values()) - self.scheduled


def match(recorded: Recorded, frame_topic: str) -> list[Played]:
    """Join the played frames with the outputs that arrived; each message of `frame_topic` is a frame.

    An output belongs to the last frame played with its stamp before it arrived (in a loop, stamps come again). A
    semantic_grid has no stamp. The node publishes it as a frame's first output (see occ_node.outputs.OUTPUTS), so it
    belongs to the voxels published next, unless another semantic_grid was published before them.
    """
    frames: list[Played] = []
    plays_of_stamp: dict[int, list[Played]] = {}
    orders: dict[int, int] = {}
    for line in recorded.plays:
        if line.get("topic") == frame_topic:
            order = orders[line["loop"]] = orders.get(line["loop"], -1) + 1
            frames.append(Played(line["loop"], order, line["stamp"], line["scheduled"]))
            plays_of_stamp.setdefault(line["stamp"], []).append(frames[-1])
    messages = [line for line in recorded.arrivals if line["event"] == "message"]
    sent, owner = [], []
    for line in messages:
        plays = plays_of_stamp.get(line["stamp"], [])
        latest = bisect_right([p.scheduled for p in plays], line["mono"]) - 1
        if latest < 0:
            continue
        plays[latest].arrived[line["output"]] = line["mono"]
        if line["output"] == VOXELS.name:
            sent.append(line["source"])
            owner.append(plays[latest])
    grids = [line for line in messages if line["output"] == SEMANTIC_GRID.name]
    for number, line in enumerate(grids):
        end = grids[number + 1]["source"] if number + 1 < len(grids) else float("inf")
        after = bisect_left(sent, line["source"])
        if after < len(sent) and sent[after] < end:
            owner[after].arrived[SEMANTIC_GRID.name], owner[after].grid_message = line["mono"], number
    return frames


def make_report(run: LiveRun, recorded: Recorded, frames: list[Played], bundle: Bundle) -> dict:
    """All figures of a run, with what they were measured on."""
    summary = summarise(recorded, frames)
    return {
        **{key: summary[key] for key in _FIRST},
        **_score_frames(recorded.outputs, frames, run.drive.truth, bundle.grid),
        "bundle": bundle.name,
        "mode": "camera+lidar" if bundle.needs_cloud else "camera",
        "backend": summary["node"].get("backend", run.parameters["backend"]),
        "machine": machine(),
        "input": {
            "description": run.drive.description, "bag": str(run.drive.bag), "frames": run.drive.frames,
            "rate": run.rate, "loops": run.loops,
        },
        **summary,
    }  # fmt: skip


def _score_frames(outputs: Path, frames: list[Played], truth: Sequence | None, grid: Grid) -> dict:
    """IoU and mIoU over the answered frames that have truth, on their grid; nulls where there are none."""
    if truth is None or truth.grid.factor_to(grid) is None:
        return score([])
    frame_of_grid = {
        frame.grid_message: truth.frames[frame.order]
        for frame in frames
        if frame.grid_message is not None and frame.answered and truth.has_voxels(truth.frames[frame.order])
    }
    if not frame_of_grid:
        return score([])
    return score(
        (labels, labels_on(grid, truth.voxel_labels(frame_of_grid[number]), truth.grid))
        for number, labels in read_grids(outputs, frame_of_grid)
    )


def latency(frames: list[Played]) -> dict:
    """p50, p95 and max in ms over the answered frames, and p50 and p95 of each output."""
    whole = [1000 * frame.latency for frame in frames if frame.answered]
    if not whole:
        return {"p50": None, "p95": None, "max": None}
    outputs = {}
    for output in (topic.name for topic in RECORDED):
        values = [1000 * (f.arrived[output] - f.scheduled) for f in frames if output in f.arrived]
        if values:
            outputs[output] = {"p50": _ms(values, 50), "p95": _ms(values, 95)}
    return {"p50": _ms(whole, 50), "p95": _ms(whole, 95), "max": _ms(whole, 100), "outputs": outputs}


def _ms(values: list[float], percentile: int) -> float:
    return round(float(np.percentile(values, percentile)), 1)


def summarise(recorded: Recorded, frames: list[Played]) -> dict:
    """The figures of a run for which no truth is needed."""
    status = recorded.diagnostics()
    values = status["values"]
    dropped = {k.removeprefix("dropped."): int(v) for k, v in values.items() if k.startswith("dropped.")}
    jumps = dropped.pop(Drop.CLOCK_JUMPED_BACK.value, 0)
    end = next((line for line in recorded.plays if line["event"] == "end"), {})
    answered = sum(frame.answered for frame in frames)
    return {
        "frames_in": len(frames),
        "frames_out": answered,
        "answered_percent": round(100 * answered / max(1, len(frames)), 2),
        "loops": 1 + max((frame.loop for frame in frames), default=0),
        "clock_jumps": jumps,
        "unanswered": unanswered(len(frames), answered, values, dropped),
        "drops": {reason: number for reason, number in dropped.items() if number},
        "latency_ms": latency(frames),
        "node": {"status": status["message"], **{k: v for k, v in values.items() if not k.startswith("dropped.")}},
        "player": {"late": end.get("late"), "worst_ms": end.get("worst_ms")},
        "exit_codes": recorded.exit_codes,
    }


def unanswered(offered: int, answered: int, values: dict[str, str], dropped: dict[str, int]) -> dict[str, int]:
    """Why frames were not answered; the numbers add up to `offered` less `answered`.

    Besides the node's reasons there are lost.<input>: played, but not received by the node; idle; not_recorded:
    published, but not complete in the recording; unfinished: the rest, which waited for a partner or was processed at
    the node's last report. values, dropped : of the node's last diagnostics
    """
    frame, other = (POINTS, IMAGE) if f"received.{POINTS}" in values else (IMAGE, POINTS)
    not_frames = {f"no_partner.{other}", f"stale.{other}", f"malformed.{CAMERA_INFO}", Drop.MALFORMED_TF.value}
    reasons = {
        f"lost.{frame}": max(0, offered - int(values.get(f"received.{frame}", 0))),
        **{reason: number for reason, number in dropped.items() if reason not in not_frames},
        "idle": int(values.get("idle", 0)),
        "not_recorded": max(0, int(values.get("published", 0)) - answered),
    }
    reasons["unfinished"] = offered - answered - sum(reasons.values())
    return {reason: number for reason, number in reasons.items() if number}


def score(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> dict:
    """Scores of (prediction, truth) label grids: truth_frames and `CompletionMetrics.summary`; nulls without a pair."""
    metrics, number = CompletionMetrics(), 0
    for prediction, truth in pairs:
        metrics.add(prediction, truth)
        number += 1
    if not number:
        return {"iou": None, "miou": None, "miou_present": None, "truth_frames": 0}
    summary = metrics.summary()
    return {**{k: _rounded(v) for k, v in summary.items()}, "truth_frames": number}


def _rounded(value):
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    return round(value, 3) if isinstance(value, float) else value


def machine() -> dict:
    """The machine that the figures were measured on."""
    return {
        "processor": _first_line("/proc/cpuinfo", "model name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": _memory(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
    }


def _memory() -> float | None:
    kilobytes = _first_line("/proc/meminfo", "MemTotal")
    return round(int(kilobytes.split()[0]) / 2**20, 1) if kilobytes else None


def _first_line(path: str, key: str) -> str | None:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), None)


def table(report: dict) -> str:
    """The report as text."""
    ms = report["latency_ms"]
    rows = [
        ("drive", report["input"]["description"]),
        ("bundle, backend", f"{report['bundle']}, {report['backend']}"),
        ("mode", _MODES[report["mode"]]),
        (
            "frames in, out",
            f"{report['frames_in']}, {report['frames_out']} ({report['answered_percent']:.1f} % answered)",
        ),
        ("not answered", ", ".join(f"{reason} {number}" for reason, number in report["unanswered"].items()) or "none"),
    ]
    if report["loops"] > 1:
        rows.append(("loops", f"{report['loops']}; the node saw {report['clock_jumps']} jumps back of the stamps"))
    if ms["p50"] is not None:
        whole = f"p50 {ms['p50']:.0f} ms, p95 {ms['p95']:.0f} ms, worst {ms['max']:.0f} ms"
        rows.append(("stamp to publication", whole + " (until the last output reached another process)"))
        parts = ", ".join(f"{name} {value['p50']:.0f}" for name, value in ms["outputs"].items())
        rows.append(("  p50 each output", f"{parts} ms"))
    if report["iou"] is not None:
        scored = (
            f"IoU {report['iou']:.1f}, mIoU {report['miou']:.1f} (over the {report['classes_present']} classes present"
        )
        rows.append(("against the truth", f"{scored}: {report['miou_present']:.1f}); {report['truth_frames']} frames"))
    else:
        rows.append(("against the truth", "no voxel truth for this drive"))
    rows.append(("machine", f"{report['machine']['processor']}, {report['machine']['cores']} cores"))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"  {name:<{width}}  {text}" for name, text in rows)
