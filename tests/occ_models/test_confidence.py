"""Labels and probabilities from logits, and the file that says how."""

import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from occ_core import NUM_CLASSES  # noqa: E402
from occ_models.confidence import PLAIN, Confidence, confidence_figures, read_confidence, write_confidence  # noqa: E402
from occ_models.config import ConfigError  # noqa: E402
from occ_models.layers.head import columns_of_cells, decide  # noqa: E402

TEMPERATURES = (2.0, *(1.0 + label / 10 for label in range(1, NUM_CLASSES)))
SHIFTS = (-0.5, *(label / 20 - 1 for label in range(1, NUM_CLASSES)))


@pytest.fixture
def logits():
    """Occupancy at full resolution (1, 8, 8, 4); the same in columns, and class logits at half resolution."""
    torch.manual_seed(0)
    occupancy = 3 * torch.randn(1, 8, 8, 4)
    return occupancy, columns_of_cells(occupancy), torch.randn(1, 4, 4, NUM_CLASSES - 1, 2)


def test_without_calibration_the_logit_decides_and_its_sigmoid_is_the_confidence(logits):
    occupancy, *columns = logits
    labels, confidence = decide(*columns)
    assert torch.equal(labels > 0, occupancy > 0)
    assert torch.equal(confidence, (occupancy.abs().sigmoid() * 255 + 0.5).to(torch.uint8))
    ones = decide(*columns, Confidence(0.0, (1.0000001,) * NUM_CLASSES))
    assert torch.equal(ones[0], labels) and (ones[1].int() - confidence.int()).abs().max() <= 1


def test_temperature_and_shift_are_those_of_the_label_and_labels_stay(logits):
    occupancy, *columns = logits
    labels, confidence = decide(*columns, Confidence(0.0, TEMPERATURES, SHIFTS))
    assert torch.equal(labels, decide(*columns)[0]) and len(labels.unique()) > 8
    temperatures, shifts = (torch.tensor(values)[labels.long()] for values in (TEMPERATURES, SHIFTS))
    occupied = (occupancy / temperatures + shifts).sigmoid()
    right = torch.where(labels > 0, occupied, 1 - occupied)
    assert (confidence.int() - (right * 255 + 0.5).int()).abs().max() <= 1


def test_the_offset_moves_decisions_and_not_probabilities(logits):
    occupancy, *columns = logits
    labels, confidence = decide(*columns, Confidence(1.5))
    assert torch.equal(labels > 0, occupancy > -1.5)
    between = (occupancy > -1.5) & (occupancy < 0)
    assert between.any() and (confidence[between] < 128).all()
    assert torch.equal(confidence[~between], decide(*columns)[1][~between])


def test_the_file_gives_back_what_was_written(tmp_path):
    assert read_confidence(tmp_path) == PLAIN and confidence_figures(tmp_path) == {}
    write_confidence(tmp_path, Confidence(0.25, TEMPERATURES, SHIFTS), {"frames": 3})
    assert read_confidence(tmp_path) == Confidence(0.25, TEMPERATURES, SHIFTS)
    assert confidence_figures(tmp_path) == {"frames": 3}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("offset: 0.0\n", "expected the keys offset, temperatures"),
        ("offset: x\ntemperatures: [1.0]\nshifts: [0.0]\n", "expected a number as the offset"),
        ("offset: 0.0\ntemperatures: [1.0]\nshifts: [0.0]\n", "temperatures: expected 20 positive numbers"),
        (f"offset: .nan\ntemperatures: {[1.0] * 20}\nshifts: [0.0]\n", "offset: expected a number"),
        (f"offset: 0\ntemperatures: {[1.0] * 20}\nshifts: [0.0]\n", "shifts: expected 20 numbers"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, text, said):
    (tmp_path / "confidence.yaml").write_text(text)
    with pytest.raises(ConfigError, match=rf"confidence\.yaml: {said}"):
        read_confidence(tmp_path)
