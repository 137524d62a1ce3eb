"""The demo's pictures, drawn after the drive from its bag and the recording of the node's outputs."""

import importlib.util
import sys
from collections.abc import Collection
from pathlib import Path

import numpy as np
from tqdm import tqdm

from occ_core import Grid
from occ_core.labels import labels_on
from occ_data.bags import read_bag
from occ_data.bags.decode import decode
from occ_data.bags.reader import header_of

from .. import drawing
from ..drawing.animation import save_gif
from .drive import Drive
from .recordings import read_grids
from .report import Played

_RATE = 10  # of the animation, frames a second
_SECONDS = 6
_TOLERANCE_NS = 60_000_000
"""Largest difference between the stamps of a frame and of its image."""

PICTURES = ("camera_overlay.png", "birds_eye.png", "voxels.png", "truth_beside_prediction.png", "animation.gif")
"""The files that `draw_pictures` may write."""


def draw_pictures(output: Path, drive: Drive, outputs: Path, frames: list[Played], grid: Grid) -> list[str]:
    """Draw what the answered frames allow; gives the names of the files written.

    The still pictures show one frame, with truth where there is some; the animation the seconds around it.
    """
    loops = [
        [f for f in frames if f.answered and f.loop == n] for n in range(1 + max((f.loop for f in frames), default=0))
    ]
    answered = max(loops, key=len)
    if not answered:
        return []
    still = _still(answered, drive.truth)
    shown = _around(answered, still, _RATE * _SECONDS)
    if importlib.util.find_spec("PIL") is None:
        print("no animation: pillow is not installed (pip install 'occ_node[viz]')", file=sys.stderr)
        shown = []
    images = _read_images(drive.bag, drive.topics.image, {frame.stamp for frame in [still, *shown]})
    frame_of_grid = {frame.grid_message: frame for frame in [still, *shown] if frame.grid_message is not None}
    written, animated = [], []
    grids = read_grids(outputs, frame_of_grid)
    for number, labels in tqdm(grids, total=len(frame_of_grid), desc="pictures", unit="frame"):
        frame = frame_of_grid[number]
        image = images.get(frame.stamp)
        if frame is still:
            written += _draw_still(output, drive, frame, image, labels, grid)
        if image is not None and frame in shown:
            animated.append(drawing.animation_frame(image, labels, drive.calibration, grid))
    if animated:
        save_gif(output / "animation.gif", animated, _RATE)
        written.append("animation.gif")
    return written


def _still(answered: list[Played], truth) -> Played:
    """The frame whose truth has the most classes; the one in the middle where there is no truth."""
    middle = answered[len(answered) // 2]
    if truth is None:
        return middle
    with_truth = [frame for frame in answered if truth.has_voxels(truth.frames[frame.order])]
    inner = [f for f in with_truth if 0.1 <= f.order / max(1, answered[-1].order) <= 0.9] or with_truth
    if not inner:
        return middle
    return max(inner, key=lambda f: len(np.unique(truth.voxel_labels(truth.frames[f.order]))))


def _around(answered: list[Played], still: Played, number: int) -> list[Played]:
    """`number` frames in a row with `still` among them."""
    first = max(0, min(answered.index(still) - number // 2, len(answered) - number))
    return answered[first : first + number]


def _draw_still(
    output: Path, drive: Drive, frame: Played, image: np.ndarray | None, labels: np.ndarray, grid: Grid
) -> list[str]:
    pictures = {
        "birds_eye.png": drawing.birds_eye_picture(labels, grid),
        "voxels.png": drawing.voxel_picture(labels, grid),
    }
    if image is not None:
        pictures["camera_overlay.png"] = drawing.camera_overlay(image, labels, drive.calibration, grid)
    truth = drive.truth
    if truth and truth.has_voxels(name := truth.frames[frame.order]) and truth.grid.factor_to(grid):
        on_grid = labels_on(grid, truth.voxel_labels(name), truth.grid)
        pictures["truth_beside_prediction.png"] = drawing.truth_beside(labels, on_grid, grid)
    for name, picture in pictures.items():
        drawing.save_png(output / name, picture)
    return list(pictures)


def _read_images(bag: Path, image_topic: str, stamps: Collection[int]) -> dict[int, np.ndarray]:
    """(H, W, 3) uint8 RGB nearest to each stamp (ns); stamps without an image near enough are left out."""
    nearest: dict[int, tuple[int, bytes, str]] = {}
    wanted = np.array(sorted(stamps), np.int64)
    for topic, kind, recorded, data in read_bag(bag, [image_topic]):
        stamp = header_of(topic, kind, data)[0] or recorded
        for n in np.flatnonzero(np.abs(wanted - stamp) <= _TOLERANCE_NS):
            distance = abs(int(wanted[n]) - stamp)
            if distance < nearest.get(int(wanted[n]), (1 << 62,))[0]:
                nearest[int(wanted[n])] = (distance, bytes(data), kind)
    return {stamp: decode(image_topic, kind, data) for stamp, (_, data, kind) in nearest.items()}
