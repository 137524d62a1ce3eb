"""A model card says what the manifest says, and names what is not recorded."""

from dataclasses import replace

import pytest

from export.model_card import model_card
from occ_core.reliability import Reliability
from occ_runtime import OCCLE, Bundle, find_bundle


@pytest.fixture(scope="module")
def bundle():
    return Bundle.load(find_bundle(OCCLE))


def test_a_card_has_data_figures_and_failures(bundle):
    recipe = {"joint_steps": 7, "joint_epochs": 0.0, "training": {"batch": 2}}
    training = {
        "data": ["streets"],
        "recipe": recipe,
        "rigs": ["HDL-64E, 1.73 m"],
        "known_failures": ["people at night"],
    }
    metrics = {"KITTI 07": {"iou": 70.0, "precision": 80.0, "frames": 10}}
    info = replace(bundle, training=training, metrics=metrics)
    card = model_card(info, with_checkpoint=True, with_picture=True)
    assert card.startswith("# occle-nano, version ") and "Weights: CC-BY-NC-SA-4.0." in card
    for wanted in (
        "- HDL-64E, 1.73 m",
        "- people at night",
        "- joint steps: 7",
        "![Frames on which it fails](failures.png)",
        "| data | iou |",
        "Not calibrated",
        "--initial",
    ):
        assert wanted in card, wanted
    assert card.count("\n| KITTI 07") == 1


def test_a_card_has_the_calibration(bundle):
    summary = Reliability().summary()
    figures = {"frames": 3, "drives": ["a", "b"], "occupancy": {"before": summary, "after": summary}}
    card = model_card(replace(bundle, training={}, metrics={"confidence": figures}), with_checkpoint=False)
    assert "fitted on 3 frames of a, b" in card and "| occupied, calibrated | 0.00 |" in card
    assert card.count("Not recorded.") == 5 and "--initial" not in card
