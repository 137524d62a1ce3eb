"""Frame in, labelled voxels out: preprocessing and engine, timed."""

from dataclasses import dataclass

import numpy as np

from ..perception import Calibration, FramePreprocessor, Occupancy
from .backend import Backend
from .bundle import Bundle
from .manifest import BundleError
from .profiler import Profiler

LABELS_AGREE = 0.995
"""Share of voxels that a healthy engine labels as the golden sample does."""


@dataclass(frozen=True)
class SelfTest:
    """How far an engine is from the golden sample."""

    voxels: int
    differing: int
    occupied: int
    differing_occupied: int
    confidence_deviation: float

    def __str__(self):
        share = 100 * self.differing / self.voxels
        return (
            f"golden sample: {self.differing} of {self.voxels} labels differ ({share:.3f} %), "
            f"{self.differing_occupied} of {self.occupied} where occupied; "
            f"mean confidence deviation {self.confidence_deviation:.2f} of 255"
        )


class Predictor:
    """One network with its preprocessing. Stages "preprocess" and "inference" go to the profiler."""

    def __init__(self, bundle: Bundle, backend: Backend, profiler: Profiler | None = None):
        self.bundle = bundle
        self.backend = backend
        self.profiler = profiler or Profiler()
        self._preprocess = FramePreprocessor(bundle.preprocess)

    def predict(self, image: np.ndarray, points: np.ndarray, calibration: Calibration) -> Occupancy:
        """One frame.

        Parameters
        ----------
        image : (H, W, 3) uint8 RGB of the calibration's size
        points : (N, 4) float32 x, y, z in metres (LiDAR frame), intensity
        """
        with self.profiler.stage("preprocess"):
            inputs = self._preprocess(image, points, calibration)
        with self.profiler.stage("inference"):
            outputs = self.backend.infer(inputs)
        return Occupancy(outputs["labels"][0], outputs["confidence"][0], self.bundle.grid)

    def self_test(self) -> SelfTest:
        """Run the golden sample on this engine. Raises BundleError where fewer than 99.5 % of the labels agree."""
        inputs, expected = self.bundle.golden()
        result = compare_outputs(self.backend.infer(inputs), expected)
        if result.differing > (1 - LABELS_AGREE) * result.voxels:
            allowed = f"at most {100 * (1 - LABELS_AGREE):.1f} % may"
            if "bf16" in self.backend.description:
                allowed += "; precision f32 is exact"
            raise BundleError(f"{self.bundle.path}: backend {self.backend.name} disagrees: {result}; {allowed}")
        return result


def compare_outputs(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> SelfTest:
    """Count what differs between two outputs of engines; occupied: by either."""
    labels, golden = found["labels"], expected["labels"]
    differs = labels != golden
    occupied = (labels > 0) | (golden > 0)
    deviation = np.abs(found["confidence"].astype(np.int16) - expected["confidence"]).mean()
    return SelfTest(
        differs.size, int(differs.sum()), int(occupied.sum()), int((differs & occupied).sum()), float(deviation)
    )
