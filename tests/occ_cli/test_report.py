"""Joining what was played with what came back."""

from pathlib import Path

import pytest

from occ_cli.demo.live_run import Recorded
from occ_cli.demo.report import latency, match, score, summarise, unanswered

POINTS = "/points"
STAMPS = (1_000, 2_000, 3_000)


def played(loop: int, stamp: int, scheduled: float, topic: str = POINTS) -> dict:
    return {
        "event": "message",
        "loop": loop,
        "topic": topic,
        "stamp": stamp,
        "scheduled": scheduled,
        "published": scheduled,
    }


def arrived(output: str, stamp: int | None, mono: float) -> dict:
    return {"event": "message", "output": output, "stamp": stamp, "mono": mono, "source": round(mono * 1e9) - 1000}


def answer(stamp: int, mono: float) -> list[dict]:
    """All outputs of a frame, a millisecond apart, the headerless first as the node sends it."""
    outputs = (("semantic_grid", None), ("voxels", stamp), ("markers", stamp), ("grid", stamp))
    return [arrived(output, s, mono + 0.001 * n) for n, (output, s) in enumerate(outputs)]


def recorded(plays: list[dict], arrivals: list[dict]) -> Recorded:
    return Recorded(plays, arrivals, Path("outputs.mcap"), {})


@pytest.fixture
def two_loops() -> Recorded:
    """Three frames played twice; the second of the second loop is not answered."""
    plays = [{"event": "start"}, played(0, STAMPS[0], 10.0, "/image")]
    plays += [played(loop, stamp, 10 + loop * 0.3 + n * 0.1) for loop in (0, 1) for n, stamp in enumerate(STAMPS)]
    arrivals = [line for n, stamp in enumerate(STAMPS) for line in answer(stamp, 10.04 + n * 0.1)]
    arrivals += answer(STAMPS[0], 10.35) + answer(STAMPS[2], 10.56)
    values = {
        "received.points": "6",
        "published": "5",
        "dropped.superseded": "1",
        "dropped.failed": "0",
        "dropped.clock_jumped_back": "1",
    }
    arrivals.append(
        {"event": "diagnostics", "mono": 12.0, "status": [{"name": "n", "message": "ok", "values": values}]}
    )
    return recorded(plays, arrivals)


def test_a_frame_counts_from_its_stamp_to_its_last_output(two_loops):
    first = match(two_loops, POINTS)[0]
    assert first.answered
    assert first.latency == pytest.approx(0.043)


def test_an_output_belongs_to_the_latest_play_of_its_stamp(two_loops):
    frames = match(two_loops, POINTS)
    assert [frame.answered for frame in frames] == [True, True, True, True, False, True]
    assert frames[3].latency == pytest.approx(0.053)


def test_the_dense_grid_goes_with_the_voxels_sent_beside_it(two_loops):
    assert [frame.grid_message for frame in match(two_loops, POINTS)] == [0, 1, 2, 3, None, 4]


def test_a_busy_node_does_not_shift_the_dense_grids():
    """The next frame's grid may leave sooner after these voxels than its own voxels after it."""
    arrivals = [arrived("semantic_grid", None, 5.1), arrived("voxels", 1, 5.2), arrived("semantic_grid", None, 5.21)]
    arrivals += [arrived("voxels", 2, 5.4), arrived("semantic_grid", None, 5.5)]
    frames = match(recorded([played(0, 1, 5.0), played(0, 2, 5.01), played(0, 3, 5.02)], arrivals), POINTS)
    assert [frame.grid_message for frame in frames] == [0, 1, None]


def test_frames_keep_their_place_in_the_loop(two_loops):
    assert [(frame.loop, frame.order) for frame in match(two_loops, POINTS)] == [
        (0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2),
    ]  # fmt: skip


def test_the_summary_counts_frames_drops_and_jumps(two_loops):
    summary = summarise(two_loops, match(two_loops, POINTS))
    assert (summary["frames_in"], summary["frames_out"], summary["loops"]) == (6, 5, 2)
    assert summary["clock_jumps"] == 1
    assert summary["drops"] == {"superseded": 1}
    assert summary["unanswered"] == {"superseded": 1}


@pytest.mark.parametrize(
    ("answered", "values", "dropped", "expected"),
    [
        (100, {"received.points": "100", "published": "100"}, {}, {}),
        (90, {"received.points": "97", "published": "90"}, {"superseded": 7}, {"lost.points": 3, "superseded": 7}),
        (
            90,
            {"received.points": "100", "published": "95", "lost.image": "4"},
            {"no_partner.points": 4, "no_partner.image": 2, "stale.image": 1, "malformed.tf": 5},
            {"no_partner.points": 4, "not_recorded": 5, "unfinished": 1},
        ),
        (
            80,
            {"received.image": "99", "published": "80"},
            {"malformed.image": 19},
            {"lost.image": 1, "malformed.image": 19},
        ),
        (60, {"received.points": "100", "published": "60", "idle": "40"}, {}, {"idle": 40}),
    ],
)
def test_each_frame_that_was_played_is_answered_or_has_a_reason(answered, values, dropped, expected):
    assert unanswered(100, answered, values, dropped) == expected
    assert answered + sum(expected.values()) == 100


def test_latency_is_given_for_the_frame_and_each_output(two_loops):
    ms = latency(match(two_loops, POINTS))
    assert ms["p50"] == pytest.approx(43, abs=0.2)
    assert ms["max"] == pytest.approx(63, abs=0.2)
    assert ms["outputs"]["semantic_grid"]["p50"] == pytest.approx(40, abs=0.2)


def test_a_run_without_an_answer_has_no_latency():
    frames = match(recorded([played(0, 1, 5.0)], []), POINTS)
    assert latency(frames)["p50"] is None
    assert summarise(recorded([], []), frames)["frames_out"] == 0


def test_what_came_before_it_was_played_belongs_to_nothing():
    frames = match(recorded([played(0, 1, 5.0)], answer(1, 4.0)), POINTS)
    assert not frames[0].answered


def test_no_truth_gives_nulls():
    assert score([]) == {"iou": None, "miou": None, "miou_present": None, "truth_frames": 0}
