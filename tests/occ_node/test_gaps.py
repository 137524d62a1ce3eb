import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from occ_node.gaps import Gaps

MS = 1_000_000


def lost(stamps_ms) -> int:
    gaps = Gaps()
    return sum(gaps.lost(round(ms * MS)) for ms in stamps_ms)


@pytest.mark.parametrize("period", [33.3, 100, 500, 2000])
def test_a_complete_stream_has_no_gaps_whatever_its_rate_and_jitter(period):
    stamps = period * np.arange(200) + np.random.default_rng(0).uniform(-0.15, 0.15, 200) * period
    assert lost(stamps) == 0


@given(st.lists(st.booleans(), min_size=50, max_size=50))
def test_missing_messages_are_counted(missing):
    """The first ones show the period; half of the others may be missing."""
    kept = [n for n in range(60) if n < 10 or not missing[n - 10]]
    runs = np.diff(kept)
    if np.percentile(runs, 25) > 1 or runs.max() > 10 or sum(missing) > 20:
        return
    assert lost([100 * n for n in kept]) == kept[-1] + 1 - len(kept)


def test_a_pause_and_a_bag_that_starts_again_are_no_loss():
    stamps = [100 * n for n in range(20)]
    assert lost([*stamps, *(ms + 60_000 for ms in stamps), *stamps]) == 0


def test_repeated_stamps_are_no_loss():
    assert lost([100 * (n // 2) for n in range(40)]) == 0
