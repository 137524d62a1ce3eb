"""Frame in, labelled voxels out: preprocessing and network, timed."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from occ_core import Calibration, FramePreprocessor, Occupancy
from occ_core.lifting import view_warnings

from .backend import Backend
from .bundle import Bundle
from .manifest import BundleError
from .profiler import Profiler

LABELS_AGREE = 0.995
"""Share of voxels that a healthy engine labels as the golden sample does."""
LABELS_ALLOWED = f"at most {100 * (1 - LABELS_AGREE):.1f} % may"


@dataclass(frozen=True)
class SelfTest:
    """How an engine's outputs differ from the golden sample."""

    voxels: int
    differing: int
    occupied: int
    differing_occupied: int
    confidence_deviation: float

    @property
    def agrees(self) -> bool:
        """Whether at least LABELS_AGREE of the labels equal the golden sample's."""
        return self.differing <= (1 - LABELS_AGREE) * self.voxels

    def __str__(self):
        share = 100 * self.differing / self.voxels
        return (
            f"golden sample: {self.differing} of {self.voxels} labels differ ({share:.3f} %), "
            f"{self.differing_occupied} of {self.occupied} where occupied; "
            f"mean confidence deviation {self.confidence_deviation:.2f} of 255"
        )


class Predictor:
    """One network with its preprocessing. `backend` is one that `load_backend` gives, or any object with `Backend`'s
    attributes and methods. The profiler gets the stages "preprocess" and "inference".
    """

    def __init__(self, bundle: Bundle, backend: Backend, profiler: Profiler | None = None):
        self.bundle = bundle
        self.backend = backend
        self.profiler = profiler or Profiler()
        self._preprocess = FramePreprocessor(bundle.preprocess)

    def predict(
        self,
        image: np.ndarray | None,
        points: np.ndarray | None,
        calibration: Calibration,
        depth: np.ndarray | None = None,
    ) -> Occupancy:
        """One frame. `points` and `depth` are ignored by networks that do not use them.

        Parameters
        ----------
        image : (H, W, 3) uint8 RGB of the calibration's size; None for the LiDAR only, with a calibration such as
            `Calibration.without_camera` gives
        points : (N, 4) float32 x, y, z in metres (LiDAR frame), intensity; None where the bundle needs no cloud
        depth : (H, W) metres; where it is not positive, and without it, the network's predicted depth is used
        """
        with self.profiler.stage("preprocess"):
            inputs = self._preprocess(image, points if self.bundle.needs_cloud else None, calibration, depth)
        with self.profiler.stage("inference"):
            outputs = self.backend.infer(inputs)
        hits = inputs["occupancy"][0] if "occupancy" in inputs else None
        return Occupancy(outputs["labels"][0], outputs["confidence"][0], self.bundle.grid, hits)

    def view_warnings(self, calibration: Calibration) -> list[str]:
        """See `lifting.view_warnings`; the table is that of `predict`."""
        return view_warnings(self._preprocess.lifting(calibration))

    def self_test(self) -> SelfTest:
        """Run the golden sample on this engine. Raises BundleError where fewer than 99.5 % of the labels agree."""
        result = golden_test(self.bundle, self.backend.infer)
        if not result.agrees:
            exact = "" if self.backend.precision == "f32" else "; precision f32 is exact"
            raise BundleError(
                f"{self.bundle.path}: backend {self.backend.name} disagrees: {result}; {LABELS_ALLOWED}{exact}"
            )
        return result


def golden_test(bundle: Bundle, infer: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]) -> SelfTest:
    """Run the bundle's golden sample through an engine's `infer`."""
    inputs, expected = bundle.golden()
    return compare_outputs(infer(inputs), expected)


def compare_outputs(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> SelfTest:
    """Count the differences between two engines' outputs; a voxel is occupied where either says so."""
    labels, golden = found["labels"], expected["labels"]
    differs = labels != golden
    occupied = (labels > 0) | (golden > 0)
    deviation = np.abs(found["confidence"].astype(np.int16) - expected["confidence"]).mean()
    return SelfTest(
        differs.size, int(differs.sum()), int(occupied.sum()), int((differs & occupied).sum()), float(deviation)
    )
