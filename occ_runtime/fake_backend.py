"""Networks of no weights, for tests of what stands around them.

With a cloud, what the scan hit is building. With a camera alone, what is bright in the image is building, as far off as
the depth image says, or 12 m where it says nothing.
"""

from pathlib import Path

import numpy as np

from occ_core import CLASS_NAMES, CLOUD_TENSORS, Calibration, FramePreprocessor, PreprocessConfig, VoxelizerConfig

from .backend import select_inputs
from .bundle import Bundle, write_bundle
from .manifest import input_specs

BUILDING = CLASS_NAMES.index("building")
_AHEAD = 12.0


class FakeBackend:
    """See `backend.Backend`. Reads `occupancy` where the bundle has it, and never opens the model file."""

    name = "fake"

    def __init__(self, bundle: Bundle, threads: int | None = None, precision: str = "auto"):
        self._bundle = bundle
        seen = "occupied voxels of the scan" if bundle.needs_cloud else "what is bright in the image"
        self.description = f"fake ({seen} labelled building)"

    def infer(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return _outputs(select_inputs(self._bundle, inputs), self._bundle.preprocess)

    def close(self) -> None:
        pass


def _outputs(inputs: dict[str, np.ndarray], config: PreprocessConfig) -> dict[str, np.ndarray]:
    occupancy = inputs["occupancy"] if "occupancy" in inputs else _bright(inputs, config)
    return {"labels": occupancy * np.uint8(BUILDING), "confidence": np.full_like(occupancy, 255)}


def _bright(inputs: dict[str, np.ndarray], config: PreprocessConfig) -> np.ndarray:
    """(1, X, Y, Z) uint8, in the lifted grid's larger voxels: within a metre (canonical) of where a bright ray ends."""
    place = (inputs["lifting"][0] + 1) / 2  # of the image's width and height; negative out of view

    def at(picture: np.ndarray) -> np.ndarray:
        column, row = (
            np.clip(place[..., n] * size, 0, size - 1).astype(int) for n, size in enumerate(picture.shape[::-1])
        )
        return picture[row, column]

    end = at(inputs["depth"][0])
    near = np.abs(inputs["voxel_depth"][0] - np.where(end > 0, end, _AHEAD)) < 1
    seen = (place[..., 0] >= 0) & (at(inputs["image"][0].mean(0)) > 0) & near
    lifted = seen.astype(np.uint8).reshape(config.grid.coarsen(config.lifting_factor).shape)
    return np.kron(lifted, np.ones([config.lifting_factor] * 3, np.uint8))[None]


FAKE_PREPROCESS = PreprocessConfig(voxelizer=VoxelizerConfig(factor=2, max_points=8, max_voxels=4096))


def write_fake_bundle(
    folder: str | Path, preprocess: PreprocessConfig = FAKE_PREPROCESS, camera_only: bool = False
) -> Bundle:
    """A bundle folder for the fake backend: whole in form, with an empty model and a golden sample of its own."""
    generator = np.random.default_rng(0)
    points = np.append(generator.uniform((2, -20, -2, 0), (50, 20, 3, 1), (5000, 4)), np.zeros((1, 4)), 0)
    image = generator.integers(0, 255, (184, 608, 3), np.uint8)
    T_cam_lidar = np.array([(0, -1, 0, 0), (0, 0, -1, 0), (1, 0, 0, 0), (0, 0, 0, 1)])
    calibration = Calibration([(350, 0, 304, 0), (0, 350, 92, 0), (0, 0, 1, 0)], T_cam_lidar, (608, 184))
    inputs = FramePreprocessor(preprocess)(image, None if camera_only else points.astype(np.float32), calibration)
    return write_bundle(
        folder,
        name=Path(folder).name,
        model="monoocc" if camera_only else "occle",
        size="fake",
        version="0",
        preprocess=preprocess,
        inputs=tuple(s for s in input_specs(preprocess) if not (camera_only and s.name in CLOUD_TENSORS)),
        training={"data": "none"},
        license="Apache-2.0",
        metrics={},
        onnx=b"",
        golden=(inputs, _outputs(inputs, preprocess)),
    )
