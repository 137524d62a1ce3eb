"""Calibration error and risk-coverage, by hand."""

import numpy as np
import pytest

from occ_core.reliability import Reliability
from occ_core.taxonomy import IGNORE


def frame(rows):
    """Arrays of (label, confidence, truth, how many)."""
    labels, confidence, truth, number = np.array(rows).T
    return [np.repeat(values, number).astype(np.uint8) for values in (labels, confidence, truth)]


def test_confidence_that_is_the_probability_has_no_error():
    reliability = Reliability()
    reliability.add(*frame([(0, 255, 0, 900), (9, 204, 9, 80), (9, 204, 0, 20)]))
    summary = reliability.summary()
    assert summary["all"]["ece"] == summary["occupied"]["ece"] == pytest.approx(0)
    assert summary["all"]["decisions"] == 1000 and summary["occupied"]["decisions"] == 100


def test_error_and_risk_are_counted_by_hand():
    reliability = Reliability()
    # A wrong class on an occupied voxel is a right decision between free and occupied; ignored voxels do not count.
    reliability.add(*frame([(0, 255, 0, 60), (9, 255, 13, 20), (1, 51, 0, 20), (1, 0, IGNORE, 50)]))
    summary = reliability.summary()
    assert summary["all"]["ece"] == pytest.approx(100 * 0.2 * 0.2)
    assert summary["occupied"]["ece"] == pytest.approx(100 * 0.5 * 0.2)
    assert summary["all"]["risk"]["80 %"] == pytest.approx(0, abs=1e-9)
    assert summary["all"]["risk"]["100 %"] == pytest.approx(20)
    assert summary["occupied"]["risk"]["100 %"] == pytest.approx(50)


def test_without_decisions_nothing_is_wrong():
    assert Reliability().summary()["all"]["ece"] == 0
