"""A segmenter for synthetic drives: the exact classes of the pixels, with the errors that OccLE's section 3.2 names.

A dataset-specific segmenter gives MSeg ids, which have no trunk, parking or other-ground: those pixels get the classes
that such a segmenter predicts for them. It splits classes that SemanticKITTI merges (fences, poles, other vehicles),
confuses similar classes in places, misses small objects, and its borders are shifted. An open-vocabulary segmenter
finds most objects of a prompt, and some that only look like it. The shares are our guess, not measured on real models.
"""

from collections.abc import Iterator

import cv2
import numpy as np

from occ_core.taxonomy import CLASS_NAMES, IGNORE

from ..kitti import DataError, Sequence, read_classes
from .mseg import IDS
from .segmenters import Segmentation

# Class -> what the dataset-specific segmenter predicts for it, and how often.
SEEN_AS = {
    "car": {"car": 0.97, "truck": 0.03},
    "bicycle": {"bicycle": 0.85, "motorcycle": 0.15},
    "motorcycle": {"motorcycle": 0.8, "bicycle": 0.2},
    "truck": {"truck": 0.75, "bus": 0.1, "car": 0.15},
    "other-vehicle": {"bus": 0.3, "trailer": 0.3, "car": 0.25, "truck": 0.15},
    "person": {"person": 0.92, "bicyclist": 0.08},
    "bicyclist": {"bicyclist": 0.6, "rider_other": 0.2, "person": 0.2},
    "motorcyclist": {"motorcyclist": 0.6, "bicyclist": 0.2, "person": 0.2},
    "road": {"road": 0.97, "sidewalk_pavement": 0.03},
    "parking": {"road": 0.75, "sidewalk_pavement": 0.25},
    "sidewalk": {"sidewalk_pavement": 0.85, "road": 0.12, "terrain": 0.03},
    "other-ground": {"sidewalk_pavement": 0.4, "terrain": 0.3, "road": 0.3},
    "building": {"building": 0.93, "wall": 0.04, "vegetation": 0.03},
    "fence": {"fence": 0.5, "wall": 0.25, "railing_banister": 0.1, "guard_rail": 0.05, "vegetation": 0.1},
    "vegetation": {"vegetation": 0.96, "terrain": 0.04},
    "trunk": {"vegetation": 0.85, "pole": 0.15},
    "terrain": {"terrain": 0.75, "vegetation": 0.2, "sidewalk_pavement": 0.05},
    "pole": {"pole": 0.65, "streetlight": 0.2, "column": 0.05, "building": 0.05, "vegetation": 0.05},
    "traffic-sign": {"traffic_sign": 0.75, "traffic_light": 0.1, "billboard": 0.15},
}
LOOK_ALIKES = {"trunk": "pole"}
_SMALL = [CLASS_NAMES.index(name) for name in ("bicycle", "motorcycle", "person", "bicyclist", "pole", "traffic-sign")]
_LOST_AREA = 80.0  # px: a small object of this area is missed with probability 1/e
_SHIFT = 1.5  # px, standard deviation of the borders' shift


class NoisySegmenter:
    """Segments synthetic drives that have `pixel_labels`; a frame's noise depends on the seed and its id only."""

    def __init__(self, seed: int, prompts: tuple[str, ...]):
        self.seed, self.prompts = seed, prompts
        self.recipe = {"segmenter": "synthetic", "seed": seed}

    def __call__(self, sequence: Sequence, frame: str, image: np.ndarray) -> Segmentation:
        path = sequence.file("pixel_labels", frame, "png")
        if not path.is_file():
            raise DataError(f"{path}: missing; make the drive with its pixels' labels: occ-data synth --pixel-labels")
        exact = read_classes(path)
        if exact.shape != image.shape[:2]:
            raise DataError(f"{path}: shape {exact.shape}; expected {image.shape[:2]}, that of the image")
        return noisy_segmentation(exact, np.random.default_rng([self.seed, int(frame)]), self.prompts)


