"""Label grids and camera images out of bags."""

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from occ_core import KITTI_GRID, Grid
from occ_data.bags import BagError, bag_topics, read_bag
from occ_data.bags.decode import decode
from occ_data.bags.reader import decode_cdr, header_of

from .inputs import BagInputs

GRID_TYPE, MAP_TYPE = "std_msgs/msg/UInt8MultiArray", "nav_msgs/msg/OccupancyGrid"


def read_grids(path: Path, wanted: Collection[int] | None = None) -> Iterator[tuple[int, np.ndarray]]:
    """(place, labels (X, Y, Z) uint8) of the semantic grids in a recording of the node; only those places, in order."""
    grid_topic = _grid_topic(path)
    last = max(wanted, default=-1) if wanted is not None else None
    for place, (topic, kind, _, data) in enumerate(read_bag(path, [grid_topic])):
        if wanted is None or place in wanted:
            yield place, grid_of(decode_cdr(topic, kind, data), path)
        if place == last:
            return


def recorded_grid(path: Path, shape: tuple[int, int, int]) -> Grid:
    """The grid of the labels in a recording: place and size of the voxels as the node's `grid` beside them has it.

    A recording without it must hold labels on SemanticKITTI's grid. Raises BagError.
    """
    beside = _grid_topic(path).rpartition("/")[0] + "/grid"
    for topic, kind, _, data in read_bag(path, [beside]):
        info = decode_cdr(topic, kind, data).info
        if kind == MAP_TYPE and (info.width, info.height) == shape[:2]:
            corner = info.origin.position
            return Grid(shape, round(info.resolution, 6), (corner.x, corner.y, corner.z))
    if shape != KITTI_GRID.shape:
        raise BagError(f"{path}: labels of shape {shape}; expected a topic {beside} that says where they are")
    return KITTI_GRID


def grid_of(message, path: Path) -> np.ndarray:
    """The dense labels of one message."""
    shape = tuple(dimension.size for dimension in message.layout.dim)
    if len(shape) != 3 or int(np.prod(shape)) != len(message.data):
        raise BagError(f"{path}: a grid of layout {shape} with {len(message.data)} values; expected (X, Y, Z) labels")
    return np.asarray(message.data, np.uint8).reshape(shape)


def read_images(
    path: Path, inputs: BagInputs, stamps: Collection[int], tolerance: float = 0.06
) -> dict[int, np.ndarray]:
    """(H, W, 3) uint8 RGB nearest to each stamp (ns) within `tolerance` seconds; stamps without one are left out."""
    nearest: dict[int, tuple[int, bytes, str]] = {}
    wanted = np.array(sorted(stamps), np.int64)
    for topic, kind, recorded, data in read_bag(path, [inputs.image]):
        stamp = header_of(topic, kind, data)[0] or recorded
        for n in np.flatnonzero(np.abs(wanted - stamp) <= tolerance * 1e9):
            distance = abs(int(wanted[n]) - stamp)
            if distance < nearest.get(int(wanted[n]), (1 << 62,))[0]:
                nearest[int(wanted[n])] = (distance, bytes(data), kind)
    return {stamp: decode(inputs.image, kind, data) for stamp, (_, data, kind) in nearest.items()}


def _grid_topic(path: Path) -> str:
    topics = [topic for topic, (kind, _) in bag_topics(path).items() if kind == GRID_TYPE]
    if len(topics) != 1:
        raise BagError(f"{path}: expected one topic of type {GRID_TYPE}, found {', '.join(topics) or 'none'}")
    return topics[0]
