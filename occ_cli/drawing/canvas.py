"""Text, legends and panels on RGB pictures."""

from pathlib import Path

import cv2
import numpy as np

from occ_core import CLASS_NAMES, COLORS, IGNORE
from occ_core.files import write_bytes

PAPER = (246, 247, 249)
INK = (38, 42, 48)
FAINT = (150, 156, 164)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def write(
    picture: np.ndarray, text: str, at: tuple[int, int], size: float = 0.5, color=INK, bold: bool = False
) -> None:
    """Draw one line of text in place; `at` is the (u, v) of its baseline's left end."""
    cv2.putText(picture, text, at, _FONT, size, color, 2 if bold else 1, cv2.LINE_AA)


def text_width(text: str, size: float = 0.5, bold: bool = False) -> int:
    """Width in pixels of what `write` draws."""
    return cv2.getTextSize(text, _FONT, size, 2 if bold else 1)[0][0]


def classes_in(*grids: np.ndarray) -> list[int]:
    """The occupied classes 1..19 that occur, the most frequent first."""
    counts = np.sum([np.bincount(labels.reshape(-1), minlength=256) for labels in grids], axis=0)
    counts[[0, IGNORE]] = 0
    return [int(c) for c in np.argsort(-counts, kind="stable") if counts[c]]


def legend(classes: list[int], width: int, columns: int | None = None) -> np.ndarray:
    """Colour and name of each class, (h, width, 3) uint8 RGB; in as many columns as fit by default."""
    cell, row = 132, 24
    columns = columns or max(1, (width - 16) // cell)
    rows = max(1, -(-len(classes) // columns))
    picture = np.full((rows * row + 12, width, 3), PAPER, np.uint8)
    for n, label in enumerate(classes):
        u, v = 16 + n % columns * cell, 6 + n // columns * row
        cv2.rectangle(picture, (u, v + 5), (u + 14, v + 19), [int(c) for c in COLORS[label]], -1, cv2.LINE_AA)
        cv2.rectangle(picture, (u, v + 5), (u + 14, v + 19), FAINT, 1, cv2.LINE_AA)
        write(picture, CLASS_NAMES[label], (u + 21, v + 17), 0.42)
    return picture


def titled(picture: np.ndarray, title: str) -> np.ndarray:
    """The picture under a line with its title."""
    bar = np.full((34, picture.shape[1], 3), PAPER, np.uint8)
    write(bar, title, (14, 23), 0.58)
    return np.vstack([bar, picture])


def beside(*pictures: np.ndarray, gap: int = 6) -> np.ndarray:
    """Pictures of equal height in one row."""
    parts = []
    for picture in pictures:
        parts += [picture, np.full((picture.shape[0], gap, 3), 255, np.uint8)]
    return np.hstack(parts[:-1])


def fit_width(picture: np.ndarray, width: int) -> np.ndarray:
    """The picture scaled to a width, its proportions kept."""
    height = round(picture.shape[0] * width / picture.shape[1])
    shrinks = width < picture.shape[1]
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


def save_png(path: str | Path, picture: np.ndarray) -> Path:
    """Write an (H, W, 3) uint8 RGB picture; gives its path."""
    encoded, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    if not encoded:
        raise ValueError(f"{path}: a picture of shape {picture.shape} cannot be written as PNG")
    return write_bytes(path, data.tobytes())
