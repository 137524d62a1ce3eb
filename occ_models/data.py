"""SemanticKITTI sequences as training samples."""

from collections.abc import Sequence as Items
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from occ_data.kitti import DataError, Sequence
from occ_node.perception import Calibration, FramePreprocessor, PreprocessConfig
from occ_node.perception.taxonomy import IGNORE, points_from_raw

from .augmentation import change_appearance, rigid, thin_cloud, transform_labels
from .targets import downscale_labels, project_labels

INPUTS = ("image", "voxels", "voxel_counts", "voxel_table", "occupancy", "lifting")
# Points kept in memory: the scene box and what a turn of it can bring in, metres.
_REACH_LOW, _REACH_HIGH = (-15.0, -38.0, -4.0), (65.0, 38.0, 6.0)


class FrameDataset(Dataset):
    """Every labelled frame of some sequences, augmented or not. Frames stay in memory in compact form once read.

    A sample holds the network's inputs (without batch axis) and the targets `labels` (X, Y, Z), `labels_3d` (feature
    grid, IGNORE where at most one point lies), `labels_coarse` (feature grid) and `labels_2d` (h, w at the image
    stride), all uint8.
    """

    def __init__(
        self,
        folders: Items[str | Path],
        preprocess: PreprocessConfig,
        image_stride: int,
        augmentation=None,
        seed: int = 0,
    ):
        self.sequences = [Sequence(folder) for folder in folders]
        self.items = [(s, f) for s in self.sequences for f in s.frames if s.has_voxels(f)]
        if not self.items:
            names = ", ".join(str(folder) for folder in folders) or "none given"
            raise DataError(f"no frame with voxels/*.label in {names}; run `occ-data ground-truth` first")
        self.preprocess, self.augmentation, self.seed = preprocess, augmentation, seed
        self.coarse = preprocess.grid.coarsen(preprocess.lifting_factor)
        width, height = preprocess.image_size
        self.map_shape = (-(-height // image_stride), -(-width // image_stride))
        self.epoch_draws = 0
        self._frames: dict[int, tuple] = {}
        self._prepare = FramePreprocessor(preprocess)

    def __len__(self) -> int:
        return len(self.items)

    def roots(self) -> list[str]:
        """Data set root of each item, for sampling them alike."""
        return [str(s.path.parent) for s, _ in self.items]

    def _frame(self, index: int) -> tuple:
        """image (network size), points, labels, 2-D label map, calibration of the resized image."""
        if index not in self._frames:
            sequence, frame = self.items[index]
            points, calibration = sequence.scan(frame), sequence.calibration
            reach = np.all((points[:, :3] > _REACH_LOW) & (points[:, :3] < _REACH_HIGH), axis=1)
            uv, depth = calibration.project(points)
            classes = points_from_raw(sequence.point_labels(frame))
            label_map = project_labels(uv, depth, classes, calibration.image_size, self.map_shape)
            size = self.preprocess.image_size
            image = cv2.resize(sequence.image(frame), size, interpolation=cv2.INTER_AREA)
            self._frames[index] = (
                image, points[reach], sequence.voxel_labels(frame), label_map, resized(calibration, size),
            )  # fmt: skip
        return self._frames[index]

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        image, points, labels, label_map, calibration = self._frame(index)
        mirror = False
        if self.augmentation is not None:
            self.epoch_draws += 1
            worker = torch.initial_seed() % 2**32
            rng = np.random.default_rng((self.seed, worker, index, self.epoch_draws))
            image = change_appearance(image, rng, self.augmentation)
            T = rigid(rng, self.augmentation)
            if T is not None:
                points = points.copy()
                points[:, :3] = points[:, :3] @ T[:3, :3].T.astype(np.float32) + T[:3, 3].astype(np.float32)
                labels = transform_labels(labels, self.preprocess.grid, T)
                calibration = replace(calibration, T_cam_lidar=calibration.T_cam_lidar @ np.linalg.inv(T))
            points = thin_cloud(points, rng, self.augmentation)
            points = points[rng.permutation(len(points))]
            mirror = rng.random() < self.augmentation.mirror_p
        tensors = {"image": self._prepare.image_tensor(image, calibration)}
        lifting = self._prepare.lifting(calibration).coordinates
        if mirror:
            x, y, z = self.coarse.shape
            lifting = lifting.reshape(x, y, z, 2)[:, ::-1].copy()
            lifting[..., 0] = np.where(lifting[..., 0] >= -1, -lifting[..., 0], lifting[..., 0])
            lifting = lifting.reshape(x * y, z, 2)
            points = points * np.array([1, -1, 1, 1], np.float32)
            labels, label_map = labels[:, ::-1], label_map[:, ::-1]
            tensors["image"] = tensors["image"][..., ::-1]
        tensors |= self._prepare.cloud_tensors(points)
        tensors["lifting"] = lifting[None]
        coarse = downscale_labels(labels, self.preprocess.lifting_factor)
        tensors |= {
            "labels": labels[None],
            "labels_coarse": coarse[None],
            "labels_3d": np.where(self._points_in(points) > 1, coarse, IGNORE)[None].astype(np.uint8),
            "labels_2d": label_map[None],
        }
        return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in tensors.items()}

    def _points_in(self, points: np.ndarray) -> np.ndarray:
        index, _ = self.coarse.index_of(points)
        flat = np.ravel_multi_index(index.T, self.coarse.shape)
        return np.bincount(flat, minlength=int(np.prod(self.coarse.shape))).reshape(self.coarse.shape)


def resized(calibration: Calibration, size: tuple[int, int]) -> Calibration:
    """The calibration of the same image resized to `size` (width, height); pixel centres lie at whole numbers."""
    sx, sy = (new / old for new, old in zip(size, calibration.image_size, strict=True))
    scale = np.array([[sx, 0, (sx - 1) / 2], [0, sy, (sy - 1) / 2], [0, 0, 1]])
    return Calibration(scale @ calibration.P, calibration.T_cam_lidar, size)


def collate(samples: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Batch samples: voxel rows one after another, each table moved to its own rows."""
    batch = {name: torch.cat([s[name] for s in samples]) for name in samples[0]}
    rows = samples[0]["voxel_counts"].shape[0]
    for n, table in enumerate(batch["voxel_table"]):
        table += n * rows
    return batch
