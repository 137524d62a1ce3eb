"""Per-point times of known LiDARs, and of others."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from occ_core.decode.point_times import LONGEST, TIME_NAMES, relative_times

S = 1_000_000_000
STAMP = 1_700_000_000 * S + 123_456_789
SWEEP = np.linspace(0, 0.0999, 5000)
"""Seconds."""


def absolute(begin: float, unit: float) -> np.ndarray:
    """float64 in that unit, from `begin` seconds after the stamp on."""
    return (STAMP / S + begin + SWEEP) / unit


KNOWN = {
    "Ouster": ("t", (SWEEP * 1e9).astype(np.uint32), SWEEP),
    "Velodyne, stamped at its end": ("time", (SWEEP - 0.0999).astype(np.float32), SWEEP - 0.0999),
    "Velodyne, stamped at its begin": ("time", SWEEP.astype(np.float32), SWEEP),
    "Hesai": ("timestamp", absolute(0, 1), SWEEP),
    "Hesai, stamped when it was received": ("timestamp", absolute(-0.13, 1), SWEEP - 0.13),
    "Robosense, stamped at its end": ("timestamp", absolute(-0.0999, 1), SWEEP - 0.0999),
    "Livox": ("timestamp", absolute(0, 1e-9), SWEEP),
    "absolute us": ("time_stamp", absolute(-0.05, 1e-6), SWEEP - 0.05),
    "relative us": ("time", (SWEEP * 1e6).astype(np.float32), SWEEP),
    "relative ms": ("time_stamp", (SWEEP * 1e3).astype(np.float32), SWEEP),
    "relative ns as floats": ("timestamp", SWEEP * 1e9, SWEEP),
    "a clock of its own, s": ("timestamp", 4321.5 + SWEEP, SWEEP),
    "a clock of its own, us of the hour": ("t", (3_000_000_000 + SWEEP * 1e6).astype(np.uint32), SWEEP),
    "20 Hz": ("t", (SWEEP / 2 * 1e9).astype(np.uint32), SWEEP / 2),
    "Ouster that looks into 2 degrees": ("t", (SWEEP / 180 * 1e9).astype(np.uint32), SWEEP / 180),
}


@pytest.mark.parametrize("lidar", KNOWN)
def test_times_of_known_lidars(lidar):
    name, values, expected = KNOWN[lidar]
    found = relative_times(name, values, STAMP)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=3e-6)


@pytest.mark.parametrize("name", TIME_NAMES)
def test_zeros_of_points_without_an_echo_count_as_the_begin(name):
    values = absolute(0, 1)
    values[::200] = 0
    found = relative_times(name, values, STAMP)
    assert np.abs(np.delete(found, np.s_[::200]) - np.delete(SWEEP, np.s_[::200])).max() < 0.0015
    assert (found[::200] < 0.0015).all()


@pytest.mark.parametrize(
    "values",
    [np.zeros(9), np.full(9, np.nan), np.full(9, 1.7e9, np.float32), np.arange(9) * 1e9 + 5, np.array([7], np.uint32)],
    ids=["zeros", "NaN", "absolute s as float32", "too long", "one point"],
)
def test_times_that_tell_nothing_are_left_out(values):
    assert relative_times("time", values, STAMP) is None


@given(
    st.lists(st.floats(width=64) | st.floats(0, 1), min_size=1, max_size=30),
    st.sampled_from(["f4", "f8", "u4"]),
    st.integers(0, 2**31 * S),
)
def test_whatever_comes_times_are_finite_and_short(values, kind, stamp):
    with np.errstate(all="ignore"):
        found = relative_times("t", np.array(values).astype(kind), stamp)
    assert found is None or (np.isfinite(found).all() and np.abs(found).max() <= 2 * LONGEST + 1e-3)
