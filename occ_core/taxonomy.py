"""The 20 SemanticKITTI classes and their conversion to and from raw ids, by lookup tables."""

import numpy as np

IGNORE = 255
CLASS_NAMES = (
    "empty", "car", "bicycle", "motorcycle", "truck", "other-vehicle", "person", "bicyclist", "motorcyclist", "road",
    "parking", "sidewalk", "other-ground", "building", "fence", "vegetation", "trunk", "terrain", "pole",
    "traffic-sign",
)  # fmt: skip
NUM_CLASSES = len(CLASS_NAMES)
COLORS = np.array(
    [
        (0, 0, 0), (100, 150, 245), (100, 230, 245), (30, 60, 150), (80, 30, 180), (0, 0, 255), (255, 30, 30),
        (255, 40, 200), (150, 30, 90), (255, 0, 255), (255, 150, 255), (75, 0, 75), (175, 0, 75), (255, 200, 0),
        (255, 120, 50), (0, 175, 0), (135, 60, 0), (150, 240, 80), (255, 240, 150), (255, 0, 0),
    ],
    np.uint8,
)  # fmt: skip
"""(20, 3) uint8, red green blue."""

_RAW_IDS = {
    1: (10, 252), 2: (11,), 3: (15,), 4: (18, 258), 5: (13, 16, 20, 256, 257, 259), 6: (30, 254), 7: (31, 253),
    8: (32, 255), 9: (40, 60), 10: (44,), 11: (48,), 12: (49,), 13: (50,), 14: (51,), 15: (70,), 16: (71,), 17: (72,),
    18: (80,), 19: (81,),
}  # fmt: skip
MOVING_RAW_IDS = (252, 253, 254, 255, 256, 257, 258, 259)
_INVERSE = np.array([0, 10, 11, 15, 18, 20, 30, 31, 32, 40, 44, 48, 49, 50, 51, 70, 71, 72, 80, 81], np.uint16)

# One table for all 65,536 raw ids: raw 255 (moving motorcyclist) must not be taken for the ignore value.
_TO_CLASS = np.full(65536, IGNORE, np.uint8)
for _class, _raws in _RAW_IDS.items():
    _TO_CLASS[list(_raws)] = _class
_VOXEL_TO_CLASS = _TO_CLASS.copy()
_VOXEL_TO_CLASS[0] = 0


def points_from_raw(raw: np.ndarray) -> np.ndarray:
    """Per-point raw labels (uint32, instance in the high half) -> classes 1..19, or IGNORE. Any shape, uint8."""
    return _TO_CLASS[np.asarray(raw) & 0xFFFF]


def voxels_from_raw(raw: np.ndarray, invalid: np.ndarray | None = None) -> np.ndarray:
    """Voxel raw labels (uint16) -> 0 empty, 1..19, IGNORE for unlabelled, outlier and unknown ids and where invalid."""
    classes = _VOXEL_TO_CLASS[raw]
    if invalid is not None:
        classes[np.asarray(invalid, bool)] = IGNORE
    return classes


def raw_from_classes(classes: np.ndarray) -> np.ndarray:
    """Classes 0..19 -> raw ids (uint16), as SemanticKITTI's submission format needs them.

    Raises ValueError for any other value: writing a wrong id would be scored silently.
    """
    classes = np.asarray(classes)
    if classes.size and classes.max() >= NUM_CLASSES:
        raise ValueError(f"classes: expected 0..{NUM_CLASSES - 1}, got {int(classes.max())}")
    return _INVERSE[classes]
