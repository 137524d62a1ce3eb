"""Pictures to judge pseudo labels by."""

import cv2
import numpy as np

from occ_core.taxonomy import CLASS_NAMES, COLORS, IGNORE

_LEGEND_ROW, _LEGEND_COLUMN = 22, 150


def overlay(image: np.ndarray, classes: np.ndarray, opacity: float = 0.55) -> np.ndarray:
    """The image with the classes' colours over it and a legend of those present, (H + legend, W, 3) uint8 RGB.

    image : (H, W, 3) uint8 RGB; classes : (H, W) uint8, 255 unknown, left as it is
    """
    known = classes != IGNORE
    blended = image.copy()
    blended[known] = (1 - opacity) * image[known] + opacity * COLORS[classes[known]]
    return np.concatenate([blended, _legend(classes, image.shape[1])])


def _legend(classes: np.ndarray, width: int) -> np.ndarray:
    counts = np.bincount(classes.reshape(-1), minlength=256)[: len(CLASS_NAMES)]
    present = sorted(np.flatnonzero(counts), key=lambda number: -counts[number])
    columns = max(width // _LEGEND_COLUMN, 1)
    picture = np.full((max(-(-len(present) // columns), 1) * _LEGEND_ROW, width, 3), 255, np.uint8)
    for place, number in enumerate(present):
        x, y = place % columns * _LEGEND_COLUMN, place // columns * _LEGEND_ROW
        cv2.rectangle(picture, (x + 4, y + 4), (x + 18, y + 18), COLORS[number].tolist(), cv2.FILLED)
        text = f"{CLASS_NAMES[number]} {counts[number] / classes.size:.1%}"
        cv2.putText(picture, text, (x + 24, y + 16), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (0, 0, 0), 1, cv2.LINE_AA)
    return picture
