import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from occ_core import IGNORE, CompletionMetrics


def test_vector_of_the_definition():
    metrics = CompletionMetrics()
    metrics.add(np.array([0, 1, 1, 2, 1], np.uint8), np.array([0, 0, 1, 1, 255], np.uint8))
    summary = metrics.summary()
    assert summary["iou"] == pytest.approx(100 * 2 / 3)
    assert summary["precision"] == pytest.approx(100 * 2 / 3)
    assert summary["recall"] == pytest.approx(100)
    assert summary["class_iou"]["car"] == pytest.approx(100 / 3)
    assert summary["class_iou"]["bicycle"] == 0
    assert summary["miou"] == pytest.approx(100 / 3 / 19)
    assert summary["miou_present"] == pytest.approx(100 / 3)


def from_the_definition(frames) -> dict:
    """Counted with sets of voxels, one class after the other."""
    intersections, unions, present = np.zeros(20), np.zeros(20), np.zeros(20, bool)
    tp = fp = fn = 0
    for prediction, truth, invalid in frames:
        for p, y, out in zip(prediction.ravel(), truth.ravel(), invalid.ravel(), strict=True):
            if y == IGNORE or out == 1:
                continue
            tp += p > 0 and y > 0
            fp += p > 0 and y == 0
            fn += p == 0 and y > 0
            for c in {int(p), int(y)} - {0}:
                intersections[c] += p == y
                unions[c] += 1
            present[y] = True
    iou = [100 * intersections[c] / unions[c] if unions[c] else 0.0 for c in range(1, 20)]
    shown = [value for c, value in enumerate(iou, 1) if present[c]]
    return {
        "iou": 100 * tp / (tp + fp + fn) if tp + fp + fn else 0.0,
        "precision": 100 * tp / (tp + fp) if tp + fp else 0.0,
        "recall": 100 * tp / (tp + fn) if tp + fn else 0.0,
        "miou": sum(iou) / 19,
        "miou_present": sum(shown) / len(shown) if shown else 0.0,
    }


frame = st.tuples(
    arrays(np.uint8, (4, 4, 2), elements=st.integers(0, 19)),
    arrays(np.uint8, (4, 4, 2), elements=st.sampled_from([*range(20), IGNORE])),
    arrays(np.uint8, (4, 4, 2), elements=st.integers(0, 1)),
)


@given(st.lists(frame, min_size=1, max_size=3))
def test_metrics_equal_the_definition(frames):
    metrics = CompletionMetrics()
    for prediction, truth, invalid in frames:
        metrics.add(prediction, truth, invalid)
    summary = metrics.summary()
    for name, value in from_the_definition(frames).items():
        assert summary[name] == pytest.approx(value), name


def test_counts_are_summed_before_dividing():
    metrics = CompletionMetrics()
    metrics.add(np.array([1], np.uint8), np.array([1], np.uint8))
    metrics.add(np.array([0, 0, 0], np.uint8), np.array([1, 1, 1], np.uint8))
    assert metrics.summary()["iou"] == pytest.approx(25)


def test_nothing_counted_gives_zeros():
    summary = CompletionMetrics().summary()
    assert (summary["iou"], summary["miou"], summary["voxels"]) == (0, 0, 0)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"prediction has shape \(2,\), truth \(3,\)"):
        CompletionMetrics().add(np.zeros(2, np.uint8), np.zeros(3, np.uint8))


def test_a_prediction_that_is_no_class_is_refused():
    with pytest.raises(ValueError, match=r"expected classes 0\.\.19, got 255"):
        CompletionMetrics().add(np.array([255], np.uint8), np.array([0], np.uint8))
