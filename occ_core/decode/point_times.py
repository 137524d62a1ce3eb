"""When each point of a cloud was measured: per-point times in any unit -> seconds from the header's stamp."""

import numpy as np

TIME_NAMES = ("t", "time", "timestamp", "time_stamp")
"""Names of the field; of several in one cloud the first in this order is used."""
LONGEST = 0.5
"""Seconds of a sweep at most, and between the header's stamp and absolute times."""
_UNITS = (1.0, 1e-3, 1e-6, 1e-9)
_USUAL = (0.02, 0.2)
"""Seconds of a sweep of nearly all LiDARs, which tell the unit."""
_KNOWN = {("t", "u4"): 1e-9, ("time", "f4"): 1.0}
"""Units in seconds of short sweeps, as of a sensor that looks into a small sector: Ouster, Velodyne."""


def relative_times(name: str, values: np.ndarray, stamp: int) -> np.ndarray | None:
    """Per-point times as their field has them -> (N,) float32, seconds after the header's stamp, negative before it.

    name, values : of the field, (N,) integers or floats; stamp : of the header, ns

    - The unit (s, ms, us, ns) is the one that gives a sweep of 20 to 200 ms; for other lengths, that of the known
      LiDARs, or the one that gives 0.5 ms to 0.5 s.
    - Values within 0.5 s of the header's stamp are absolute (Hesai and Robosense in s, Livox in ns), whether the stamp
      is the sweep's begin or end. Values within 0.5 s of zero count from the stamp (Ouster from its begin; Velodyne
      from its end, negative). All others are of a clock of its own: the stamp is then taken for the sweep's begin.

    None where they tell nothing: all equal, not finite, or longer than 0.5 s in every unit.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # of numbers that are no times
        return _relative_times(name, values, stamp)


def _relative_times(name: str, values: np.ndarray, stamp: int) -> np.ndarray | None:
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    if not len(finite):
        return None
    scaled = _scale(name, values.dtype, float(finite.min()), float(finite.max()), stamp / 1e9)
    if scaled is None:  # a few wrong ones, such as zeros of points without an echo
        low, high = np.percentile(finite, (1, 99))
        scaled = _scale(name, values.dtype, float(low), float(high), stamp / 1e9)
    if scaled is None:
        return None
    unit, origin, begin, end = scaled
    times = (values.astype(np.float64) - origin) * unit + begin
    return np.clip(np.nan_to_num(times, nan=begin), begin, end).astype(np.float32)


def _scale(name: str, dtype: np.dtype, low: float, high: float, now: float) -> tuple[float, float, float, float] | None:
    """(seconds of a unit, value at the begin, begin and end of the sweep in seconds after the header's stamp `now`)."""
    span = high - low
    if not span > 0:
        return None
    near = (unit for unit in _UNITS if now > 2 and abs(low * unit - now) <= LONGEST and span * unit <= LONGEST)
    if (unit := next(near, None)) is not None:
        begin = low * unit - now
    elif (unit := _unit(name, dtype, span)) is None:
        return None
    else:
        begin = low * unit if max(abs(low), abs(high)) * unit <= LONGEST else 0.0
    return unit, low, begin, begin + span * unit


def _unit(name: str, dtype: np.dtype, span: float) -> float | None:
    for unit in _UNITS:
        if _USUAL[0] <= span * unit <= _USUAL[1]:
            return unit
    known = _KNOWN.get((name, dtype.str[1:]))
    if known is not None and span * known <= LONGEST:
        return known
    return next((unit for unit in _UNITS if LONGEST / 1000 < span * unit <= LONGEST), None)
