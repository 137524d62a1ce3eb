"""What the soak concludes from what it saw."""

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from benchmarks.soak import IMAGE_TOPIC, POINTS_TOPIC, Watch, failures, latency, summary, tables

SECOND = 1_000_000_000
FRAMES = 1000


def played(loops: int = 1) -> list[dict]:
    """Frames of one second each; every loop has the same stamps."""
    return [
        {"event": "message", "topic": topic, "stamp": n * SECOND, "published": float(loop * FRAMES + n)}
        for loop in range(loops)
        for n in range(FRAMES)
        for topic in (IMAGE_TOPIC, POINTS_TOPIC)
    ]


def watch(delay=lambda n: 0.1, growth_mb=0.0, **values) -> Watch:
    """All frames answered after a delay; memory grows by so many MB in the run."""
    arrivals = [(n + delay(n), n * SECOND) for n in range(FRAMES)]
    samples = [(n + 0.5, 500 + growth_mb * n / FRAMES) for n in range(FRAMES)]
    report = {"received.image": FRAMES, "published": FRAMES, "idle": 0, "dropped.superseded": 0} | values
    return Watch(arrivals, samples, (FRAMES, {key: str(value) for key, value in report.items()}))


def result(seen: Watch) -> dict:
    return {"bundle": "occle-nano", "minutes": 60, **summary(seen, played())}


def test_a_steady_node_has_no_failures():
    found = result(watch())
    assert failures(found) == []
    assert found["p95_first_quarter_ms"] == pytest.approx(100) and found["offered"] == found["answered"] == FRAMES
    assert "not answered: none" in tables(found)["soak"]


def test_memory_that_grows_is_named():
    found = result(watch(growth_mb=3))
    assert found["slope_mb_per_1000_frames"] == pytest.approx(3)
    assert failures(found) == ["memory grew by 3.00 MB per 1,000 frames; expected less than 1"]


def test_latency_that_rises_is_named():
    assert failures(result(watch(delay=lambda n: 0.1 + n / 10_000))) == [
        "p95 rose from 124 to 199 ms; expected 10 % at most"
    ]


def test_every_frame_is_accounted_for():
    kept = {"published": 900, "received.image": 980, "dropped.superseded": 50, "dropped.malformed.camera_info": 7}
    found = result(watch(**kept))
    assert found["reasons"] == {"lost on the way": 20, "superseded": 50, "idle": 0}
    assert failures(found) == ["1000 frames offered, 970 accounted for"]
    assert failures(result(watch(**kept | {"dropped.superseded": 80}))) == []


def test_a_stamp_that_is_played_again_counts_from_its_last_publication():
    arrivals = [(5.25, 5 * SECOND), (FRAMES + 5.5, 5 * SECOND)]
    assert latency(arrivals, played(loops=2)) == pytest.approx([250, 500])
