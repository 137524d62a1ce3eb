"""The noisy segmenter on a synthetic frame: which faults it has, and that aligning helps against them."""

import numpy as np
import pytest

from occ_cli.data import main
from occ_core.taxonomy import CLASS_NAMES, IGNORE, points_from_raw
from occ_data.kitti import DataError, Sequence, read_classes
from occ_data.pseudo_labels import Aligner, load_table
from occ_data.pseudo_labels.mseg import IDS
from occ_data.pseudo_labels.noisy import SEEN_AS, noisy_segmentation
from occ_data.pseudo_labels.report import class_iou, confusion, mean_iou

TRUNK = CLASS_NAMES.index("trunk")


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    """A drive of one frame with its pixels' labels."""
    pytest.importorskip("embreex")
    root = tmp_path_factory.mktemp("pixels")
    arguments = ["synth", "--output", str(root), "--sequences", "90", "--frames", "1", "--seed", "6", "--pixel-labels"]
    assert main(arguments) == 0
    return root


@pytest.fixture(scope="module")
def exact(drive):
    return read_classes(drive / "sequences/90/pixel_labels/000000.png")


def aligned(exact, table: str, seed: int = 0):
    rules = load_table(table)
    return Aligner(rules)(*noisy_segmentation(exact, np.random.default_rng(seed), tuple(rules.prompts)))


def test_pixel_labels_are_those_of_the_image(drive, exact):
    from occ_data.synthetic import Drive

    sequence = Sequence(drive / "sequences/90")
    frame = Drive(6, 1).frame(0)
    np.testing.assert_array_equal(exact, points_from_raw(frame.pixel_labels))
    np.testing.assert_array_equal(sequence.image("000000"), frame.image)
    assert (exact[:10] == IGNORE).any() and len(np.unique(exact)) >= 8


def test_aligned_labels_are_better_than_unaligned(exact):
    for seed in range(3):
        iou = {table: confusion(aligned(exact, table, seed), exact) for table in ("none", "sane")}
        assert mean_iou(iou["sane"]) > mean_iou(iou["none"]) + 0.02
        assert class_iou(iou["sane"])[TRUNK] > 0.15 and class_iou(iou["none"])[TRUNK] == 0


def test_most_pixels_keep_their_class_and_some_do_not(exact):
    labels = aligned(exact, "sane")
    known = exact != IGNORE
    assert 0.7 < (labels[known] == exact[known]).mean() < 0.97


def test_what_mseg_lacks_is_never_seen(exact):
    ids, _ = noisy_segmentation(exact, np.random.default_rng(0))
    assert set(np.unique(ids)) <= {IDS["sky"], *(IDS[name] for seen in SEEN_AS.values() for name in seen)}
    unaligned = set(np.unique(aligned(exact, "none")))
    assert not unaligned & {CLASS_NAMES.index(n) for n in ("parking", "other-ground", "other-vehicle", "trunk")}


def test_shares_of_each_class_add_up():
    assert set(SEEN_AS) == set(CLASS_NAMES[1:])
    for name, seen_as in SEEN_AS.items():
        assert sum(seen_as.values()) == pytest.approx(1), name


def test_masks_find_most_trunks_and_other_things_too(exact):
    scores = noisy_segmentation(exact, np.random.default_rng(1), ("trunk",)).scores["trunk"]
    trunk = exact == TRUNK
    assert trunk.sum() > 200
    assert (scores[trunk] > 0).mean() > 0.5
    assert 0 < ((scores > 0) & ~trunk).mean() < 0.2
    assert scores.dtype == np.float32 and scores.max() <= 1


def test_small_things_are_lost_more_often_than_large_ones():
    def kept(size: int) -> float:
        found = []
        for seed in range(20):
            exact = np.full((120, 160), CLASS_NAMES.index("road"), np.uint8)
            exact[40 : 40 + size, 60 : 60 + size] = CLASS_NAMES.index("person")
            ids, _ = noisy_segmentation(exact, np.random.default_rng(seed))
            found.append(np.isin(ids, [IDS["person"], IDS["bicyclist"]]).any())
        return float(np.mean(found))

    assert kept(5) < 0.7 < 0.9 < kept(30)


def test_the_noise_depends_on_the_seed_alone(exact):
    first, again, other = (aligned(exact, "sane", seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_an_unknown_prompt_is_named():
    with pytest.raises(DataError, match="prompt 'bark': the synthetic segmenter"):
        noisy_segmentation(np.zeros((8, 8), np.uint8), np.random.default_rng(0), ("bark",))


def test_the_verb_measures_both_tables(drive, tmp_path, capsys):
    measured = {}
    for table in ("none", "sane"):
        arguments = ["pseudo-labels", drive, "--segmenter", "synthetic", "--table", table, "--output", tmp_path / table]
        assert main([str(argument) for argument in arguments]) == 0
        measured[table] = float(capsys.readouterr().out.rpartition("exact labels: ")[2])
    assert measured["sane"] > measured["none"]
    labels = read_classes(tmp_path / "sane/sequences/90/pseudo_labels/000000.png")
    np.testing.assert_array_equal(labels.shape, Sequence(drive / "sequences/90").image("000000").shape[:2])
