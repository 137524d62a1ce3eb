"""What every other package builds on: geometry, preprocessing, labels, decoders; numpy and numba, no ROS, no torch."""

from .calibration import Calibration, CalibrationError
from .frame import CLOUD_TENSORS, DEPTH_STRIDE, FramePreprocessor, PreprocessConfig, image_warnings, shows_nothing
from .grid import KITTI_GRID, Grid
from .metrics import CompletionMetrics
from .occupancy import Occupancy
from .taxonomy import CLASS_NAMES, COLORS, IGNORE, NUM_CLASSES
from .voxelizer import VoxelizerConfig

__all__ = [
    "CLASS_NAMES", "CLOUD_TENSORS", "COLORS", "DEPTH_STRIDE", "IGNORE", "KITTI_GRID", "NUM_CLASSES", "Calibration",
    "CalibrationError", "CompletionMetrics", "FramePreprocessor", "Grid", "Occupancy", "PreprocessConfig",
    "VoxelizerConfig", "image_warnings", "shows_nothing",
]  # fmt: skip
