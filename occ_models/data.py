"""Frames of a data set as network inputs and training targets."""

from dataclasses import replace
from functools import partial

import cv2
import numpy as np
import torch
from safetensors.numpy import load_file
from torch.utils.data import Dataset

from occ_core import CLOUD_TENSORS, Calibration, FramePreprocessor, Grid
from occ_core.errors import InputError
from occ_core.labels import downscale_labels
from occ_core.taxonomy import IGNORE, points_from_raw
from occ_data import DataError, Drive
from occ_data.kitti import DepthFolder

from .augmentation import (
    NONE,
    SCENE,
    AugmentationConfig,
    Failure,
    change_appearance,
    draw_failure,
    move_points,
    points_per_voxel,
    rigid,
    thin_cloud,
)
from .augmentation import transform_labels as moved
from .config import label_factor, label_shape
from .frame_cache import FrameCache
from .frames import Frame
from .sampling import Draw
from .sensors import Sensors, thinned, zoomed
from .targets import lift_labels, nearest_wins, project_labels, read_geometry, vote_labels
from .zoom import draw_window, zoom_calibration


class FrameDataset(Dataset):
    """Frames as network inputs and targets.

    config: of the network; its `views` say which earlier frames stand beside the current one along the batch axis, all
    in the current frame's coordinates. image_labels: where the classes of pixels and points come from: "pseudo_labels",
    the class maps of the images; "points", the labels of the scan's points; "auto", pixels from class maps and points
    from their labels, where a frame has them, and otherwise one from the other; None, nowhere. thresholds: least
    probability for the geometric teacher's "free" and "occupied" to be used. lift_pixels: `labels_3d` are the pseudo
    labels of the pixels on which voxel centres fall (OccLE eq. 2), not what most of a voxel's points have. depths:
    depth images that the network is given; None: it predicts depth.

    A sample, whole after `collate`, holds the network's inputs (batch axis of N) and the targets, uint8 with IGNORE:
    `labels` (1, X, Y, Z), all ignored where the frame's labels are withheld; `geometry` (1, x, y, z) on `label_grid`,
    0 free or 1 occupied; `labels_3d` (1, x, y, z) there, in voxels with more than one point (OccLE section 3.5.1);
    `labels_2d` (1, h, w) of `config.label_shape`; `true_depth` (1, H/8, W/8) float32, canonical metres of the scan's
    points, 0 where none falls; a teacher's `features` (1, C, x, y, z) where the frames have them; also `labelled` (1,)
    bool and `name`.
    """

    def __init__(
        self,
        frames: list[Frame],
        config,
        augmentation: AugmentationConfig = NONE,
        seed: int = 0,
        image_labels: str | None = "points",
        thresholds: tuple[float, float] = (0.95, 0.95),
        cache: FrameCache | None = None,
        lift_pixels: bool = False,
        depths: DepthFolder | None = None,
    ):
        self.frames, self.preprocess, self.inputs, self.views = frames, config.preprocess, config.inputs, config.views
        self.augmentation, self.seed, self.image_labels = augmentation, seed, image_labels
        self.thresholds, self.lift_pixels, self.depths = thresholds, lift_pixels, depths
        self._with_cloud = any(name in CLOUD_TENSORS for name in self.inputs)
        self.grid = self.preprocess.grid
        self.coarse = self.grid.coarsen(self.preprocess.lifting_factor)
        self.label_factor, self.map_shape = label_factor(config), label_shape(config)
        self.label_grid = self.grid.coarsen(self.label_factor)
        self._reach = points_in_reach(self.grid)
        self._mirror_y = self.grid.origin[1] + self.grid.voxel_size * self.grid.shape[1] / 2
        self._cache = cache or FrameCache(4.0)
        self._preprocessor = FramePreprocessor(self.preprocess)
        self._label_preprocessor = self._preprocessor
        if self.label_grid != self.coarse:
            self._label_preprocessor = FramePreprocessor(replace(self.preprocess, lifting_factor=self.label_factor))

    def __len__(self) -> int:
        return len(self.frames)

    def kinds(self, by_labels: bool) -> list[list[list[int]]]:
        """Items by data set, labelled ones and others apart, or alike: the argument of `Draws`."""
        roots = range(1 + max(f.root for f in self.frames))
        return [
            [[n for n, f in enumerate(self.frames) if f.labelled in kind and f.root == root] for root in roots]
            for kind in ([(True,), (False,)] if by_labels else [(True, False)])
        ]

    def __getitem__(self, draw: Draw | int) -> dict:
        item, number = draw if isinstance(draw, Draw) else (draw, 0)
        frame, config = self.frames[item], self.augmentation
        rng = np.random.default_rng((self.seed, number))
        T = rigid(rng, config)
        mirror = rng.random() < config.mirror_p
        failed, window = draw_failure(rng, config), draw_window(rng, config)
        T_lidar_grid = np.linalg.inv(frame.drive.calibration.T_grid_lidar)
        inputs, targets = [], {}
        for back in self.views:
            sensors, T_now_then = self._view(frame, back)
            move = T_now_then if T is None else T @ T_now_then
            sensors = zoomed(thinned(sensors, T_lidar_grid, rng, config), window)
            calibration = zoom_calibration(self._calibration(frame.drive, move), window)
            tensors, points, classes = self._inputs(sensors, calibration, move, mirror, failed, rng)
            inputs.append(tensors)
            if not back:
                label_map, depth = (a[:, ::-1] if mirror else a for a in (sensors.label_map, sensors.depth))
                targets = {"labels_2d": label_map, "true_depth": depth}
                if self._with_cloud and not self.lift_pixels:
                    targets["labels_3d"] = vote_labels(points, classes, self.label_grid)
                elif self._with_cloud:
                    pixels = sensors.pixels[:, ::-1] if mirror else sensors.pixels
                    lifting = self._label_preprocessor.lifting(calibration).coordinates[None]
                    lifting = mirrored(lifting, self.label_grid) if mirror else lifting
                    targets["labels_3d"] = lift_labels(pixels, lifting, points, self.label_grid)
        labels, geometry = self._labels(frame, T, mirror)
        targets |= {"labels": labels, "geometry": geometry}
        sample = {name: np.concatenate([tensors[name] for tensors in inputs]) for name in inputs[0]}
        sample |= {name: target[None] for name, target in targets.items()}
        if frame.features is not None:
            sample["features"] = load_file(frame.features)["features"].astype(np.float32)
        sample["labelled"] = np.array([frame.labelled])
        tensors = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in sample.items()}
        return tensors | {"name": str(frame)}

    def _inputs(
        self, sensors: Sensors, calibration: Calibration, T: np.ndarray, mirror: bool, failed: Failure | None, rng
    ) -> tuple[dict, np.ndarray, np.ndarray]:
        """Network inputs of one view after the rigid move T; its points and their classes with them, also where the
        LiDAR failed.

        calibration : of the moved points
        """
        image = change_appearance(sensors.image, rng, self.augmentation)
        image = np.zeros_like(image) if failed is Failure.CAMERA else image
        points, kept = thin_cloud(sensors.points, rng, self.augmentation)
        points = move_points(points, T, self._mirror_y if mirror else None)
        cloud = points[:0] if failed is Failure.LIDAR else points
        tensors = self._preprocessor(image, cloud if self._with_cloud else None, calibration)
        tensors["depth"] = sensors.given_depth
        if mirror:
            x, y, z = self.coarse.shape
            tensors["lifting"] = mirrored(tensors["lifting"], self.coarse)
            tensors["voxel_depth"] = tensors["voxel_depth"].reshape(x, y, z)[:, ::-1].reshape(1, x * y, z)
            tensors["image"], tensors["depth"] = tensors["image"][..., ::-1], tensors["depth"][..., ::-1]
        if self._with_cloud:
            limit = points_per_voxel(rng, self.augmentation, self.preprocess.voxelizer.max_points)
            tensors["voxels"][:, limit:] = 0
            tensors["voxel_counts"] = np.minimum(tensors["voxel_counts"], limit)
        return {name: tensors[name] for name in self.inputs}, points, sensors.point_classes[kept]

    def _labels(self, frame: Frame, T: np.ndarray | None, mirror: bool) -> tuple[np.ndarray, np.ndarray]:
        """Voxel labels on the grid and binary geometry on `label_grid`; IGNORE where the frame has none."""
        if frame.labelled:
            key = (frame.drive.path, frame.id, self.grid)
            (labels,) = self._cache.get(key, lambda: (voxel_labels_on(self.grid, frame),))
            labels = labels if T is None else moved(labels, self.grid, T)
            coarse = labels if self.label_factor == 1 else downscale_labels(labels, self.label_factor)
            geometry = np.where(coarse == IGNORE, coarse, np.minimum(coarse, 1))
        else:
            labels = np.full(self.grid.shape, IGNORE, np.uint8)
            geometry = np.full(self.label_grid.shape, IGNORE, np.uint8)
            if frame.occupied is not None:
                (geometry,) = self._cache.get(
                    (frame.occupied,), lambda: (read_geometry(frame.occupied, self.label_grid.shape, self.thresholds),)
                )
                geometry = geometry if T is None else moved(geometry, self.label_grid, T)
        return (labels[:, ::-1], geometry[:, ::-1]) if mirror else (labels, geometry)

    def _view(self, frame: Frame, back: int) -> tuple[Sensors, np.ndarray]:
        """The frame `back` scans before, as `earlier` has it, and T_now_then (4, 4)."""
        drive = frame.drive
        if not back:
            return self._sensors(drive, frame.id, self.image_labels), np.eye(4)
        then = earlier(drive, frame.id, back)
        poses = drive.poses
        T_grid_lidar = drive.calibration.T_grid_lidar
        T_world_now, T_world_then = (poses[int(n)] @ np.linalg.inv(T_grid_lidar) for n in (frame.id, then))
        T_now_then = np.linalg.inv(T_world_now) @ T_world_then
        return self._sensors(drive, then, None), T_now_then

    def _sensors(self, drive: Drive, frame: str, image_labels: str | None) -> Sensors:
        read = partial(self._read_sensors, drive, frame, image_labels)
        # A teacher may share the cache with its student and take larger images.
        size, depths = self.preprocess.image_size, self.depths and self.depths.path
        key = (drive.path, frame, image_labels, size, self.map_shape, self.grid, self.lift_pixels, depths)
        return Sensors(*self._cache.get(key, read))

    def _calibration(self, drive: Drive, T: np.ndarray) -> Calibration:
        """In the grid frame, of points after the rigid move T, for images of the network's size."""
        calibration = resized(drive.calibration.in_grid, self.preprocess.image_size)
        return replace(calibration, T_cam_lidar=calibration.T_cam_lidar @ np.linalg.inv(T))

    def _read_sensors(self, drive: Drive, frame: str, image_labels: str | None) -> Sensors:
        calibration, image = drive.calibration.in_grid, drive.image(frame)
        points = drive.calibration.to_grid(drive.scan(frame))
        uv, distance = calibration.project(points)
        metres = (distance * calibration.canonical).astype(np.float32)
        depth = nearest_wins(uv, distance, metres, 0, calibration.image_size, self.preprocess.depth_shape)
        given = self._preprocessor.depth_tensor(self.depths and self.depths.read(drive, frame), drive.calibration)
        classes = np.full(len(points), IGNORE, np.uint8)
        label_map = np.full(self.map_shape, IGNORE, np.uint8)
        kept = np.empty((0, 0), np.uint8)
        auto = image_labels == "auto"
        from_points = image_labels == "points" or (auto and drive.has_labels(frame))
        if from_points:
            classes = points_from_raw(drive.point_labels(frame))
            label_map = project_labels(uv, distance, classes, calibration.image_size, self.map_shape)
        if image_labels == "pseudo_labels" or (auto and drive.has_pseudo_labels(frame)):
            pixels = drive.pseudo_labels(frame)
            if pixels.shape != image.shape[:2]:
                raise DataError(
                    f"{drive.path}: pseudo labels of frame {frame} have shape {pixels.shape}; expected "
                    f"{image.shape[:2]}, that of the image"
                )
            classes = classes if from_points else classes_at(pixels, uv)
            kept = pixels if self.lift_pixels else kept
            label_map = cv2.resize(pixels, self.map_shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        # A camera-only network needs no more of the cloud than the projections above.
        low, high = self._reach
        near = np.all((points[:, :3] > low) & (points[:, :3] < high), axis=1) & self._with_cloud
        points, classes = points[near], classes[near]
        size = self.preprocess.image_size
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        return Sensors(image, points, classes, label_map, depth, kept, given)


def mirrored(lifting: np.ndarray, grid: Grid) -> np.ndarray:
    """A lifting table (1, X*Y, Z, 2) of a grid for the mirrored image and the mirrored scene."""
    lifting = lifting.reshape(*grid.shape, 2)[:, ::-1].copy()
    lifting[..., 0] = np.where(lifting[..., 0] >= -1, -lifting[..., 0], lifting[..., 0])
    x, y, z = grid.shape
    return lifting.reshape(1, x * y, z, 2)


def earlier(drive: Drive, frame: str, back: int) -> str:
    """The frame `back` scans before; the drive's first where there is none."""
    return drive.frames[max(drive.frames.index(frame) - back, 0)] if back else frame


def points_in_reach(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest x, y, z of the points that augmentation and earlier views can bring into the grid, metres.

    The box around the grid turned by the most that augmentation turns it, 9 m more along the drive and 2 m in height.
    """
    low = np.array(grid.origin)
    high = low + grid.voxel_size * np.array(grid.shape)
    angle = np.radians(SCENE.turn_degrees)
    turns = [np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) for a in (-angle, 0, angle)]
    corners = np.array([(x, y) for x in (low[0], high[0]) for y in (low[1], high[1])])
    turned = np.concatenate([corners @ turn.T for turn in turns])
    margin = np.array([9.0, 0.0, 2.0])
    return np.append(turned.min(0), low[2]) - margin, np.append(turned.max(0), high[2]) + margin


def voxel_labels_on(grid: Grid, frame: Frame) -> np.ndarray:
    """A frame's voxel labels (X, Y, Z) on the grid of a network, which may be coarser than theirs."""
    own = frame.drive.grid
    factor = max(round(grid.voxel_size / own.voxel_size), 1)
    if any(n % factor for n in own.shape) or own.coarsen(factor) != grid:
        raise InputError(
            f"grid: the voxel labels of {frame.drive.name} are for {own} or a coarser form of it, not for {grid}"
        )
    labels = frame.drive.voxel_labels(frame.id)
    return labels if factor == 1 else downscale_labels(labels, factor)


def inputs_of(batch: dict, config) -> tuple[torch.Tensor, ...]:
    """The arguments of a network with this configuration."""
    return tuple(batch[name] for name in config.inputs)


def classes_at(pixels: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Class of the pixel that each projected point (N, 2) falls on; IGNORE outside the image (H, W). (N,) uint8."""
    with np.errstate(invalid="ignore"):
        cell = np.floor(uv + 0.5)
        inside = np.all((cell >= 0) & (cell < pixels.shape[::-1]), axis=1)
    classes = np.full(len(uv), IGNORE, np.uint8)
    column, row = cell[inside].astype(int).T
    classes[inside] = pixels[row, column]
    return classes


def resized(calibration: Calibration, size: tuple[int, int]) -> Calibration:
    """The calibration of the same image resized to `size` (width, height); pixel centres lie at whole numbers."""
    sx, sy = (new / old for new, old in zip(size, calibration.image_size, strict=True))
    scale = np.array([[sx, 0, (sx - 1) / 2], [0, sy, (sy - 1) / 2], [0, 0, 1]])
    return replace(calibration, P=scale @ calibration.P, image_size=size)


def collate(samples: list[dict]) -> dict:
    """Batch samples: voxel rows one after another, each table moved to its own rows; `name` becomes a list."""
    batch = {name: torch.cat([s[name] for s in samples]) for name in samples[0] if name != "name"}
    if "voxel_table" in batch:
        rows = len(batch["voxel_counts"]) // len(batch["voxel_table"])
        for n, table in enumerate(batch["voxel_table"]):
            table += n * rows
    return batch | {"name": [s["name"] for s in samples]}