def noisy_segmentation(exact: np.ndarray, rng: np.random.Generator, prompts: tuple[str, ...] = ()) -> Segmentation:
    """exact : (H, W) uint8 classes, 255 sky; prompts : names of classes."""
    ids = _confuse(_miss_small(_shift_borders(exact, rng), rng), rng)
    return Segmentation(ids, {prompt: _found(exact, prompt, rng) for prompt in prompts})


def _shift_borders(image: np.ndarray, rng) -> np.ndarray:
    """Shift every pixel by a smooth random field."""
    rows, columns = np.indices(image.shape, np.float32)
    columns, rows = columns + _SHIFT * _smooth(image.shape, 8, rng), rows + _SHIFT * _smooth(image.shape, 8, rng)
    return cv2.remap(image, columns, rows, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)


def _miss_small(classes: np.ndarray, rng) -> np.ndarray:
    """Remove small objects; their surroundings fill the place."""
    lost = np.zeros(classes.shape, bool)
    for number in _SMALL:
        for thing in _things(classes == number):
            lost[thing] |= rng.random() < np.exp(-len(thing[0]) / _LOST_AREA)
    if not lost.any() or lost.all():
        return classes
    _, nearest = cv2.distanceTransformWithLabels(
        lost.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    kept = np.empty(nearest.max() + 1, np.uint8)
    kept[nearest[~lost]] = classes[~lost]
    return kept[nearest]


def _confuse(classes: np.ndarray, rng) -> np.ndarray:
    """(H, W) uint8 MSeg ids; one class is taken for another in patches."""
    share = 1 / (1 + np.exp(-1.702 * _smooth(classes.shape, 48, rng)))  # about uniform in 0..1
    ids = np.full(classes.shape, IDS["sky"], np.uint8)
    for name, seen_as in SEEN_AS.items():
        pixels = classes == CLASS_NAMES.index(name)
        choice = np.searchsorted(np.cumsum(list(seen_as.values()))[:-1], share[pixels])
        ids[pixels] = np.array([IDS[seen] for seen in seen_as], np.uint8)[choice]
    return ids


def _found(exact: np.ndarray, prompt: str, rng) -> np.ndarray:
    """(H, W) float32 scores of the open-vocabulary masks."""
    if prompt not in CLASS_NAMES[1:]:
        raise DataError(
            f"prompt {prompt!r}: the synthetic segmenter finds classes by name: {', '.join(CLASS_NAMES[1:])}"
        )
    scores = np.zeros(exact.shape, np.float32)
    for thing in _things(exact == CLASS_NAMES.index(prompt)):
        if rng.random() < 0.85:
            scores[thing] = rng.uniform(0.4, 0.9)
    if prompt in LOOK_ALIKES:
        for thing in _things(exact == CLASS_NAMES.index(LOOK_ALIKES[prompt])):
            if rng.random() < 0.15:
                scores[thing] = rng.uniform(0.2, 0.6)
    height, width = exact.shape
    for _ in range(rng.poisson(3)):  # upright false detections
        v, u, high, wide = (int(rng.integers(n)) for n in (height, width, height // 4 + 1, width // 60 + 1))
        scores[v : v + high, u : u + wide] = rng.uniform(0.2, 0.5)
    scores[exact == IGNORE] = 0
    return _shift_borders(scores, rng)


def _things(mask: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The pixels (rows, columns) of each connected piece."""
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    rows, columns = np.nonzero(labels)
    order = np.argsort(labels[rows, columns], kind="stable")
    ends = np.cumsum(np.bincount(labels[rows, columns], minlength=count)[1:])[:-1]
    if count > 1:
        yield from zip(np.split(rows[order], ends), np.split(columns[order], ends), strict=True)


def _smooth(shape: tuple[int, int], cell: int, rng) -> np.ndarray:
    """Random field of mean 0 and standard deviation 1 that changes over `cell` pixels, (H, W) float32."""
    coarse = rng.normal(size=(shape[0] // cell + 2, shape[1] // cell + 2)).astype(np.float32)
    field = cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return (field - field.mean()) / max(float(field.std()), 1e-6)
