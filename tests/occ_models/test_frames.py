"""Which frames a training takes, and what must be there of them."""

import shutil
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from occ_core import IGNORE  # noqa: E402
from occ_core.errors import InputError  # noqa: E402
from occ_data import DataError, Sequence  # noqa: E402
from occ_data.synthetic import SyntheticDrive  # noqa: E402
from occ_models.config import load_config  # noqa: E402
from occ_models.data import FrameDataset  # noqa: E402
from occ_models.frames import check_frames, frames_of  # noqa: E402
from occ_models.occle.config import OccLEConfig  # noqa: E402

from .conftest import PICO  # noqa: E402

CONFIG = load_config(PICO, OccLEConfig)


def data_set(folder, config=CONFIG, share=1.0, frames=1, **more):
    drives = [Sequence(folder)]
    return FrameDataset(frames_of(drives, share, unlabelled_every=1), replace(config, frames=frames), **more)


def ids(frames, labelled):
    return [frame.id for frame in frames if frame.labelled == labelled]


def test_a_share_of_the_frames_keeps_its_labels_and_the_others_stay(sequence):
    frames = frames_of([Sequence(sequence)], 0.5)
    assert len(ids(frames, True)) == len(ids(frames, False)) == 2
    assert [str(frame) for frame in frames] == ["00/000000", "00/000001", "00/000002", "00/000003"]
    assert ids(frames_of([Sequence(sequence)], 0.0), True) == []


def test_every_nth_frame_without_voxels_takes_part(copy):
    for frame in ("000000", "000001", "000003"):
        (copy / "voxels" / f"{frame}.label").unlink()
    assert ids(frames_of([Sequence(copy)]), False) == []
    assert ids(frames_of([Sequence(copy)], unlabelled_every=1), False) == ["000000", "000001", "000003"]
    assert ids(frames_of([Sequence(copy)], unlabelled_every=2), False) == ["000000", "000003"]
    assert ids(frames_of([Sequence(copy)], unlabelled_every=2), True) == ["000002"]


def test_frames_of_several_data_sets_share_one_interval_sample_and_are_kept_apart(sequence, copy):
    frames = frames_of([Sequence(sequence), Sequence(copy)], 0.25)
    assert len(ids(frames, True)) == 2
    assert {frame.root for frame in frames[:4]} != {frame.root for frame in frames[4:]}
    kinds = FrameDataset(frames, CONFIG).kinds(by_labels=True)
    assert [[len(group) for group in kind] for kind in kinds] == [[1, 1], [3, 3]]
    assert sorted(n for kind in kinds for group in kind for n in group) == list(range(8))
    assert FrameDataset(frames, CONFIG).kinds(by_labels=False) == [[[0, 1, 2, 3], [4, 5, 6, 7]]]


@pytest.mark.parametrize("share", [1.0, 0.0])
def test_a_data_set_without_truth_names_the_remedy(copy, share):
    shutil.rmtree(copy / "voxels")
    with pytest.raises(DataError, match=r"no frame with voxel labels in .*00; run `occ-data ground-truth` first"):
        frames_of([Sequence(copy)], share)
    if not share:  # without voxel labels, images can still be trained on
        assert len(frames_of([Sequence(copy)], share, unlabelled_every=1)) == 4


@pytest.mark.parametrize(
    ("path", "image_labels", "past", "words"),
    [
        (
            "pseudo_labels/000001.png", "pseudo_labels", False,
            ": frame 000001 has no pseudo labels; make them with `occ-data pseudo-labels`",
        ),
        ("image_2/000001.png", None, False, ": frame 000001 has no image"),
        (
            "labels/000001.label", "points", False,
            ": frame 000001 has no labels of points; the classes of points come with SemanticKITTI",
        ),
        ("poses.txt", None, True, ": no poses; this network takes earlier frames, and needs to know the way"),
    ],
)  # fmt: skip
def test_a_missing_file_is_named_before_the_training_starts(copy, path, image_labels, past, words):
    check_frames(frames_of([Sequence(copy)]), image_labels, past)
    (copy / path).unlink()
    with pytest.raises(DataError) as caught:
        check_frames(frames_of([Sequence(copy)]), image_labels, past)
    assert str(caught.value) == f"{copy}{words}"


def test_a_missing_calibration_is_named(copy):
    (copy / "calib.txt").unlink()
    with pytest.raises(InputError, match=r"calib\.txt"):
        check_frames(frames_of([Sequence(copy)]), None)


def test_only_what_is_needed_must_be_there(copy):
    for name in ("pseudo_labels", "labels"):
        shutil.rmtree(copy / name)
    (copy / "poses.txt").unlink()
    check_frames(frames_of([Sequence(copy)]), None)
    with pytest.raises(DataError, match=r"frame 000000 has no pseudo labels \(nor have 3 more frames\)"):
        check_frames(frames_of([Sequence(copy)]), "pseudo_labels")


def test_a_drive_without_files_is_a_data_set():
    pytest.importorskip("embreex", reason="needs embreex (the synth extra)")
    frames = frames_of([SyntheticDrive(3, 2)])
    for image_labels in ("points", "pseudo_labels"):
        check_frames(frames, image_labels, past=True)
        sample = FrameDataset(frames, replace(CONFIG, frames=2), image_labels=image_labels)[1]
        assert sample["name"] == "synthetic-3/000001" and len(sample["image"]) == 2
        assert (sample["labels"] != IGNORE).any() and (sample["labels_2d"] != IGNORE).any()
