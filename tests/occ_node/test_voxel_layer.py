"""What nav2's VoxelLayer makes of `~/obstacles`, by a model of its rules and the shipped configuration."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from occ_core import CLASS_NAMES, IGNORE, KITTI_GRID
from occ_core.class_costs import class_costs
from occ_core.local_ground import ground_heights
from occ_core.obstacles import Band, obstacle_voxels
from occ_core.occupancy import voxel_positions
from occ_core.rig import GRID_HEIGHT, translation
from occ_data import open_drive
from occ_runtime import DEFAULT_BUNDLE, Bundle, Predictor, find_bundle, load_backend

from .voxel_layer import VoxelLayer

CONFIG = Path(__file__).parents[2] / "occ_node" / "config" / "nav2" / "local_costmap.yaml"
CAR = CLASS_NAMES.index("car")
HALF_WIDTH = 0.9
FRAMES = ("000086", "000087")  # of the demo's street: parked cars on the left
SENSOR = np.array([0.0, 0.0, GRID_HEIGHT])


@pytest.fixture
def layer() -> VoxelLayer:
    costmap = yaml.safe_load(CONFIG.read_text())["local_costmap"]["local_costmap"]["ros__parameters"]
    return VoxelLayer(costmap)


@pytest.fixture(scope="module")
def street():
    for module in ("trimesh", "embreex"):
        pytest.importorskip(module, reason=f"{module} is not installed (pip install occ_node[synth])")
    return open_drive("synthetic:101:100")


@pytest.fixture(scope="module")
def truth(street) -> dict[str, np.ndarray]:
    return {frame: np.where(labels == IGNORE, 0, labels) for frame in FRAMES for labels in [street.voxel_labels(frame)]}


@pytest.fixture(scope="module")
def predicted(street) -> dict[str, np.ndarray]:
    bundle = Bundle.load(find_bundle(DEFAULT_BUNDLE))
    predictor = Predictor(bundle, load_backend(bundle))
    return {f: predictor.predict(street.image(f), street.scan(f), street.calibration).labels for f in FRAMES}


@pytest.mark.parametrize("source", ["truth", "predicted"])
def test_the_driven_road_is_free_and_every_car_is_marked(layer, street, truth, source, request):
    labels = request.getfixturevalue(source)
    T_odom_world = translation(0, 0, GRID_HEIGHT) @ np.linalg.inv(street.poses[int(FRAMES[0])])
    odom = T_odom_world @ street.poses
    for frame in FRAMES:
        T = odom[int(frame)]
        flat = obstacle_voxels(
            labels[frame], ground_heights(labels[frame], KITTI_GRID), KITTI_GRID, class_costs(()), Band()
        )
        layer.update(T[:3, 3], moved(T, street.scan(frame)[::16]), moved(T, voxel_positions(flat, KITTI_GRID)))

    columns, driven = layer.centers(), np.zeros(layer.lethal.shape, bool)
    for position in odom[int(FRAMES[-1]) : int(FRAMES[-1]) + 20, :2, 3]:  # 16 m
        driven |= np.linalg.norm(columns - position, axis=-1) < HALF_WIDTH
    assert (driven & layer.inside).sum() > 1000
    assert not (driven & layer.lethal).any()

    marked = [layer.lethal[tuple(cells.T)].sum() for cells in cars(truth[FRAMES[-1]], T, layer)]
    assert len(marked) >= 2 and min(marked) >= 10, marked


def moved(T: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points[:, :3] @ T[:3, :3].T + T[:3, 3]


def cars(labels: np.ndarray, T_odom_lidar: np.ndarray, layer: VoxelLayer) -> list[np.ndarray]:
    """The cells (N, 2) of each car of the truth that has a square metre inside the window."""
    count, numbers = cv2.connectedComponents((labels == CAR).any(2).astype(np.uint8))
    found = []
    for number in range(1, count):
        i, j = np.nonzero(numbers == number)
        centers = moved(T_odom_lidar, KITTI_GRID.centers()[i, j, 0])
        offsets = np.stack(np.meshgrid([-0.05, 0.05], [-0.05, 0.05]), -1).reshape(-1, 1, 2)
        corners = (centers[:, :2] + offsets).reshape(-1, 2)
        cells = np.unique(layer.cells(np.c_[corners, np.zeros(len(corners))])[:, :2], axis=0)
        cells = cells[((cells >= 0) & (cells < layer.lethal.shape)).all(1)]
        cells = cells[layer.inside[tuple(cells.T)]]
        if len(cells) >= 100:
            found.append(cells)
    return found


def wall(x: float) -> np.ndarray:
    y, z = np.meshgrid(np.arange(-1, 1, 0.05), np.arange(0.3, 2, 0.05))
    return np.stack([np.full(y.size, x), y.ravel(), z.ravel()], 1)


def test_what_went_away_is_cleared_by_rays_through_it(layer):
    layer.update(SENSOR, wall(8.0), wall(4.05))
    assert layer.lethal.sum() == 20
    behind = SENSOR + 2 * (wall(4.05) - SENSOR)
    layer.update(SENSOR, behind, wall(8.05))
    assert layer.lethal[: layer.cells(np.array([[6.0, 0, 1]]))[0, 0]].sum() == 0 and layer.lethal.sum() == 20


def test_what_no_ray_passes_stays(layer):
    layer.update(SENSOR, wall(3.0), wall(6.05))  # completed behind what was seen
    layer.update(SENSOR, wall(3.0), wall(9.05))
    assert layer.lethal.sum() == 40


def test_nothing_is_cleared_from_outside_the_box(layer):
    layer.update(SENSOR, wall(8.0), wall(4.05))
    layer.update(SENSOR + np.array([0, 0, 2]), wall(8.0), wall(8.05))
    assert layer.lethal.sum() == 40


def test_what_leaves_the_window_is_forgotten(layer):
    layer.update(SENSOR, wall(8.0), wall(8.05))
    layer.update(SENSOR - np.array([10, 0, 0]), wall(-8.0), wall(-8.05))
    assert layer.lethal[layer.cells(np.array([[0.0, 0, 1]]))[0, 0] :].sum() == 0
