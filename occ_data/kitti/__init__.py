"""SemanticKITTI's files: the one reader and the one writer, exact to the bit.

ROOT/sequences/SS/  calib.txt  poses.txt  times.txt
                    image_2/NNNNNN.png       left colour image
                    velodyne/NNNNNN.bin      N x 4 float32: x, y, z, remission
                    labels/NNNNNN.label      N uint32: class in the low half, instance in the high half
                    voxels/NNNNNN.label      256*256*32 uint16 raw ids
                    voxels/NNNNNN.{bin,invalid,occluded}   one bit a voxel, first voxel in the highest bit
and of our own:     pseudo_labels/NNNNNN.png  pixel_labels/NNNNNN.png   8-bit class maps, 255 unknown; the latter exact
                    rig.yaml                 where the LiDAR is, for one that is not mounted as KITTI's
                    grid.yaml in a folder of voxel files, where their grid is not SemanticKITTI's
"""

from ..drive import DataError
from .depth import DepthFolder, read_depth
from .images import read_classes, read_gray, write_png
from .sequence import Sequence, sequences
from .voxels import read_bits, read_grid, read_voxel_labels, write_bits, write_grid, write_voxel_labels
from .writer import SequenceWriter, link_inputs

__all__ = [
    "DataError", "DepthFolder", "Sequence", "SequenceWriter", "link_inputs", "read_bits", "read_classes", "read_depth",
    "read_gray", "read_grid", "read_voxel_labels", "sequences", "write_bits", "write_grid", "write_png",
    "write_voxel_labels",
]  # fmt: skip
