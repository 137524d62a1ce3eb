"""SemanticKITTI sequences as training samples."""

from collections.abc import Callable, Iterable
from collections.abc import Sequence as Items
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from safetensors.numpy import load_file
from torch.utils.data import Dataset

from occ_core import CLOUD_TENSORS, KITTI_GRID, Calibration, FramePreprocessor
from occ_core.errors import InputError
from occ_core.taxonomy import IGNORE, points_from_raw
from occ_data.kitti import DataError, Sequence, read_classes

from .augmentation import (
    LEVELS,
    AugmentationConfig,
    change_appearance,
    move_points,
    points_per_voxel,
    rigid,
    thin_cloud,
)
from .augmentation import transform_labels as moved
from .config import MonoOccConfig, OccLEConfig
from .sampling import Draw, labelled_frames
from .targets import downscale_labels, nearest_wins, project_labels, read_geometry, vote_labels

# Points kept in memory: the scene box and what a turn of it can bring in, metres.
_REACH_LOW, _REACH_HIGH = (-15.0, -38.0, -4.0), (65.0, 38.0, 6.0)


class Frame(NamedTuple):
    """A frame to learn from: `labelled` says whether its voxel labels may be looked at, `root` which data set it is of.

    occupied: file of the geometric teacher's probabilities, where the frame has some (`geometry_labels`).
    features: file of the temporal teacher's voxel features (`teacher_features`).
    """

    sequence: Sequence
    id: str
    labelled: bool
    root: int = 0
    occupied: Path | None = None
    features: Path | None = None

    def __str__(self) -> str:
        return f"{self.sequence.name}/{self.id}"


def frames_of(folders: Items[str | Path], share: float = 1.0, seed: int = 0, unlabelled_every: int = 0) -> list[Frame]:
    """Frames of some sequence folders: those with voxel labels, of which an interval sample of `share` may keep them,
    and every `unlabelled_every`th of the others (0: none).
    """
    sequences = [Sequence(folder) for folder in folders]
    roots = sorted({str(s.path.parent) for s in sequences})
    with_voxels = [(s, f) for s in sequences for f in s.frames if s.has_voxels(f)]
    if not with_voxels and (share > 0 or not unlabelled_every):
        names = ", ".join(str(folder) for folder in folders) or "none given"
        raise DataError(f"no frame with voxels/*.label in {names}; run `occ-data ground-truth` first")
    kept = labelled_frames(len(with_voxels), share, seed)
    keeps = {(s.path, f): bool(keep) for (s, f), keep in zip(with_voxels, kept, strict=True)}
    frames = []
    for sequence in sequences:
        root = roots.index(str(sequence.path.parent))
        others = [frame for frame in sequence.frames if not sequence.has_voxels(frame)]
        others = set(others[::unlabelled_every] if unlabelled_every else [])
        for frame in sequence.frames:
            key = (sequence.path, frame)
            if key in keeps or frame in others:
                frames.append(Frame(sequence, frame, keeps.get(key, False), root))
    return frames


def check_files(frames: Iterable[Frame], image_labels: str | None, past: bool = False) -> None:
    """Raise DataError before a long training starts where a file is missing, naming the first and how to make it.

    image_labels: what the classes of images are read from; past: earlier frames are needed, and so poses.
    """
    remedies = {
        "image_2": "", "velodyne": "", "pseudo_labels": "; make them with `occ-data pseudo-labels`",
        "labels": "; the classes of points come with SemanticKITTI",
    }  # fmt: skip
    needed = [("image_2", "png"), ("velodyne", "bin")]
    needed += {"pseudo_labels": [("pseudo_labels", "png")], "points": [("labels", "label")], None: []}[image_labels]
    frames = list(frames)
    for sequence in {id(f.sequence): f.sequence for f in frames}.values():
        for name in ("calib.txt", *(["poses.txt"] if past else [])):
            if not (sequence.path / name).is_file():
                raise DataError(f"{sequence.path / name}: missing")
    for folder, suffix in needed:
        missing = [p for p in (f.sequence.file(folder, f.id, suffix) for f in frames) if not p.is_file()]
        if missing:
            more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
            raise DataError(f"{missing[0]}: missing{more}{remedies[folder]}")


class Sensors(NamedTuple):
    """What one frame saw, at the network's image size; point_classes : (N,) uint8, IGNORE where not known; depth :
    (h, w) float32, of the points as `FramePreprocessor.depth_tensor` has it.
    """

    image: np.ndarray
    points: np.ndarray
    point_classes: np.ndarray
    label_map: np.ndarray
    depth: np.ndarray
    calibration: Calibration


class FrameCache:
    """What was read once and shall stay in memory, up to so many gigabytes; data sets of one network and of its teacher
    may share it.
    """

    def __init__(self, gigabytes: float):
        self._room, self._kept = gigabytes * 1e9, {}

    def get(self, key, read: Callable[[], np.ndarray | Sensors]):
        """What `read` gives for the key."""
        if key in self._kept:
            return self._kept[key]
        value = read()
        parts = value if isinstance(value, tuple) else (value,)
        size = sum(part.nbytes for part in parts if isinstance(part, np.ndarray))
        if size <= self._room:
            self._room -= size
            self._kept[key] = value
        return value


