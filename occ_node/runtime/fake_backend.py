"""A network of no weights, for tests of what stands around it: what the scan hit is building."""

from pathlib import Path

import numpy as np

from ..perception import CLASS_NAMES, Calibration, FramePreprocessor, PreprocessConfig, VoxelizerConfig
from .backend import select_inputs
from .bundle import Bundle, write_bundle
from .manifest import input_specs

BUILDING = CLASS_NAMES.index("building")


class FakeBackend:
    """See `backend.Backend`. Reads `occupancy` alone and never opens the model file."""

    name = "fake"

    def __init__(self, bundle: Bundle, threads: int | None = None, precision: str = "auto"):
        self._bundle = bundle
        self.description = "fake (occupied voxels of the scan labelled building)"

    def infer(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return _outputs(select_inputs(self._bundle, inputs)["occupancy"])

    def close(self) -> None:
        pass


def _outputs(occupancy: np.ndarray) -> dict[str, np.ndarray]:
    return {"labels": occupancy * np.uint8(BUILDING), "confidence": np.full_like(occupancy, 255)}


FAKE_PREPROCESS = PreprocessConfig(voxelizer=VoxelizerConfig(factor=2, max_points=8, max_voxels=4096))


def write_fake_bundle(folder: str | Path, preprocess: PreprocessConfig = FAKE_PREPROCESS) -> Bundle:
    """A bundle folder for the fake backend: whole in form, with an empty model and a golden sample of its own."""
    generator = np.random.default_rng(0)
    points = np.append(generator.uniform((2, -20, -2, 0), (50, 20, 3, 1), (5000, 4)), np.zeros((1, 4)), 0)
    image = generator.integers(0, 255, (184, 608, 3), np.uint8)
    T_cam_lidar = np.array([(0, -1, 0, 0), (0, 0, -1, 0), (1, 0, 0, 0), (0, 0, 0, 1)])
    calibration = Calibration([(350, 0, 304, 0), (0, 350, 92, 0), (0, 0, 1, 0)], T_cam_lidar, (608, 184))
    inputs = FramePreprocessor(preprocess)(image, points.astype(np.float32), calibration)
    return write_bundle(
        folder,
        name=Path(folder).name,
        model="occle",
        size="fake",
        version="0",
        preprocess=preprocess,
        inputs=input_specs(preprocess),
        training={"data": "none"},
        license="Apache-2.0",
        metrics={},
        onnx=b"",
        golden=(inputs, _outputs(inputs["occupancy"])),
    )
