"""The segmenters' protocol, and the segmenter that reads maps made elsewhere."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from occ_core.arrays import read_npz
from occ_core.files import FileError

from ..kitti import DataError, Sequence, read_gray


class Segmentation(NamedTuple):
    """One image, segmented.

    ids : (H, W) uint8 or uint16 MSeg universal ids, 194 or 255 unlabeled
    scores : prompt -> (H, W) float32 in 0..1: the best score among the prompt's masks over each pixel, 0 outside
    """

    ids: np.ndarray
    scores: Mapping[str, np.ndarray]


class Segmenter(Protocol):
    """Segments the images of a sequence.

    recipe : what made the maps, as plain values; kept beside the labels, and compared when a run is resumed
    """

    @property
    def recipe(self) -> Mapping: ...

    def __call__(self, sequence: Sequence, frame: str, image: np.ndarray) -> Segmentation:
        """image : (H, W, 3) uint8 RGB, the frame's."""


class FileSegmenter:
    """Reads maps of any origin, in one of two layouts a frame:

    MAPS/sequences/SS/mseg/NNNNNN.png          8- or 16-bit gray, MSeg universal ids
    MAPS/sequences/SS/masks/PROMPT/NNNNNN.png  8-bit gray, score * 255 where a mask lies, 0 elsewhere

    MAPS/sequences/SS/mseg/NNNNNN.npz          `ids` (H, W); for each prompt `mask PROMPT` (n, H, W) bool and
                                               `score PROMPT` (n,) in 0..1; n may be 0
    """

    def __init__(self, maps: str | Path, prompts: tuple[str, ...]):
        self.maps, self.prompts = Path(maps), prompts
        self.recipe = {"segmenter": "files", "maps": str(self.maps.resolve())}
        if not (self.maps / "sequences").is_dir():
            raise DataError(f"{maps}: no folder 'sequences' in it; expected MAPS/sequences/SS/mseg/NNNNNN.png or .npz")

    def __call__(self, sequence: Sequence, frame: str, image: np.ndarray) -> Segmentation:
        """Raises DataError naming a map that is missing, damaged or not of the image's size."""
        folder = self.maps / "sequences" / sequence.name
        packed = folder / "mseg" / f"{frame}.npz"
        if packed.is_file():
            return _packed(packed, self.prompts, image.shape[:2])
        ids = _gray(folder / "mseg" / f"{frame}.png", image.shape[:2])
        return Segmentation(ids, {p: _scores(folder / "masks" / p / f"{frame}.png", ids.shape) for p in self.prompts})


def union(masks: np.ndarray, scores: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(H, W) float32: the best score among masks (n, H, W) bool with scores (n,) over each pixel; n may be 0."""
    best = np.zeros(shape, np.float32)
    for mask, score in zip(masks, scores, strict=True):
        np.maximum(best, np.float32(score), out=best, where=np.asarray(mask, bool))
    return best


def _gray(path: Path, shape: tuple[int, int]) -> np.ndarray:
    return _of_size(path, read_gray(path), shape)


def _scores(path: Path, shape: tuple[int, int]) -> np.ndarray:
    scores = _gray(path, shape)
    if scores.dtype != np.uint8:
        raise DataError(f"{path}: {scores.dtype}; expected 8 bits, score * 255")
    return scores.astype(np.float32) / 255


def _packed(path: Path, prompts: tuple[str, ...], shape: tuple[int, int]) -> Segmentation:
    try:
        content = read_npz(path)
    except FileError as error:
        raise DataError(str(error)) from None
    for name in ("ids", *(f"{kind} {prompt}" for prompt in prompts for kind in ("mask", "score"))):
        if name not in content:
            raise DataError(f"{path}: no array {name!r} in it; found {sorted(content)}")
    scores = {}
    for prompt in prompts:
        masks, values = content[f"mask {prompt}"], content[f"score {prompt}"]
        if masks.shape != (len(masks), *shape) or values.shape != (len(masks),):
            expected = f"(n, {shape[0]}, {shape[1]}) and (n,)"
            raise DataError(
                f"{path}: masks and scores of {prompt!r}: {masks.shape}, {values.shape}; expected {expected}"
            )
        scores[prompt] = union(masks, values, shape)
    ids = content["ids"]
    if ids.dtype not in (np.uint8, np.uint16):
        raise DataError(f"{path}: ids: {ids.dtype}; expected uint8 or uint16")
    return Segmentation(_of_size(path, ids, shape), scores)


def _of_size(path: Path, array: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    if array.shape != shape:
        raise DataError(f"{path}: shape {array.shape}; expected {shape}, that of the image")
    return array
