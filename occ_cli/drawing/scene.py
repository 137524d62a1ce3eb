"""The pictures of one frame, composed from the parts."""

import numpy as np

from occ_core import IGNORE, Calibration, Grid, Occupancy
from occ_core.overlay import draw_overlay

from .birds_eye import birds_eye_picture
from .canvas import beside, classes_in, fit_width, legend, titled
from .voxel_view import voxel_view


def frame_pictures(
    name: str, image: np.ndarray, labels: np.ndarray, calibration: Calibration, grid: Grid
) -> dict[str, np.ndarray]:
    """All pictures of a frame with a camera image, (H, W, 3) uint8 RGB by file name."""
    overlaid = camera_overlay(image, labels, calibration, grid)
    return {**voxel_pictures(name, labels, grid), f"{name}_camera_overlay.png": overlaid}


def voxel_pictures(name: str, labels: np.ndarray, grid: Grid) -> dict[str, np.ndarray]:
    """The pictures of labels alone, (H, W, 3) uint8 RGB by file name."""
    return {
        f"{name}_voxels.png": voxel_picture(labels, grid),
        f"{name}_birds_eye.png": birds_eye_picture(labels, grid),
    }


def camera_overlay(image: np.ndarray, labels: np.ndarray, calibration: Calibration, grid: Grid) -> np.ndarray:
    """The camera image above the same image with the voxels drawn on it, and a legend."""
    drawn = overlay(image, labels, calibration, grid)
    names = legend(classes_in(labels), image.shape[1])
    return np.vstack([image, np.full((4, image.shape[1], 3), 255, np.uint8), drawn, names])


def overlay(image: np.ndarray, labels: np.ndarray, calibration: Calibration, grid: Grid) -> np.ndarray:
    """The camera image with the voxels drawn on it."""
    return draw_overlay(image, Occupancy(labels, np.zeros_like(labels), grid), calibration, 0.55)


def voxel_picture(labels: np.ndarray, grid: Grid) -> np.ndarray:
    """The 3D view with a legend."""
    view = voxel_view(labels, grid)
    return np.vstack([view, legend(classes_in(labels), view.shape[1])])


def truth_beside(prediction: np.ndarray, truth: np.ndarray, grid: Grid) -> np.ndarray:
    """Prediction and truth, in 3D and from above. Where the truth is unknown the prediction is grey."""
    unknown = truth == IGNORE
    known = np.where(unknown, 0, prediction)
    size = (960, 600)
    views = beside(
        titled(voxel_view(prediction, grid, size, left_out=unknown), "prediction (grey: not observed in the truth)"),
        titled(voxel_view(truth, grid, size), "truth"),
    )
    maps = beside(
        titled(fit_width(birds_eye_picture(known, grid, with_legend=False), 960), "prediction, from above"),
        titled(fit_width(birds_eye_picture(truth, grid, with_legend=False), 960), "truth, from above"),
    )
    names = legend(classes_in(known, truth), views.shape[1])
    return fit_width(np.vstack([views, names, maps]), 1440)


def animation_frame(image: np.ndarray, labels: np.ndarray, calibration: Calibration, grid: Grid) -> np.ndarray:
    """Camera with overlay above the 3D view, 640 wide."""
    top = fit_width(overlay(image, labels, calibration, grid), 640)
    return np.vstack([top, voxel_view(labels, grid, (640, 360))])
