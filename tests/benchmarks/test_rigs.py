"""The shipped network on a LiDAR that is mounted otherwise, with the rig to match."""

import numpy as np
import pytest

pytest.importorskip("trimesh", reason="needs the synth extra")
pytest.importorskip("embreex", reason="needs the synth extra")

from benchmarks.frames import frames
from benchmarks.rigs import WANTED, agreement, measure, table
from occ_runtime import OCCLE, Bundle, Predictor, find_bundle, load_backend


def test_occle_nano_labels_the_same_voxels_with_the_rig_and_others_without():
    bundle = Bundle.load(find_bundle(OCCLE))
    backend = load_backend(bundle, "auto")
    rows = measure(Predictor(bundle, backend), frames(None))
    backend.close()
    assert len(rows) == 3
    for row in rows:
        assert row["right"].iou >= WANTED and row["right"].labels >= WANTED, row
        assert row["wrong"].iou < 80, row
    assert table(rows).count("synthetic (1 frames)") == 3


def test_agreement_is_counted_by_hand():
    found = agreement(np.array([0, 1, 2, 3, 0]), np.array([0, 1, 5, 0, 4]))
    assert (found.iou, found.labels) == (100 * 2 / 4, 50)
