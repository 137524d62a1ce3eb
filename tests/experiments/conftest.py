"""A drive with all that OccLE's phases take."""

from pathlib import Path

import numpy as np
import pytest

from occ_core import KITTI_GRID
from occ_core.taxonomy import raw_from_classes
from occ_core.voxelizer import occupancy_grid
from occ_data.kitti import SequenceWriter, write_png

ROAD, WALL = 9, 13


@pytest.fixture
def labelled_drive(tiny_sequence) -> Path:
    """`tiny_sequence` with voxel labels, and pseudo labels: the upper half of an image a wall, the lower half road."""
    path = tiny_sequence.path
    writer = SequenceWriter(path.parents[1], path.name)
    classes = np.full((32, 96), ROAD, np.uint8)
    classes[:16] = WALL
    for frame in tiny_sequence.frames:
        occupied = occupancy_grid(tiny_sequence.scan(frame), KITTI_GRID) > 0
        labels = np.where(occupied, WALL, 0).astype(np.uint8)
        writer.write_voxels(frame, raw_labels=raw_from_classes(labels), invalid=np.zeros_like(labels))
        write_png(path / "pseudo_labels" / f"{frame}.png", classes)
    return path
