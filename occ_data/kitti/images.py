"""PNG files: colour images, gray images and class maps."""

from pathlib import Path

import cv2
import numpy as np

from occ_core.decode import ImageError
from occ_core.decode.compressed import decode_picture
from occ_core.files import write_bytes
from occ_core.taxonomy import IGNORE, NUM_CLASSES

from ..drive import DataError
from .content import read_file

_PNG_END = b"IEND\xaeB`\x82"


def read_rgb(path: str | Path) -> np.ndarray:
    """A PNG as (H, W, 3) uint8 RGB."""
    return cv2.cvtColor(_decode(Path(path), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def read_gray(path: str | Path) -> np.ndarray:
    """A gray PNG as (H, W) uint8 or uint16."""
    gray = _decode(Path(path), cv2.IMREAD_UNCHANGED)
    if gray.ndim != 2:
        raise DataError(f"{path}: has {gray.shape[2]} channels; expected a gray PNG")
    return gray


def read_classes(path: str | Path) -> np.ndarray:
    """A class map as (H, W) uint8: 0..19, 255 unknown."""
    classes = read_gray(path)
    wrong = (classes >= NUM_CLASSES) & (classes != IGNORE)
    if classes.dtype != np.uint8 or wrong.any():
        found = f"value {int(classes[wrong][0])}" if wrong.any() else str(classes.dtype)
        raise DataError(f"{path}: {found}; expected 8-bit classes 0..{NUM_CLASSES - 1} and {IGNORE}")
    return classes


def write_png(path: str | Path, image: np.ndarray) -> Path:
    """image : (H, W, 3) uint8 RGB, or (H, W) uint8 or uint16 gray. Gives the path."""
    image = np.ascontiguousarray(image)
    encoded, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image)
    if not encoded:
        raise DataError(f"{path}: an image of shape {image.shape} cannot be encoded")
    return write_bytes(path, data.tobytes())


def _decode(path: Path, flags: int) -> np.ndarray:
    data = read_file(path)
    if _PNG_END not in data[-16:]:
        raise DataError(f"{path}: not a whole PNG: {len(data)} bytes without the end chunk; truncated?")
    try:
        return decode_picture(data, flags)
    except ImageError as error:
        raise DataError(f"{path}: {error}") from None
