"""Temperatures that are known are found again, and calibrated confidence is probability."""

import numpy as np
import pytest

from occ_core.taxonomy import IGNORE
from occ_models.confidence import PLAIN, Confidence
from occ_models.temperature import LogitCounts, best_offset, figures, fit, iou_by_offset, reliability

ROAD, POLE = 9, 18


@pytest.fixture(scope="module")
def counts():
    """Two frames of a network whose logits are three times too large on the road; its poles are there in one of five
    cases whatever the logit; and what it calls free is right as it says.
    """
    random = np.random.default_rng(0)
    found = LogitCounts()
    for _ in range(2):
        logits = random.normal(-1, 4, (64, 64, 16))
        semantics = random.normal(0, 1, (32, 32, 19, 8))
        semantics[:, :, ROAD - 1], semantics[:, 16:, POLE - 1] = 8, 9
        pole = np.zeros(logits.shape, bool)
        pole[:, 32:] = True
        p = np.where(logits > 0, np.where(pole, 0.2, 1 / (1 + np.exp(-logits / 3))), 1 / (1 + np.exp(-logits)))
        truth = np.where(random.random(logits.shape) < p, ROAD, 0).astype(np.uint8)
        truth[:4] = IGNORE
        found.add(logits, semantics, truth)
    return found


def test_known_temperatures_are_found(counts):
    found = fit(counts)
    assert found.temperatures[0] == pytest.approx(1, rel=0.15) and found.shifts[0] == pytest.approx(0, abs=0.2)
    assert found.temperatures[ROAD] == pytest.approx(3, rel=0.15) and found.shifts[ROAD] == pytest.approx(0, abs=0.15)


def test_calibrated_confidence_is_probability(counts):
    before, after = (reliability(counts, c).summary() for c in (PLAIN, fit(counts)))
    assert before["occupied"]["ece"] > 20 and after["occupied"]["ece"] < 4
    assert after["all"]["ece"] < min(before["all"]["ece"], 2)
    assert after["all"]["decisions"] == 2 * 60 * 64 * 16
    assert after["occupied"]["aurc"] < before["occupied"]["aurc"]


def test_a_class_that_is_never_predicted_has_the_temperature_of_all(counts):
    found = fit(counts)
    assert found.temperatures[1] == found.temperatures[2] and found.shifts[1] == found.shifts[2]


def test_the_offset_decides_the_iou(counts):
    ious = iou_by_offset(counts)
    assert ious[best_offset(counts)] == max(ious.values())
    labels = LogitCounts()
    labels.add(np.array([-3.0, 3.0, 0.5, 0.5]).reshape(2, 2, 1).repeat(2, 2), np.zeros((1, 1, 19, 1)),
               np.array([0, 9, 9, 0], np.uint8).reshape(2, 2, 1).repeat(2, 2))  # fmt: skip
    ious = iou_by_offset(labels)
    assert ious[0.0] == pytest.approx(100 * 2 / 3) and ious[-1.0] == pytest.approx(100 / 2)


def test_figures_are_plain_values(counts):
    found = figures(counts, Confidence(0.5))
    assert found["frames"] == 2 and set(found["occupancy"]) == {"before", "after"}
    assert found["class"]["temperature"] > 1  # it calls a pole what is road
    assert "0.5" in found["iou_by_offset"] and "0.0" in found["iou_by_offset"]
