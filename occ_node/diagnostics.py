"""The node's state as diagnostic_msgs/DiagnosticArray."""

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from .counters import Counts

_ERRORS = ("malformed.image", "malformed.points", "malformed.camera_info", "malformed.tf", "no_calibration", "failed")


def diagnostic_array(
    stamp, name: str, facts: dict[str, str], counts: Counts, before: Counts, seconds: float, latency: dict
) -> DiagnosticArray:
    """One status, level and text from what happened since the report `before`, `seconds` ago.

    facts : what does not change with frames (bundle, backend, how a TensorRT build gets on, ...)
    latency : `Profiler.summary()`
    Keys: the facts, rate_hz, received.<input>, published, idle, dropped.<reason>, points_dropped,
    latency.<stage>.p50_ms and .p95_ms, last_error.
    """
    level, text = _judge(counts, before)
    values = dict(facts)
    values["rate_hz"] = f"{(counts.published - before.published) / seconds:.1f}"
    values |= {f"received.{source}": str(number) for source, number in counts.received.items()}
    values |= {"published": str(counts.published), "idle": str(counts.idle)}
    values |= {f"dropped.{reason}": str(number) for reason, number in counts.dropped.items()}
    values["points_dropped"] = str(counts.points_dropped)
    for stage, summary in latency.items():
        values |= {f"latency.{stage}.{key}": f"{summary[key]:.2f}" for key in ("p50_ms", "p95_ms")}
    values["last_error"] = counts.last_error
    status = DiagnosticStatus(
        level=level, name=f"{name}: occupancy", message=text, hardware_id=facts.get("bundle", ""),
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )  # fmt: skip
    array = DiagnosticArray(status=[status])
    array.header.stamp = stamp
    return array


def _judge(counts: Counts, before: Counts) -> tuple[bytes, str]:
    """Level and one line."""
    new = {reason: number - before.dropped[reason] for reason, number in counts.dropped.items()}
    silent = [s for s, number in counts.received.items() if s != "camera_info" and number == before.received[s]]
    if any(new[reason] for reason in _ERRORS):
        return DiagnosticStatus.ERROR, counts.last_error
    if silent:
        return DiagnosticStatus.WARN, f"waiting for {' and '.join(silent)}"
    if counts.idle > before.idle:
        return DiagnosticStatus.OK, "idle: nobody subscribes"
    if counts.published == before.published:
        return DiagnosticStatus.WARN, "no frame answered: " + _reasons(new)
    if new["superseded"]:
        return DiagnosticStatus.WARN, "slower than the sensors: " + _reasons(new)
    return DiagnosticStatus.OK, "ok"


def _reasons(new: dict[str, int]) -> str:
    return ", ".join(f"{reason} {number}" for reason, number in new.items() if number) or "none ready"
