"""A backend without a network, for tests of everything around it.

With a cloud, the voxels with points are labelled building. Camera only: bright pixels are labelled building, at the
distance of the depth image, or 12 m where it has none.
"""

from pathlib import Path

import numpy as np

from occ_core import CLASS_NAMES, CLOUD_TENSORS, Calibration, FramePreprocessor, PreprocessConfig, VoxelizerConfig

from .backend import BackendOptions, select_inputs
from .bundle import Bundle, write_bundle
from .manifest import BundleInfo, input_specs

BUILDING = CLASS_NAMES.index("building")
_AHEAD = 12.0


class FakeBackend:
    """See `backend.Backend`. Reads `occupancy` where the bundle has it, and never opens the model file."""

    name = "fake"
    precision = "f32"

    def __init__(self, bundle: Bundle, options: BackendOptions):
        self._bundle = bundle
        voxels = "voxels with points" if bundle.needs_cloud else "bright pixels"
        self.description = f"fake ({voxels} labelled building)"

    def infer(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return _outputs(select_inputs(self._bundle, inputs), self._bundle.preprocess)

    def close(self) -> None:
        pass


def _outputs(inputs: dict[str, np.ndarray], config: PreprocessConfig) -> dict[str, np.ndarray]:
    occupancy = inputs["occupancy"] if "occupancy" in inputs else _bright(inputs, config)
    return {"labels": occupancy * np.uint8(BUILDING), "confidence": np.full_like(occupancy, 255)}


def _bright(inputs: dict[str, np.ndarray], config: PreprocessConfig) -> np.ndarray:
    """(1, X, Y, Z) uint8 at the lifted grid's resolution: 1 within a metre (canonical) of the end of a bright ray."""
    place = (inputs["lifting"][0] + 1) / 2  # shares of the image's width and height; negative outside the view

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
    """A complete bundle folder for the fake backend: an empty model, and a golden sample that the backend meets."""
    generator = np.random.default_rng(0)
    points = np.append(generator.uniform((2, -20, -2, 0), (50, 20, 3, 1), (5000, 4)), np.zeros((1, 4)), 0)
    image = generator.integers(0, 255, (184, 608, 3), np.uint8)
    T_cam_lidar = np.array([(0, -1, 0, 0), (0, 0, -1, 0), (1, 0, 0, 0), (0, 0, 0, 1)])
    P = np.array([(350, 0, 304, 0), (0, 350, 92, 0), (0, 0, 1, 0)])
    calibration = Calibration(P, T_cam_lidar, (608, 184))
    inputs = FramePreprocessor(preprocess)(image, None if camera_only else points.astype(np.float32), calibration)
    info = BundleInfo(
        name=Path(folder).name,
        model="monoocc" if camera_only else "occle",
        size="fake",
        version="0",
        preprocess=preprocess,
        inputs=tuple(s for s in input_specs(preprocess) if not (camera_only and s.name in CLOUD_TENSORS)),
        training={"data": "none"},
        license="Apache-2.0",
        metrics={},
    )
    return write_bundle(folder, info, b"", (inputs, _outputs(inputs, preprocess)))
