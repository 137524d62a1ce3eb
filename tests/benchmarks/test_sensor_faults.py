"""Sensors that are killed and come back, over real rclpy; and what the program concludes from what it saw."""

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from benchmarks.sensor_faults import Fault, failures, measure, summary, table
from occ_node.dds import use_loopback_profile
from occ_node.topics import IMAGE, POINTS

SECOND = 1_000_000_000
PATIENCE = 20.0
"""Seconds that a switch may take on a machine that is busy with other work."""


def test_each_sensor_is_killed_twice_and_frames_go_on():
    use_loopback_profile()
    result = measure(2, backend="fake")
    assert failures(result, PATIENCE) == []
    assert result["counted_switches"] >= 8
    assert min(result["frames"].values()) > 0 and "camera, " in result["fallback"]


def seen(**changes):
    """Ten seconds at 10 Hz; the LiDAR falls silent at 2.0 and is back at 4.0, the camera at 6.0 and 8.0."""
    voxels = [(n / 10 + 0.05, n * SECOND // 10) for n in range(100) if not 20 < n < 26 and not 60 < n < 66]
    modes = [(0.0, "camera+lidar"), (2.6, "camera"), (4.1, "camera+lidar"), (6.6, "lidar"), (8.1, "camera+lidar")]
    faults = [Fault(POINTS, 2.0, 4.0), Fault(IMAGE, 6.0, 8.0)]
    values = {"mode_switches": "4", "frames.camera": "14", "frames.lidar": "14", "fallback": "monoocc, 40 MB"}
    return {"voxels": voxels, "modes": modes, "faults": faults, "values": values} | changes


def test_switches_under_a_second_that_are_counted_are_no_failure():
    result = summary(**seen())
    assert failures(result) == []
    assert result["out_s"] == pytest.approx([0.65, 0.65]) and result["back_s"] == pytest.approx([0.15, 0.15])
    assert result["longest_gap_s"] == pytest.approx(0.6)
    assert "4 seen, 4 counted; frames: camera 14, lidar 14" in table(result)


def test_what_is_wrong_is_named():
    late = [*seen()["modes"][:3], (7.5, "lidar"), (8.1, "camera+lidar"), (9.0, "lidar")]
    found = failures(summary(**seen(modes=late)))
    assert found == [
        "a sensor that fell silent: 1.55 s to the first frame; expected less than 1",
        "5 switches were seen, 4 were counted",
    ]
    voxels = seen()["voxels"]
    twice = [*voxels[:30], voxels[29], *voxels[45:]]
    assert failures(summary(**seen(voxels=twice, faults=seen()["faults"][1:]))) == [
        "no output for 1.60 s; expected 1 at most",
        "answered_twice: 1; expected none",
    ]
