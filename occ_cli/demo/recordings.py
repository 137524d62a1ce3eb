"""Label grids and camera images out of bags."""

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from occ_data.bags import BagError, bag_topics, read_bag
from occ_data.bags.decode import image_of
from occ_data.bags.reader import decode_cdr

from .inputs import BagInputs

GRID_TYPE = "std_msgs/msg/UInt8MultiArray"


def read_grids(path: Path, wanted: Collection[int] | None = None) -> Iterator[tuple[int, np.ndarray]]:
    """(place, labels (X, Y, Z) uint8) of the semantic grids in a recording of the node; only those places, in order."""
    topics = [topic for topic, (kind, _) in bag_topics(path).items() if kind == GRID_TYPE]
    if len(topics) != 1:
        raise BagError(f"{path}: expected one topic of type {GRID_TYPE}, found {', '.join(topics) or 'none'}")
    last = max(wanted, default=-1) if wanted is not None else None
    for place, (topic, kind, _, data) in enumerate(read_bag(path, topics)):
        if wanted is None or place in wanted:
            yield place, grid_of(decode_cdr(topic, kind, data), path)
        if place == last:
            return


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
    for _, kind, recorded, data in read_bag(path, [inputs.image]):
        stamp = _header_stamp(data) or recorded
        for n in np.flatnonzero(np.abs(wanted - stamp) <= tolerance * 1e9):
            distance = abs(int(wanted[n]) - stamp)
            if distance < nearest.get(int(wanted[n]), (1 << 62,))[0]:
                nearest[int(wanted[n])] = (distance, bytes(data), kind)
    return {stamp: image_of(decode_cdr(inputs.image, kind, data)) for stamp, (_, data, kind) in nearest.items()}


def _header_stamp(data) -> int:
    seconds, nanoseconds = np.frombuffer(data, "<i4" if data[1] else ">i4", 2, offset=4)
    return int(seconds) * 1_000_000_000 + int(nanoseconds)
