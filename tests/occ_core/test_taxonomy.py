import numpy as np
import pytest

from occ_core import CLASS_NAMES, COLORS, IGNORE, NUM_CLASSES
from occ_core.taxonomy import points_from_raw, raw_from_classes, voxels_from_raw

RAW_IDS = {
    "car": (10, 252),
    "bicycle": (11,),
    "motorcycle": (15,),
    "truck": (18, 258),
    "other-vehicle": (13, 16, 20, 256, 257, 259),
    "person": (30, 254),
    "bicyclist": (31, 253),
    "motorcyclist": (32, 255),
    "road": (40, 60),
    "parking": (44,),
    "sidewalk": (48,),
    "other-ground": (49,),
    "building": (50,),
    "fence": (51,),
    "vegetation": (70,),
    "trunk": (71,),
    "terrain": (72,),
    "pole": (80,),
    "traffic-sign": (81,),
}
CASES = [(raw, CLASS_NAMES.index(name)) for name, raws in RAW_IDS.items() for raw in raws]


@pytest.mark.parametrize(("raw", "expected"), CASES)
def test_raw_id_to_class(raw, expected):
    assert voxels_from_raw(np.array([raw], np.uint16)) == expected
    assert points_from_raw(np.array([raw], np.uint32)) == expected


def test_raw_zero_is_empty_for_voxels_and_ignored_for_points():
    assert voxels_from_raw(np.array([0], np.uint16)) == 0
    assert points_from_raw(np.array([0], np.uint32)) == IGNORE


def test_every_other_raw_id_is_ignored():
    known = {raw for raw, _ in CASES} | {0}
    others = np.array([raw for raw in range(65536) if raw not in known], np.uint16)
    assert {1, 52, 99} <= set(others.tolist())
    assert (voxels_from_raw(others) == IGNORE).all()
    assert (points_from_raw(others.astype(np.uint32)) == IGNORE).all()


def test_raw_255_is_a_moving_motorcyclist_and_not_ignored():
    raw = np.array([255, 1], np.uint16)
    np.testing.assert_array_equal(voxels_from_raw(raw), (8, IGNORE))


def test_invalid_voxels_are_ignored_whatever_their_label():
    labels = voxels_from_raw(np.array([0, 40, 255], np.uint16), invalid=np.array([1, 0, 1], np.uint8))
    np.testing.assert_array_equal(labels, (IGNORE, 9, IGNORE))


def test_instance_in_the_high_half_does_not_matter():
    assert points_from_raw(np.array([0xABCD << 16 | 252], np.uint32)) == 1


def test_classes_to_raw_ids():
    expected = [0, 10, 11, 15, 18, 20, 30, 31, 32, 40, 44, 48, 49, 50, 51, 70, 71, 72, 80, 81]
    raw = raw_from_classes(np.arange(NUM_CLASSES, dtype=np.uint8))
    assert raw.dtype == np.uint16
    np.testing.assert_array_equal(raw, expected)


def test_classes_survive_the_way_to_raw_ids_and_back():
    classes = np.random.default_rng(0).integers(0, NUM_CLASSES, (8, 8, 4), np.uint8)
    np.testing.assert_array_equal(voxels_from_raw(raw_from_classes(classes)), classes)


@pytest.mark.parametrize("value", [20, 255])
def test_a_value_that_is_no_class_has_no_raw_id(value):
    with pytest.raises(ValueError, match=rf"expected 0\.\.19, got {value}"):
        raw_from_classes(np.array([3, value], np.uint8))


def test_names_and_colours_go_together():
    assert (len(CLASS_NAMES), COLORS.shape, COLORS.dtype) == (20, (20, 3), np.uint8)
    for name, color in {"car": (100, 150, 245), "road": (255, 0, 255), "vegetation": (0, 175, 0)}.items():
        assert tuple(COLORS[CLASS_NAMES.index(name)]) == color