class FrameDataset(Dataset):
    """Frames as network inputs and targets.

    config: of the network; its `views` say which frames stand side by side along the batch axis, all in the current
    frame's coordinates. image_labels: where the classes of pixels and points come from: "pseudo_labels", the class maps
    of the images; "points", the labels of the scan's points; None, nowhere. thresholds: least probability for the
    geometric teacher's "free" and "occupied" to count.

    A sample, whole after `collate`, holds the network's inputs (batch axis of N) and the targets, uint8 with IGNORE:
    `labels` (1, X, Y, Z), all ignored where the frame's labels are withheld; `geometry` (1, x, y, z) of the feature
    grid, 0 free or 1 occupied; `labels_3d` (1, x, y, z), where more than one point lies (section 3.5.1); `labels_2d`
    (1, h, w) at the image stride; `true_depth` (1, H/8, W/8) float32, canonical metres of the scan's points, 0 where
    none falls; the temporal teacher's `features` (1, C, x, y, z) where the frames have them; also `labelled` (1,) bool
    and `name`.
    """

    def __init__(
        self,
        frames: list[Frame],
        config: OccLEConfig | MonoOccConfig,
        augmentation: AugmentationConfig = LEVELS["none"],
        seed: int = 0,
        image_labels: str | None = "points",
        thresholds: tuple[float, float] = (0.95, 0.95),
        cache: FrameCache | None = None,
    ):
        self.frames, self.preprocess, self.inputs, self.views = frames, config.preprocess, config.inputs, config.views
        self.augmentation, self.seed, self.image_labels = augmentation, seed, image_labels
        self.thresholds = thresholds
        self._with_cloud = any(name in CLOUD_TENSORS for name in self.inputs)
        self.coarse = self.preprocess.grid.coarsen(self.preprocess.lifting_factor)
        width, height = self.preprocess.image_size
        self.map_shape = (-(-height // config.image_stride), -(-width // config.image_stride))
        self._cache = cache or FrameCache(4.0)
        self._prepare = FramePreprocessor(self.preprocess)

    def __len__(self) -> int:
        return len(self.frames)

    def kinds(self) -> list[list[list[int]]]:
        """Items by kind, labelled and not, and in each by data set: what `Draws` takes."""
        roots = range(1 + max(f.root for f in self.frames))
        return [
            [[n for n, f in enumerate(self.frames) if f.labelled == kind and f.root == root] for root in roots]
            for kind in (True, False)
        ]

    def __getitem__(self, draw: Draw | int) -> dict:
        item, number = draw if isinstance(draw, Draw) else (draw, 0)
        frame, config = self.frames[item], self.augmentation
        rng = np.random.default_rng((self.seed, number))
        T = rigid(rng, config)
        mirror = rng.random() < config.mirror_p
        inputs, targets = [], {}
        for back in self.views:
            seen, T_now_then = self._moment(frame, back)
            move = T_now_then if T is None else T @ T_now_then
            tensors, points, classes = self._inputs(seen, move, mirror, rng)
            inputs.append(tensors)
            if not back:
                label_map, depth = (a[:, ::-1] if mirror else a for a in (seen.label_map, seen.depth))
                targets = {"labels_2d": label_map, "true_depth": depth}
                if self._with_cloud:
                    targets["labels_3d"] = vote_labels(points, classes, self.coarse)
        labels, geometry = self._labels(frame, T, mirror)
        targets |= {"labels": labels, "geometry": geometry}
        sample = {name: np.concatenate([tensors[name] for tensors in inputs]) for name in inputs[0]}
        sample |= {name: target[None] for name, target in targets.items()}
        if frame.features is not None:
            sample["features"] = load_file(frame.features)["features"].astype(np.float32)
        sample["labelled"] = np.array([frame.labelled])
        tensors = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in sample.items()}
        return tensors | {"name": str(frame)}

    def _inputs(self, seen: Sensors, T: np.ndarray, mirror: bool, rng) -> tuple[dict, np.ndarray, np.ndarray]:
        """Network inputs of one moment after the rigid move T; its points and their classes with them."""
        image = change_appearance(seen.image, rng, self.augmentation)
        calibration = replace(seen.calibration, T_cam_lidar=seen.calibration.T_cam_lidar @ np.linalg.inv(T))
        points, kept = thin_cloud(seen.points, rng, self.augmentation)
        points = move_points(points, T, mirror)
        tensors = self._prepare(image, points if self._with_cloud else None, calibration)
        if mirror:
            x, y, z = self.coarse.shape
            lifting = tensors["lifting"].reshape(x, y, z, 2)[:, ::-1].copy()
            lifting[..., 0] = np.where(lifting[..., 0] >= -1, -lifting[..., 0], lifting[..., 0])
            tensors["lifting"] = lifting.reshape(1, x * y, z, 2)
            tensors["voxel_depth"] = tensors["voxel_depth"].reshape(x, y, z)[:, ::-1].reshape(1, x * y, z)
            tensors["image"] = tensors["image"][..., ::-1]
        if self._with_cloud:
            limit = points_per_voxel(rng, self.augmentation, self.preprocess.voxelizer.max_points)
            tensors["voxels"][:, limit:] = 0
            tensors["voxel_counts"] = np.minimum(tensors["voxel_counts"], limit)
        return {name: tensors[name] for name in self.inputs}, points, seen.point_classes[kept]

    def _labels(self, frame: Frame, T: np.ndarray | None, mirror: bool) -> tuple[np.ndarray, np.ndarray]:
        """Voxel labels on the grid and binary geometry on the feature grid, as far as the frame has them."""
        if frame.labelled:
            labels = self._cache.get((frame.sequence.path, frame.id), partial(self._voxels, frame))
            labels = labels if T is None else moved(labels, self.preprocess.grid, T)
            coarse = downscale_labels(labels, self.preprocess.lifting_factor)
            geometry = np.where(coarse == IGNORE, coarse, np.minimum(coarse, 1))
        else:
            labels = np.full(self.preprocess.grid.shape, IGNORE, np.uint8)
            geometry = np.full(self.coarse.shape, IGNORE, np.uint8)
            if frame.occupied is not None:
                geometry = self._cache.get(
                    (frame.occupied,), lambda: read_geometry(frame.occupied, self.coarse.shape, self.thresholds)
                )
                geometry = geometry if T is None else moved(geometry, self.coarse, T)
        return (labels[:, ::-1], geometry[:, ::-1]) if mirror else (labels, geometry)

    def _voxels(self, frame: Frame) -> np.ndarray:
        grid = self.preprocess.grid
        factor = KITTI_GRID.shape[0] // grid.shape[0]
        if grid != KITTI_GRID.coarsen(factor):
            raise InputError(
                f"grid: SemanticKITTI's labels are for {KITTI_GRID} or a coarser form of it, not for {grid}"
            )
        labels = frame.sequence.voxel_labels(frame.id)
        return labels if factor == 1 else downscale_labels(labels, factor)

    def _moment(self, frame: Frame, back: int) -> tuple[Sensors, np.ndarray]:
        """The frame `back` scans before (the first again where there is none), and T_now_then (4, 4)."""
        sequence = frame.sequence
        if not back:
            return self._seen(sequence, frame.id, self.image_labels), np.eye(4)
        then = sequence.frames[max(sequence.frames.index(frame.id) - back, 0)]
        poses = sequence.poses
        T_now_then = np.linalg.inv(poses[int(frame.id)]) @ poses[int(then)]
        return self._seen(sequence, then, None), T_now_then

    def _seen(self, sequence: Sequence, frame: str, image_labels: str | None) -> Sensors:
        read = partial(self._sensors, sequence, frame, image_labels)
        # A teacher may share the cache with its student and look at larger images.
        return self._cache.get((sequence.path, frame, image_labels, self.preprocess.image_size, self.map_shape), read)

    def _sensors(self, sequence: Sequence, frame: str, image_labels: str | None) -> Sensors:
        points, calibration, image = sequence.scan(frame), sequence.calibration, sequence.image(frame)
        uv, distance = calibration.project(points)
        metres = (distance * calibration.canonical).astype(np.float32)
        depth = nearest_wins(uv, distance, metres, 0, calibration.image_size, self.preprocess.depth_shape)
        near = np.all((points[:, :3] > _REACH_LOW) & (points[:, :3] < _REACH_HIGH), axis=1) & self._with_cloud
        classes = np.full(len(points), IGNORE, np.uint8)
        label_map = np.full(self.map_shape, IGNORE, np.uint8)
        if image_labels == "points":
            classes = points_from_raw(sequence.point_labels(frame))
            label_map = project_labels(uv, distance, classes, calibration.image_size, self.map_shape)
        elif image_labels == "pseudo_labels":
            path = sequence.file("pseudo_labels", frame, "png")
            pixels = read_classes(path)
            if pixels.shape != image.shape[:2]:
                raise DataError(f"{path}: shape {pixels.shape}; expected {image.shape[:2]}, that of the image")
            classes = classes_at(pixels, uv)
            label_map = cv2.resize(pixels, self.map_shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        # A network that sees with a camera alone wants of the cloud what has been projected now.
        points, classes = points[near], classes[near]
        size = self.preprocess.image_size
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        return Sensors(image, points, classes, label_map, depth, resized(calibration, size))


def inputs_of(batch: dict, config: OccLEConfig | MonoOccConfig) -> tuple[torch.Tensor, ...]:
    """The network's arguments."""
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
    return Calibration(scale @ calibration.P, calibration.T_cam_lidar, size)


def collate(samples: list[dict]) -> dict:
    """Batch samples: voxel rows one after another, each table moved to its own rows; `name` becomes a list."""
    batch = {name: torch.cat([s[name] for s in samples]) for name in samples[0] if name != "name"}
    if "voxel_table" in batch:
        rows = len(batch["voxel_counts"]) // len(batch["voxel_table"])
        for n, table in enumerate(batch["voxel_table"]):
            table += n * rows
    return batch | {"name": [s["name"] for s in samples]}
