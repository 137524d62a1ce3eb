"""The scene from above, coloured by class."""

import cv2
import numpy as np

from occ_core import Grid
from occ_core.top_view import top_view

from .canvas import FAINT, INK, PAPER, classes_in, legend, write

_WIDTH = 768
_LARGEST = 4096


def birds_eye_picture(labels: np.ndarray, grid: Grid, with_legend: bool = True) -> np.ndarray:
    """Bird's-eye map, forward up and left on the left, with range rings, the vehicle and a legend.

    A voxel is drawn as the same whole number of pixels each way, so that the map is about 768 wide. RGB uint8.
    """
    scale = max(1, round(_WIDTH / grid.shape[1]))
    image = top_view(labels, scale)
    _draw_rings(image, grid, scale)
    picture = np.full((image.shape[0] + 46, image.shape[1], 3), PAPER, np.uint8)
    picture[: image.shape[0]] = image
    _draw_vehicle(picture, grid, scale)
    return _beside_legend(picture, labels) if with_legend else picture


def map_picture(labels: np.ndarray, grid: Grid, path: np.ndarray) -> np.ndarray:
    """A map from above, x up and y to the left, with the path of the robot and a legend. RGB uint8.

    path : (N, >=2) metres in the frame of the grid
    """
    scale = max(1, round(_WIDTH / max(grid.shape[:2])))
    image = top_view(labels, scale)
    pixels = np.array([_pixel(x, y, grid, scale) for x, y in path[:, :2]], np.int32)
    cv2.polylines(image, [pixels], False, (255, 255, 255), 4, cv2.LINE_AA)
    cv2.polylines(image, [pixels], False, INK, 2, cv2.LINE_AA)
    if max(image.shape) > _LARGEST:
        factor = _LARGEST / max(image.shape)
        image = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return _beside_legend(image, labels)


def _beside_legend(picture: np.ndarray, labels: np.ndarray) -> np.ndarray:
    names = legend(classes_in(labels), 160, columns=1)
    height = max(picture.shape[0], names.shape[0])
    canvas = np.full((height, picture.shape[1] + 160, 3), PAPER, np.uint8)
    canvas[: picture.shape[0], : picture.shape[1]] = picture
    canvas[: names.shape[0], picture.shape[1] :] = names
    return canvas


def _pixel(x: float, y: float, grid: Grid, scale: int) -> tuple[int, int]:
    u = (grid.origin[1] + grid.voxel_size * grid.shape[1] - y) / grid.voxel_size * scale
    v = (grid.origin[0] + grid.voxel_size * grid.shape[0] - x) / grid.voxel_size * scale
    return round(u), round(v)


def _draw_rings(image: np.ndarray, grid: Grid, scale: int) -> None:
    rings = image.copy()
    reach = grid.origin[0] + grid.voxel_size * grid.shape[0]
    for metres in range(10, int(reach) + 1, 10):
        cv2.circle(rings, _pixel(0, 0, grid, scale), round(metres / grid.voxel_size * scale), INK, 1, cv2.LINE_AA)
    cv2.addWeighted(rings, 0.35, image, 0.65, 0, dst=image)
    for metres in range(10, int(reach) + 1, 10):
        u, v = _pixel(metres, 0, grid, scale)
        cv2.rectangle(image, (u + 3, v + 3), (u + 42, v + 19), PAPER, -1)
        write(image, f"{metres} m", (u + 6, v + 15), 0.42, INK)


def _draw_vehicle(picture: np.ndarray, grid: Grid, scale: int) -> None:
    corners = [_pixel(x, y, grid, scale) for x, y in ((1.6, 0), (0.6, 0.9), (-2.6, 0.9), (-2.6, -0.9), (0.6, -0.9))]
    cv2.fillPoly(picture, [np.array(corners, np.int32)], (255, 255, 255), cv2.LINE_AA)
    cv2.polylines(picture, [np.array(corners, np.int32)], True, INK, 2, cv2.LINE_AA)
    u, v = _pixel(-2.6, -1.4, grid, scale)
    write(picture, "sensor vehicle", (u + 4, v), 0.42, FAINT)
