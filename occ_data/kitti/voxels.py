"""Voxel files: they hold numbers only, so that a folder of another grid than SemanticKITTI's has a `grid.yaml`."""

from pathlib import Path

import numpy as np

from occ_core.errors import InputError
from occ_core.files import read_mapping, write_bytes, write_yaml
from occ_core.grid import KITTI_GRID, Grid

from ..drive import DataError
from .content import read_file

GRID_FILE = "grid.yaml"
Shape = tuple[int, int, int]


def read_bits(path: str | Path, shape: Shape = KITTI_GRID.shape) -> np.ndarray:
    """A bit-packed voxel file as (X, Y, Z) uint8 of 0 and 1."""
    data, voxels = read_file(path), int(np.prod(shape))
    if len(data) != -(-voxels // 8):
        raise DataError(f"{path}: {len(data)} bytes; expected {-(-voxels // 8)}: one bit a voxel of {shape}")
    return np.unpackbits(np.frombuffer(data, np.uint8), count=voxels).reshape(shape)


def write_bits(path: str | Path, bits: np.ndarray) -> Path:
    """bits : (X, Y, Z); whatever is not zero becomes 1. Gives the path."""
    return write_bytes(path, np.packbits(np.asarray(bits).astype(bool).reshape(-1)).tobytes())


def read_voxel_labels(path: str | Path, shape: Shape = KITTI_GRID.shape) -> np.ndarray:
    """A voxel `.label` file as (X, Y, Z) uint16 raw ids."""
    data, voxels = read_file(path), int(np.prod(shape))
    if len(data) != voxels * 2:
        raise DataError(f"{path}: {len(data)} bytes; expected {voxels * 2}: two a voxel of {shape}")
    return np.frombuffer(data, "<u2").reshape(shape).copy()


def write_voxel_labels(path: str | Path, raw: np.ndarray) -> Path:
    """raw : (X, Y, Z) uint16 raw ids. Gives the path."""
    return write_bytes(path, np.asarray(raw).astype("<u2").tobytes())


def read_grid(folder: str | Path) -> Grid:
    """The grid of a folder of voxel files: its `grid.yaml`, or SemanticKITTI's where there is none."""
    path = Path(folder) / GRID_FILE
    if not path.is_file():
        return KITTI_GRID
    try:
        content = read_mapping(path)
        shape, origin = (tuple(kind(n) for n in content.pop(k)) for k, kind in (("shape", int), ("origin", float)))
        return Grid(shape=shape, origin=origin, voxel_size=float(content.pop("voxel_size")), **content)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        found = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        expected = "expected shape (3 integers), voxel_size (metres) and origin (3 metres)"
        raise DataError(f"{path}: {expected}; {' '.join(found.split())}") from None


def write_grid(folder: str | Path, grid: Grid) -> None:
    """Say which grid a folder's voxel files have; SemanticKITTI's needs no `grid.yaml`."""
    path = Path(folder) / GRID_FILE
    if grid == KITTI_GRID:
        path.unlink(missing_ok=True)
        return
    write_yaml(path, {"shape": list(grid.shape), "voxel_size": grid.voxel_size, "origin": list(grid.origin)})
