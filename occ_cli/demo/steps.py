"""The steps of `occ-node demo`."""

import argparse
from pathlib import Path

from occ_core import Grid
from occ_core.files import write_json
from occ_core.labels import labels_on
from occ_data.kitti import Sequence
from occ_runtime import Bundle, find_bundle, load_backend

from ..processes import need_rclpy
from .drives import recorded_drive, synthetic_drive
from .live_run import LiveRun, live_run
from .pictures import draw_pictures
from .recordings import read_grids
from .report import Played, machine, match, score, summarise, table

DEFAULT_BUNDLE = "occle-nano-synthetic"

PICTURES = ("camera_overlay.png", "birds_eye.png", "voxels.png", "truth_beside_prediction.png", "animation.gif")


def run_demo(arguments: argparse.Namespace) -> int:
    """All steps; 0 where at least one frame was answered."""
    need_rclpy()
    output = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    for name in ("report.json", "outputs.mcap", *PICTURES):
        (output / name).unlink(missing_ok=True)
    bundle = choose_bundle(arguments.bundle, arguments.backend, output)
    lidar_frame = None if bundle.needs_cloud else arguments.lidar_frame
    if arguments.bag:
        drive = recorded_drive(arguments, lidar_frame)
    else:
        drive = synthetic_drive(output, arguments.frames, arguments.seed, lidar_frame)
    parameters = {
        "bundle": str(bundle.path.resolve()), "backend": arguments.backend,
        "calibration_file": str(drive.calibration_file.resolve()), "compressed": drive.inputs.compressed,
        "lidar_frame": arguments.lidar_frame,
    }  # fmt: skip
    recorded = live_run(LiveRun(drive.bag, drive.inputs, parameters, output, arguments.rate, arguments.loop))
    frames = match(recorded, drive.inputs.frame_topic)
    summary = summarise(recorded, frames)
    report = {
        **{key: summary[key] for key in ("frames_in", "frames_out", "answered_percent", "drops", "latency_ms")},
        **score_frames(recorded.outputs, frames, drive.truth, bundle.grid),
        "bundle": bundle.name,
        "mode": "camera+lidar" if bundle.needs_cloud else "camera",
        "backend": summary["node"].get("backend", arguments.backend),
        "machine": machine(),
        "input": {
            "description": drive.description, "bag": str(drive.bag), "frames": drive.inputs.frames,
            "rate": arguments.rate, "loops": arguments.loop,
        },
        **summary,
    }  # fmt: skip
    report["pictures"] = draw_pictures(output, drive, recorded.outputs, frames, bundle.grid)
    write_json(output / "report.json", report)
    print(table(report))
    print(f"\n  {output}/: report.json, outputs.mcap, {', '.join(report['pictures'])}, logs/")
    if not summary["frames_out"]:
        print(f"  No frame was answered: {summary['node']['status']}; see {output}/logs/node.log")
    return 0 if summary["frames_out"] else 1


def choose_bundle(wanted: str | None, backend: str, output: Path) -> Bundle:
    """The bundle wanted, checked, or the default. The fake backend needs none: it gets one made for it."""
    if wanted is None and backend == "fake":
        from occ_runtime.fake_backend import write_fake_bundle

        return write_fake_bundle(output / "fake-bundle")
    bundle = Bundle.load(find_bundle(wanted or DEFAULT_BUNDLE))
    if backend != "fake":
        load_backend(bundle, backend).close()
    return bundle


def score_frames(outputs: Path, frames: list[Played], truth: Sequence | None, grid: Grid) -> dict:
    """IoU and mIoU over the answered frames whose truth exists, on their grid; nulls where there is none."""
    if truth and truth.grid.factor_to(grid) is None:
        truth = None
    frame_of_message = {
        frame.grid_message: truth.frames[frame.order]
        for frame in frames
        if truth and frame.answered and truth.has_voxels(truth.frames[frame.order])
    }
    grids = read_grids(outputs, frame_of_message) if frame_of_message else []
    return score(
        (labels, labels_on(grid, truth.voxel_labels(frame_of_message[place]), truth.grid)) for place, labels in grids
    )
