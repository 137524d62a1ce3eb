"""Player, node and recorder as real processes over real DDS."""

import functools
import json
import os
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from occ_cli import drawing
from occ_cli.demo.drive import recorded_drive
from occ_cli.demo.live_run import Recorded
from occ_cli.demo.pictures import PICTURES, draw_pictures
from occ_cli.demo.recordings import read_grids
from occ_cli.demo.report import match
from occ_cli.node import main
from occ_cli.processes import JsonLines
from occ_core import KITTI_GRID
from occ_data.bags import BagOptions, bag_topics, read_bag

POINTS = "/kitti/velo/pointcloud"
PATIENCE = 180.0
"""Seconds to wait for anything: on a busy machine everything takes longer."""


@pytest.fixture(scope="module")
def demo(drive, bag, tmp_path_factory):
    """Folder of a demo of two loops of fifteen frames, at a rate that a busy machine keeps up with."""
    output = tmp_path_factory.mktemp("demo")
    arguments = ["--bag", str(bag), "--truth", str(drive.path), "--loop", "2", "--rate", "0.5", "--output", str(output)]
    assert main(["demo", "--backend", "fake", *arguments]) == 0
    return output


@pytest.fixture(scope="module")
def report(demo) -> dict:
    return json.loads((demo / "report.json").read_text())


def test_frames_are_answered_and_the_loop_is_counted(report):
    assert report["frames_in"] == 30
    assert 10 < report["frames_out"] <= 30
    assert (report["loops"], report["clock_jumps"]) == (2, 1)


def test_every_frame_is_answered_or_has_a_reason(report):
    assert report["frames_in"] == report["frames_out"] + sum(report["unanswered"].values())
    assert all(number > 0 for number in report["unanswered"].values())


def test_latency_runs_from_stamp_to_the_last_output(report):
    ms = report["latency_ms"]
    assert 0 < ms["p50"] <= ms["p95"] <= ms["max"]
    assert max(output["p50"] for output in ms["outputs"].values()) <= ms["p50"] + 1


def test_scores_compare_each_answer_with_its_own_truth(report):
    """The fake backend labels what the scan hit building, and so does this drive's truth."""
    assert report["truth_frames"] >= 1
    assert report["iou"] == 100
    assert report["miou_present"] == 100


def test_the_report_says_what_ran_where(report):
    assert report["bundle"] == "fake-bundle"
    assert report["backend"].startswith("fake")
    assert report["machine"]["cores"] == os.cpu_count()
    assert report["exit_codes"] == {"player": 0, "node": 0, "recorder": 0}


def test_the_recording_holds_every_output_with_rising_times(demo, report):
    topics = bag_topics(demo / "outputs.mcap")
    assert set(topics) == {f"/occ_node/{name}" for name in ("semantic_grid", "voxels", "markers", "grid")}
    assert {number for _, number in topics.values()} == {report["frames_out"]}
    times = [stamp for _, _, stamp, _ in read_bag(demo / "outputs.mcap")]
    assert times == sorted(times)
    assert next(read_grids(demo / "outputs.mcap"))[1].shape == (256, 256, 32)


def test_pictures_are_there(demo, report):
    assert set(report["pictures"]) == set(PICTURES)
    assert all((demo / name).stat().st_size > 1000 for name in PICTURES)


def test_without_pillow_the_animation_is_not_even_drawn(demo, bag, drive, tmp_path, monkeypatch, capsys):
    plays, arrivals = JsonLines(demo / "logs/played.jsonl"), JsonLines(demo / "logs/arrivals.jsonl")
    recorded = Recorded(plays.update(), arrivals.update(), demo / "outputs.mcap", {})
    played = recorded_drive(bag, BagOptions(), drive.path, tmp_path)
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setattr(drawing, "animation_frame", lambda *arguments: pytest.fail("drawn for nothing"))
    frames = match(recorded, played.topics.frames)
    written = draw_pictures(tmp_path, played, recorded.outputs, frames, KITTI_GRID)
    assert set(written) == set(PICTURES) - {"animation.gif"}
    assert capsys.readouterr().err.startswith("no animation: pillow is not installed (pip install 'occ_node[viz]')")


def test_nothing_half_written_is_left(demo):
    assert not [path for path in demo.rglob("*") if "tmp" in path.name]


def test_camera_only_is_played_without_clouds_and_the_report_says_so(
    drive, camera_bag, camera_bundle, tmp_path, capsys
):
    arguments = ["--bag", str(camera_bag), "--truth", str(drive.path), "--rate", "0.5", "--output", str(tmp_path)]
    assert main(["demo", "--backend", "fake", "--bundle", str(camera_bundle.path), *arguments]) == 0
    assert "camera only; an image is a frame" in capsys.readouterr().out
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["mode"] == report["node"]["mode"] == "camera"
    assert report["frames_in"] == 15
    assert 5 < report["frames_out"] <= 15
    assert set(report["pictures"]) == set(PICTURES)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_all_processes(bag, tmp_path, number):
    command = [sys.executable, "-m", "occ_cli.node", "demo", "--backend", "fake", "--loop", "100"]
    log = tmp_path / "logs/played.jsonl"
    # A shell that runs the tests in the background has them ignore SIGINT, and children inherit that.
    listen = functools.partial(signal.signal, number, signal.SIG_DFL)
    command += ["--bag", str(bag), "--output", str(tmp_path)]
    demo = subprocess.Popen(command, stderr=subprocess.PIPE, preexec_fn=listen)
    try:
        _wait(lambda: log.exists() and POINTS in log.read_text())
        demo.send_signal(number)
        assert demo.wait(PATIENCE) == 130
    finally:
        demo.kill()
    assert demo.stderr.read().decode().splitlines()[-1].endswith("interrupted")
    assert not _mentioning(str(tmp_path))


def test_children_do_not_outlive_a_killed_demo(bag, tmp_path):
    command = [sys.executable, "-m", "occ_cli.node", "demo", "--backend", "fake", "--loop", "100"]
    log = tmp_path / "logs/played.jsonl"
    demo = subprocess.Popen([*command, "--bag", str(bag), "--output", str(tmp_path)], stderr=subprocess.DEVNULL)
    _wait(lambda: log.exists() and POINTS in log.read_text())
    demo.kill()
    demo.wait()
    _wait(lambda: not _mentioning(str(tmp_path)))


def test_the_last_line_of_a_node_that_refuses_to_start_is_shown(bag, tmp_path, capsys):
    calibration = tmp_path / "calib.txt"
    calibration.write_text("P2: 1 0 0 0 0 1 0 0 0 0 1 0\nTr: 1 1 1 0 1 1 1 0 1 1 1 0\n")
    arguments = ["--bag", str(bag), "--calibration", str(calibration), "--output", str(tmp_path / "out")]
    assert main(["demo", "--backend", "fake", *arguments]) == 2
    assert "T_cam_lidar: expected a rotation" in capsys.readouterr().err


def _wait(condition) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def _mentioning(text: str) -> list[str]:
    """Command lines of living processes (not zombies) with a text in them."""
    listing = subprocess.run(["ps", "-eo", "stat,args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listing.splitlines() if text in line and not line.startswith("Z")]
