"""A small real bundle: a grid of 32 x 32 x 8 and a network of a few nodes."""

from pathlib import Path

import numpy as np
import pytest

from occ_core import Calibration, Grid, PreprocessConfig, VoxelizerConfig
from occ_core.frame import FramePreprocessor
from occ_runtime import Bundle, BundleInfo, input_specs, write_bundle

PREPROCESS = PreprocessConfig(
    grid=Grid((32, 32, 8), 0.4, (0.0, -6.4, -2.0)),
    image_size=(48, 16),
    voxelizer=VoxelizerConfig(factor=2, max_points=4, max_voxels=64),
)
CALIBRATION = Calibration(
    [(40, 0, 48, 0), (0, 40, 16, 0), (0, 0, 1, 0)],
    [(0, -1, 0, 0), (0, 0, -1, 0), (1, 0, 0, 0), (0, 0, 0, 1)],
    (96, 32),
)


def frame() -> tuple[np.ndarray, np.ndarray, Calibration]:
    """Image, points, calibration."""
    random = np.random.default_rng(3)
    points = random.uniform((0, -6, -2, 0), (12, 6, 1, 1), (500, 4)).astype(np.float32)
    return random.integers(0, 256, (32, 96, 3), np.uint8), points, CALIBRATION


def network(kind: int = 13, inputs: tuple[str, ...] = ("image", "occupancy"), confidence: str = "confidence") -> bytes:
    """ONNX: occupied voxels get class `kind`, confidence is a sigmoid of the image's mean over all voxels."""
    onnx = pytest.importorskip("onnx", reason="needs onnx (the train extra)")
    TensorProto, helper, numpy_helper = onnx.TensorProto, onnx.helper, onnx.numpy_helper
    specs = {spec.name: spec for spec in input_specs(PREPROCESS)}
    dtypes = {"float32": TensorProto.FLOAT, "uint8": TensorProto.UINT8, "int32": TensorProto.INT32}
    shape = (1, *PREPROCESS.grid.shape)
    nodes = [
        helper.make_node("Cast", ["occupancy"], ["occupied"], to=TensorProto.BOOL),
        helper.make_node("Where", ["occupied", "kind", "zero"], ["labels"]),
        helper.make_node("ReduceMean", ["image", "axes"], ["mean"], keepdims=1),
        helper.make_node("Sigmoid", ["mean"], ["probability"]),
        helper.make_node("Mul", ["probability", "full"], ["scaled"]),
        helper.make_node("Cast", ["occupancy"], ["ones"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["ones", "scaled"], ["spread"]),
        helper.make_node("Cast", ["spread"], [confidence], to=TensorProto.UINT8),
    ]
    constants = {
        "kind": np.uint8(kind), "zero": np.uint8(0), "axes": np.array([1, 2, 3]), "full": np.float32(255),
    }  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(n, dtypes[specs[n].dtype], specs[n].shape) for n in inputs],
        [helper.make_tensor_value_info(n, TensorProto.UINT8, shape) for n in ("labels", confidence)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def make_bundle(folder: Path, onnx: bytes, golden_class: int = 13, typed: dict[str, bytes] | None = None) -> Bundle:
    """A bundle around `network`; golden_class: what its golden sample expects of occupied voxels."""
    inputs = FramePreprocessor(PREPROCESS)(*frame())
    level = 255 / (1 + np.exp(-inputs["image"].mean()))
    outputs = {
        "labels": inputs["occupancy"] * np.uint8(golden_class),
        "confidence": (inputs["occupancy"] * np.float32(level)).astype(np.uint8),
    }
    info = BundleInfo(
        name="tiny",
        model="occle",
        size="tiny",
        version="7",
        preprocess=PREPROCESS,
        inputs=tuple(spec for spec in input_specs(PREPROCESS) if spec.name in ("image", "occupancy")),
        training={"data": ["noise"], "recipe": {"steps": 0}},
        license="Apache-2.0",
        metrics={"noise": {"iou": 1.5}},
    )
    return write_bundle(folder, info, onnx, (inputs, outputs), typed)


@pytest.fixture
def bundle(tmp_path) -> Bundle:
    """A whole bundle on disk."""
    return make_bundle(tmp_path / "tiny", network())
