"""What the teacher says of frames without labels: written once, and how certain is certain enough."""

import numpy as np
import pytest
import yaml

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from hypothesis.extra.numpy import arrays  # noqa: E402

from occ_core import IGNORE  # noqa: E402
from occ_data.kitti import Sequence, read_gray, write_png  # noqa: E402
from occ_models.config import load_config  # noqa: E402
from occ_models.data import FrameDataset, collate  # noqa: E402
from occ_models.frames import frames_of  # noqa: E402
from occ_models.occle.config import OccLEConfig  # noqa: E402
from occ_models.occle.geometric import occupancy_logit  # noqa: E402
from occ_models.occle.geometry_labels import (  # noqa: E402
    THRESHOLDS,
    class_thresholds,
    confidence_thresholds,
    label_geometry,
)
from occ_models.occle.model import OccLE  # noqa: E402
from occ_models.targets import CERTAIN, read_geometry  # noqa: E402

from .conftest import PICO  # noqa: E402

CONFIG = load_config(PICO, OccLEConfig)
TAU, KEEP = 0.9, 0.5


def histogram(**counts):
    """Numbers of voxels by their pixel value, given as p12=number."""
    result = np.zeros(255, int)
    for pixel, count in counts.items():
        result[int(pixel[1:])] = count
    return result


def test_tau_holds_where_enough_of_a_class_passes():
    assert class_thresholds(histogram(p0=90, p100=10, p254=30, p140=5), 0.95, 0.7) == (0.95, 0.95)


def test_a_class_that_is_seldom_certain_gets_a_lower_threshold():
    free, occupied = class_thresholds(histogram(p0=1000, p254=10, p200=50, p130=40), 0.95, 0.6)
    assert free == 0.95
    assert occupied == pytest.approx(200 / CERTAIN)  # 10 are not six tenths of the hundred, 10 + 50 are
    assert class_thresholds(histogram(p254=10, p200=50, p130=40), 0.95, 0.61)[1] == pytest.approx(130 / CERTAIN)


def test_a_class_that_is_never_predicted_keeps_tau():
    assert class_thresholds(np.zeros(255, int), 0.95, 0.7) == (0.95, 0.95)
    assert class_thresholds(histogram(p100=5), 0.95, 1.0) == (pytest.approx(154 / CERTAIN), 0.95)


@settings(deadline=None)
@given(arrays(int, 255, elements=st.integers(0, 50)), st.floats(0.5, 1), st.floats(0, 1), st.floats(0, 1))
def test_keeping_more_never_raises_a_threshold(counts, tau, keep, other):
    less, more = (class_thresholds(counts, tau, share) for share in sorted((keep, other)))
    assert all(0.5 <= low <= high <= tau for low, high in zip(more, less, strict=True))


@settings(deadline=None)
@given(st.lists(st.integers(0, CERTAIN), min_size=1, max_size=60), st.floats(0, 1))
def test_at_least_the_share_to_keep_of_each_class_is_read_as_certain(tmp_path_factory, pixels, keep):
    path = tmp_path_factory.getbasetemp() / "share.png"
    write_png(path, np.array([pixels], np.uint8))
    thresholds = class_thresholds(np.bincount(pixels, minlength=256)[:255], 0.95, keep)
    labels = read_geometry(path, (1, 1, len(pixels)), thresholds).ravel()
    predicted = (np.array(pixels) > CERTAIN / 2).astype(int)
    for c in (0, 1):
        assert (labels == c).sum() >= keep * (predicted == c).sum() - 1e-6
        assert ((labels == c) <= (predicted == c)).all()


@pytest.fixture(scope="module")
def labelled(sequence, tmp_path_factory):
    """The network, the data set of two frames with labels and two without, the folder and the returned frames."""
    torch.manual_seed(0)
    model = OccLE(CONFIG)
    data = FrameDataset(frames_of([Sequence(sequence)], 0.5), CONFIG, image_labels=None)
    folder = tmp_path_factory.mktemp("teacher") / "labels"
    return model, data, folder, label_geometry(model, data, folder)


def test_frames_without_labels_get_files_and_no_others(labelled):
    _, data, folder, frames = labelled
    wanted = sorted(folder / "0_00" / f"{f.id}.png" for f in data.frames if not f.labelled)
    assert len(wanted) == 2 and sorted(folder.rglob("*.png")) == wanted
    assert [f.occupied for f in frames if f.labelled] == [None, None]
    assert [f.occupied for f in frames if not f.labelled] == wanted
    assert [f._replace(occupied=None) for f in frames] == data.frames


def test_files_hold_the_networks_probabilities(labelled):
    model, data, _, frames = labelled
    model.eval()
    for item, frame in enumerate(frames):
        if frame.occupied:
            batch = collate([data[item]])
            with torch.no_grad():
                expected = occupancy_logit(model.geometry(*(batch[name] for name in CONFIG.inputs)))[0].sigmoid()
            found = read_gray(frame.occupied).reshape(expected.shape) / CERTAIN
            assert found.std() > 0
            np.testing.assert_allclose(found, expected, atol=1 / CERTAIN)


def test_thresholds_come_from_all_files_together(labelled, tmp_path):
    _, _, _, frames = labelled
    pixels = np.concatenate([read_gray(f.occupied).ravel() for f in frames if f.occupied])
    expected = class_thresholds(np.bincount(pixels, minlength=256)[:255], TAU, KEEP)
    file = tmp_path / THRESHOLDS
    assert confidence_thresholds(frames, file, TAU, KEEP) == expected
    values = yaml.safe_load(file.read_text())
    assert (values["tau"], values["keep"]) == (TAU, KEEP)
    assert confidence_thresholds([], file, 0.5, 0.1) == expected  # the file counts, once it is there


def test_a_second_call_writes_nothing_anew_and_only_what_is_missing(labelled):
    model, data, folder, frames = labelled
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in paths}
    assert label_geometry(model, data, folder) == frames
    assert {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in paths} == before
    lost = next(path for path in paths if path.suffix == ".png")
    pixels = read_gray(lost)
    lost.unlink()
    label_geometry(model, data, folder)
    np.testing.assert_array_equal(read_gray(lost), pixels)
    assert {path: path.stat().st_ino for path in paths if path != lost} == {
        path: inode for path, (_, inode) in before.items() if path != lost
    }
    assert sorted(path for path in folder.rglob("*") if path.is_file()) == paths


def test_the_students_data_set_learns_from_the_files(labelled, tmp_path):
    _, data, _, frames = labelled
    thresholds = confidence_thresholds(frames, tmp_path / THRESHOLDS, TAU, KEEP)
    taught = FrameDataset(frames, CONFIG, image_labels=None, thresholds=thresholds)
    for item, frame in enumerate(frames):
        geometry = taught[item]["geometry"]
        known = (geometry != IGNORE).float().mean().item()
        if frame.labelled:
            assert torch.equal(geometry, data[item]["geometry"])
        else:
            assert known > KEEP - 0.2 and (data[item]["geometry"] == IGNORE).all()
            assert (taught[item]["labels"] == IGNORE).all()
