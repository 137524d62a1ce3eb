"""The node's state as diagnostic_msgs/DiagnosticArray."""

import time
from collections.abc import Callable

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType

from occ_runtime import Profiler

from .counters import ERRORS, Counters, Counts, Drop
from .topics import CAMERA_INFO, DIAGNOSTICS


class Diagnostics:
    """Publishes one status a second; its level and text follow from what happened since the last one.

    Keys: the facts, rate_hz, received.<input>, published, idle, dropped.<reason>, points_dropped,
    latency.<stage>.p50_ms and .p95_ms, last_error.
    """

    def __init__(self, node, facts: Callable[[], dict[str, str]], counters: Counters, profiler: Profiler):
        """facts : bundle, backend, calibration, ...; asked for each status"""
        self._node, self._facts, self._counters, self._profiler = node, facts, counters, profiler
        self._publisher = node.create_publisher(DiagnosticArray, DIAGNOSTICS, 10)
        self._before, self._before_at = counters.counts(), time.perf_counter()
        # On the steady clock: when a bag's /clock stops, the diagnostics go on.
        self._timer = node.create_timer(1.0, self._publish, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def destroy(self) -> None:
        """Destroy timer and publisher."""
        self._node.destroy_timer(self._timer)
        self._node.destroy_publisher(self._publisher)

    def _publish(self) -> None:
        counts, now = self._counters.counts(), time.perf_counter()
        rate = (counts.published - self._before.published) / (now - self._before_at)
        facts = self._facts()
        values = facts | _figures(counts, rate, self._profiler.summary())
        level, text = _judge(counts, self._before)
        status = DiagnosticStatus(
            level=level, name=f"{self._node.get_fully_qualified_name()}: occupancy", message=text,
            hardware_id=facts.get("bundle", ""),
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )  # fmt: skip
        message = DiagnosticArray(status=[status])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)
        self._before, self._before_at = counts, now


def _figures(counts: Counts, rate: float, latency: dict[str, dict[str, float]]) -> dict[str, str]:
    """latency : `Profiler.summary()`"""
    values = {"rate_hz": f"{rate:.1f}"}
    values |= {f"received.{source}": str(number) for source, number in counts.received.items()}
    values |= {"published": str(counts.published), "idle": str(counts.idle)}
    values |= {f"dropped.{reason}": str(number) for reason, number in counts.dropped.items()}
    values["points_dropped"] = str(counts.points_dropped)
    for stage, summary in latency.items():
        values |= {f"latency.{stage}.{key}": f"{summary[key]:.2f}" for key in ("p50_ms", "p95_ms")}
    return values | {"last_error": counts.last_error}


def _judge(counts: Counts, before: Counts) -> tuple[bytes, str]:
    """Level and one line."""
    new = {reason: number - before.dropped[reason] for reason, number in counts.dropped.items()}
    silent = [s for s, number in counts.received.items() if s != CAMERA_INFO and number == before.received[s]]
    if any(new[reason.value] for reason in ERRORS):
        return DiagnosticStatus.ERROR, counts.last_error
    if silent:
        return DiagnosticStatus.WARN, f"waiting for {' and '.join(silent)}"
    if counts.idle > before.idle:
        return DiagnosticStatus.OK, "idle: nobody subscribes"
    if counts.published == before.published:
        return DiagnosticStatus.WARN, "no frame answered: " + _reasons(new)
    if new[Drop.SUPERSEDED.value]:
        return DiagnosticStatus.WARN, "slower than the sensors: " + _reasons(new)
    return DiagnosticStatus.OK, "ok"


def _reasons(new: dict[str, int]) -> str:
    return ", ".join(f"{reason} {number}" for reason, number in new.items() if number) or "none ready"
