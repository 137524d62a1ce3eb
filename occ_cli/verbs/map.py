"""Make one map of a drive: all its frames, labelled and added up at their poses.

examples:
  occ-node map --drive synthetic:7:50 --output maps
  occ-node map --bundle occle-nano --dataset KITTI --sequences 07 08 --output maps
  occ-node map --drive drive.bag --output maps                       poses from the bag's transforms
  occ-node map --dataset KITTI --sequences 08 --predictions predictions --output maps     what `infer` wrote

Writes OUTPUT/NAME.ply (centres of the occupied voxels: x, y, z, red, green, blue, label; binary), OUTPUT/NAME.npz (the
same with confidence, as indices of the grid) and OUTPUT/NAME.png, the map from above with the path. The map covers the
whole drive, in the grid frame of its first frame: nothing is forgotten but what later frames saw to be free, and
movable objects that were not parked. It takes 7 bytes for each voxel of the box around the drive."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..arguments import add_backend
from ..sources import add_drive_arguments, chosen_drives

if TYPE_CHECKING:
    import numpy as np

    from occ_core import Grid, Occupancy
    from occ_core.voxel_map import VoxelMap
    from occ_data import Drive
    from occ_runtime import Bundle

_BYTES = 7
_READ_CONFIDENCE = 204
"""Of predictions in files, which have none: 0.8."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bundle", help="engine bundle: a folder or a name (default occle-nano)")
    add_drive_arguments(parser)
    parser.add_argument(
        "--predictions", type=Path, metavar="DIR", help="what `infer` wrote, instead of running a bundle"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="where the maps go")
    parser.add_argument(
        "--memory", type=float, default=4.0, metavar="GB", help="largest map, in gigabytes (default: %(default)g)"
    )
    add_backend(parser, default="auto")
    parser.add_argument("--threads", type=int, help="CPU threads (default: all)")


def command(arguments: argparse.Namespace) -> int:
    from ..errors import CommandError

    if arguments.predictions and arguments.bundle:
        raise CommandError("--bundle does not go with --predictions")
    drives = chosen_drives(arguments)
    for drive in drives:
        if not drive.has_poses:
            raise CommandError(f"{drive.path}: no poses; a map needs to know how the LiDAR moved")
    if arguments.predictions:
        for drive in drives:
            _write(arguments, drive, _read(arguments.predictions, drive))
        return 0
    from occ_runtime import OCCLE, Bundle, Predictor, find_bundle, load_backend

    bundle = Bundle.load(find_bundle(arguments.bundle or OCCLE))
    for drive in drives:
        _box(drive, _frames(drive, bundle), bundle.grid, arguments.memory)  # too large: said before the engine loads
    backend = load_backend(bundle, arguments.backend, arguments.threads)
    predictor = Predictor(bundle, backend)
    for drive in drives:
        _write(arguments, drive, _predict(predictor, drive))
    backend.close()
    return 0


def _frames(drive: "Drive", bundle: "Bundle") -> list[str]:
    return drive.frames if bundle.needs_cloud else drive.image_frames


def _predict(predictor, drive: "Drive") -> "Iterator[tuple[str, Occupancy]]":
    bundle = predictor.bundle
    for frame in _frames(drive, bundle):
        scan = drive.scan(frame) if bundle.needs_cloud else None
        yield frame, predictor.predict(drive.image(frame), scan, drive.calibration)


def _read(predictions: Path, drive: "Drive") -> "Iterator[tuple[str, Occupancy]]":
    import numpy as np

    from occ_core import Occupancy
    from occ_core.voxelizer import occupancy_grid

    from ..errors import CommandError
    from ..predictions import prediction_file, read_prediction

    found = [f for f in drive.image_frames if prediction_file(predictions, drive.name, f).is_file()]
    if not found:
        raise CommandError(f"{prediction_file(predictions, drive.name, '*')}: none; expected what `infer` wrote")
    for frame in found:
        labels, grid = read_prediction(prediction_file(predictions, drive.name, frame))
        hits = None
        if drive.has_scan(frame):
            hits = occupancy_grid(drive.calibration.to_grid(drive.scan(frame)), grid).astype(np.uint8)
        yield frame, Occupancy(labels, np.full(labels.shape, _READ_CONFIDENCE, np.uint8), grid, hits)


def _write(arguments: argparse.Namespace, drive: "Drive", occupancies: "Iterator[tuple[str, Occupancy]]") -> None:
    import numpy as np
    from tqdm import tqdm

    from ..drawing import map_picture, save_png
    from ..errors import CommandError
    from ..map_files import write_npz, write_ply

    T_grid_lidar = drive.calibration.T_grid_lidar
    world: VoxelMap | None = None
    path = []
    for frame, occupancy in tqdm(occupancies, desc=f"map of {drive.name}", unit="frame"):
        if world is None:
            world = _box(drive, drive.image_frames, occupancy.grid, arguments.memory)
        row = int(frame)
        T_map_grid = T_grid_lidar @ drive.poses[row] @ np.linalg.inv(T_grid_lidar)
        world.add(occupancy, T_map_grid, T_grid_lidar[None, :3, 3], float(drive.times[row]))
        path.append(T_map_grid[:3, 3])
    if world is None:
        raise CommandError(f"{drive.path}: no frames")
    whole = world.occupancy()
    print(write_ply(arguments.output / f"{drive.name}.ply", whole))
    print(write_npz(arguments.output / f"{drive.name}.npz", whole))
    print(save_png(arguments.output / f"{drive.name}.png", map_picture(whole.labels, whole.grid, np.array(path))))


def _box(drive: "Drive", frames: list[str], grid: "Grid", memory: float) -> "VoxelMap":
    """An empty map of the whole drive."""
    import numpy as np

    from occ_core.voxel_map import VoxelMap

    from ..errors import CommandError

    T_grid_lidar = drive.calibration.T_grid_lidar
    T_map_grid = T_grid_lidar @ drive.poses[[int(frame) for frame in frames]] @ np.linalg.inv(T_grid_lidar)
    low, high = _extent(grid, T_map_grid)
    first = np.floor(low / grid.voxel_size).astype(int)
    shape = tuple((np.ceil(high / grid.voxel_size).astype(int) - first).tolist())
    if (needed := 1e-9 * _BYTES * float(np.prod(shape, dtype=float))) > memory:
        metres = " x ".join(f"{length:.0f}" for length in high - low)
        raise CommandError(
            f"{drive.path}: a map of {metres} m takes {needed:.1f} GB; expected at most {memory:g} (set --memory)"
        )
    return VoxelMap(shape, grid.voxel_size, tuple(first.tolist()), np.inf)


def _extent(grid: "Grid", T_map_grid: "np.ndarray") -> "tuple[np.ndarray, np.ndarray]":
    """Least and greatest (3,) metres of all frames' grids in the map frame. T_map_grid : (N, 4, 4)"""
    import numpy as np

    ends = [(origin, origin + n * grid.voxel_size) for origin, n in zip(grid.origin, grid.shape, strict=True)]
    corners = np.stack(np.meshgrid(*ends, indexing="ij"), -1).reshape(-1, 3)
    placed = (corners @ T_map_grid[:, :3, :3].transpose(0, 2, 1) + T_map_grid[:, None, :3, 3]).reshape(-1, 3)
    return placed.min(0), placed.max(0)
