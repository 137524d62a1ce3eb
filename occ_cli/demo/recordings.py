"""The label grids in a recording of the node's outputs."""

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from occ_core import KITTI_GRID, Grid
from occ_data.bags import BagError, bag_topics, read_bag
from occ_data.bags.reader import decode_cdr
from occ_node.topics import GRID, SEMANTIC_GRID


def read_grids(path: Path, wanted: Collection[int] | None = None) -> Iterator[tuple[int, np.ndarray]]:
    """(number, labels (X, Y, Z) uint8) of the semantic grids in a recording, in order; only the numbers wanted."""
    grid_topic = _grid_topic(path)
    last = max(wanted, default=-1) if wanted is not None else None
    for number, (topic, kind, _, data) in enumerate(read_bag(path, [grid_topic])):
        if wanted is None or number in wanted:
            yield number, grid_of(decode_cdr(topic, kind, data), path)
        if number == last:
            return


def recorded_grid(path: Path, shape: tuple[int, int, int]) -> Grid:
    """The grid of the labels in a recording: position and size of the voxels, from the node's output `grid`.

    A recording without that output must hold labels on SemanticKITTI's grid. Raises BagError.
    """
    map_topic = _grid_topic(path).rpartition("/")[0] + f"/{GRID.name}"
    for topic, kind, _, data in read_bag(path, [map_topic]):
        info = decode_cdr(topic, kind, data).info
        if kind == GRID.type and (info.width, info.height) == shape[:2]:
            corner = info.origin.position
            return Grid(shape, round(info.resolution, 6), (corner.x, corner.y, corner.z))
    if shape != KITTI_GRID.shape:
        raise BagError(f"{path}: labels of shape {shape}; expected a topic {map_topic}, which says where they are")
    return KITTI_GRID


def grid_of(message, path: Path) -> np.ndarray:
    """The dense labels of one message."""
    shape = tuple(dimension.size for dimension in message.layout.dim)
    if len(shape) != 3 or int(np.prod(shape)) != len(message.data):
        raise BagError(f"{path}: a grid of layout {shape} with {len(message.data)} values; expected (X, Y, Z) labels")
    return np.asarray(message.data, np.uint8).reshape(shape)


def _grid_topic(path: Path) -> str:
    topics = [topic for topic, (kind, _) in bag_topics(path).items() if kind == SEMANTIC_GRID.type]
    if len(topics) != 1:
        raise BagError(f"{path}: expected one topic of type {SEMANTIC_GRID.type}, found {', '.join(topics) or 'none'}")
    return topics[0]
