"""The node's state as diagnostic_msgs/DiagnosticArray."""

import time
from collections.abc import Callable

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType

from occ_runtime import Profiler

from .connections import Connections
from .counters import ERRORS, MOTION_EXTRAPOLATED, Counters, Counts, Drop
from .modes import Modes
from .topics import CAMERA_INFO, DIAGNOSTICS


class Diagnostics:
    """Publishes one status a second; its level and text follow from what happened since the last one.

    OK: frames are answered, or nobody subscribes to them. WARN: something is missing, dropped or doubtful. ERROR: an
    error, or no frame was answered for `timeout` seconds though somebody subscribes. STALE: no input for `timeout`
    seconds after there was some, and the last status, at the deactivation.

    Keys: the facts, mode, mode_switches, frames.<mode>, rate_hz, received.<input>, lost.<input>, alone.<input>,
    published, idle, dropped.<reason>, points_dropped, clouds_missing.<topic>, motion.missing, motion.extrapolated,
    latency.<stage>.p50_ms and .p95_ms, last_error.
    """

    def __init__(
        self,
        node,
        facts: Callable[[], dict[str, str]],
        counters: Counters,
        profiler: Profiler,
        connections: Connections,
        modes: Modes,
        wanted: Callable[[], bool],
        timeout: float,
        doubts: Callable[[], list[str]],
    ):
        """facts : bundle, backend, calibration, ...; asked for each status; wanted : whether anybody subscribes
        doubts : what seems wrong though frames are answered, one line each
        """
        self._node, self._facts, self._counters, self._profiler = node, facts, counters, profiler
        self._connections, self._modes, self._wanted, self._timeout = connections, modes, wanted, timeout
        self._doubts = doubts
        self._publisher = node.create_publisher(DiagnosticArray, DIAGNOSTICS, 10)
        self._before, self._before_at = counters.counts(), time.perf_counter()
        self._answered_at = self._before_at
        # On the steady clock: when a bag's /clock stops, the diagnostics go on.
        self._timer = node.create_timer(1.0, self._publish, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def destroy(self) -> None:
        """Say that the node is inactive, then destroy timer and publisher."""
        self._send(DiagnosticStatus.STALE, "inactive", self._facts() | self._modes.values())
        self._node.destroy_timer(self._timer)
        self._node.destroy_publisher(self._publisher)

    def _publish(self) -> None:
        counts, now = self._counters.counts(), time.perf_counter()
        rate = (counts.published - self._before.published) / (now - self._before_at)
        level, text = self._judge(counts, now)
        if doubts := self._doubts():
            text = "; ".join(doubts if level == DiagnosticStatus.OK else (text, *doubts))
            level = max(level, DiagnosticStatus.WARN)
        figures = _figures(counts, rate, self._profiler.summary())
        self._send(level, text, self._facts() | self._modes.values() | figures)
        self._before, self._before_at = counts, now

    def _send(self, level: bytes, text: str, values: dict[str, str]) -> None:
        status = DiagnosticStatus(
            level=level, name=f"{self._node.get_fully_qualified_name()}: occupancy", message=text,
            hardware_id=values.get("bundle", ""),
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )  # fmt: skip
        message = DiagnosticArray(status=[status])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)

    def _judge(self, counts: Counts, now: float) -> tuple[bytes, str]:
        """Level and one line."""
        before, wanted = self._before, self._wanted()
        problems = "; ".join(self._connections.problems())
        new = {reason: number - before.dropped[reason] for reason, number in counts.dropped.items()}
        if counts.published > before.published or not wanted:
            self._answered_at = now
        unanswered, silence = now - self._answered_at, self._connections.silence()
        frame_inputs = [name for name in counts.received if name != CAMERA_INFO]
        silent = [name for name in frame_inputs if counts.received[name] == before.received[name]]
        if any(new[reason.value] for reason in ERRORS):
            return DiagnosticStatus.ERROR, counts.last_error
        if silence >= self._timeout and any(counts.received[name] for name in frame_inputs):
            return DiagnosticStatus.STALE, f"no input for {silence:.0f} s" + (f": {problems}" if problems else "")
        if unanswered >= self._timeout:
            return DiagnosticStatus.ERROR, f"no frame answered for {unanswered:.0f} s: {problems or _reasons(new)}"
        if degraded := self._modes.degraded():
            return DiagnosticStatus.WARN, degraded + (f"; {problems}" if problems else "")
        if problems:
            return DiagnosticStatus.WARN, problems
        if silent:
            return DiagnosticStatus.WARN, f"waiting for {' and '.join(silent)}"
        if counts.idle > before.idle:
            return DiagnosticStatus.OK, "idle: nobody subscribes"
        if counts.published == before.published:
            return DiagnosticStatus.WARN, "no frame answered: " + _reasons(new)
        more = [name for name, number in counts.others.items() if number > before.others[name]]
        if missing := [name for name in more if name != MOTION_EXTRAPOLATED]:
            return DiagnosticStatus.WARN, f"clouds are not complete: {', '.join(missing)}"
        if new[Drop.SUPERSEDED.value]:
            return DiagnosticStatus.WARN, "slower than the sensors: " + _reasons(new)
        if lost := [name for name in frame_inputs if counts.lost[name] > before.lost[name]]:
            return DiagnosticStatus.WARN, f"messages are lost on the way: {' and '.join(lost)}"
        return DiagnosticStatus.OK, "ok"


def _figures(counts: Counts, rate: float, latency: dict[str, dict[str, float]]) -> dict[str, str]:
    """latency : `Profiler.summary()`"""
    values = {"rate_hz": f"{rate:.1f}"}
    values |= {f"received.{source}": str(number) for source, number in counts.received.items()}
    values |= {f"lost.{source}": str(number) for source, number in counts.lost.items()}
    values |= {f"alone.{source}": str(number) for source, number in counts.alone.items()}
    values |= {"published": str(counts.published), "idle": str(counts.idle)}
    values |= {f"dropped.{reason}": str(number) for reason, number in counts.dropped.items()}
    values["points_dropped"] = str(counts.points_dropped)
    values |= {name: str(number) for name, number in counts.others.items()}
    for stage, summary in latency.items():
        values |= {f"latency.{stage}.{key}": f"{summary[key]:.2f}" for key in ("p50_ms", "p95_ms")}
    return values | {"last_error": counts.last_error}


def _reasons(new: dict[str, int]) -> str:
    return ", ".join(f"{reason} {number}" for reason, number in new.items() if number) or "none ready"
