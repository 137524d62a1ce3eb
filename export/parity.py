"""Torch against the runtimes: labels and logits, compared before a bundle is written."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
import openvino

from occ_core import Calibration, FramePreprocessor, PreprocessConfig
from occ_core.errors import ReportedError
from occ_models.layers.head import OccupancyNetwork

from .onnx import LOGITS, run_torch

LABELS_AGREE = 0.999
"""Share of voxels whose labels must be torch's: a few logits are so close to a tie that rounding decides."""
LOGIT_TOLERANCE = 5e-3
"""Largest deviation of a logit, as a share of the logits' standard deviation (or of 1 where that is larger)."""


class ParityError(ReportedError):
    """A runtime that does not compute what torch does."""


@dataclass(frozen=True)
class Parity:
    """One runtime on one frame: share of labels that agree, largest logit deviation over its tolerance's scale."""

    runtime: str
    sample: str
    labels_agree: float
    logit_deviation: float

    def __str__(self):
        return (
            f"{self.runtime} on {self.sample}: {100 * self.labels_agree:.4f} % of labels agree, "
            f"largest logit deviation {self.logit_deviation:.2e}"
        )

    @property
    def passed(self) -> bool:
        """Within both tolerances; NaN is not."""
        return self.labels_agree >= LABELS_AGREE and self.logit_deviation <= LOGIT_TOLERANCE


Run = Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]


def check_parity(
    model: OccupancyNetwork, shipped: onnx.ModelProto, whole: onnx.ModelProto, samples: dict[str, dict[str, np.ndarray]]
) -> list[Parity]:
    """Compare torch, ONNX Runtime and OpenVINO (f32) on each sample; raises ParityError naming all that fail.

    shipped: the graph of the bundle, for the labels; whole: the same with its logits; samples: input tensors by name.
    """
    runtimes = {
        name: [runner(graph.SerializeToString()) for graph in (shipped, whole)]
        for name, runner in (("onnxruntime", onnxruntime_runner), ("openvino", openvino_runner))
    }
    results = []
    for sample, inputs in samples.items():
        expected = run_torch(model, inputs)
        for runtime, (run_shipped, run_whole) in runtimes.items():
            agree = float((run_shipped(inputs)["labels"] == expected["labels"]).mean())
            found = run_whole(inputs)
            deviation = max(logit_deviation(found[name], expected[name]) for name in LOGITS)
            results.append(Parity(runtime, sample, agree, deviation))
    if failed := [result for result in results if not result.passed]:
        wanted = f"wanted at least {100 * LABELS_AGREE:.1f} % and at most {LOGIT_TOLERANCE:.0e}"
        raise ParityError(f"{'; '.join(map(str, failed))}; {wanted}")
    return results


def logit_deviation(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest absolute deviation, in units of the expected logits' standard deviation where that is above 1."""
    return float(np.abs(found - expected).max() / max(1.0, float(expected.std())))


def onnxruntime_runner(serialised: bytes) -> Run:
    """Outputs by name from inputs by name; inputs that the graph lacks are left out."""
    session = onnxruntime.InferenceSession(serialised, providers=["CPUExecutionProvider"])
    wanted, names = [i.name for i in session.get_inputs()], [o.name for o in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(names, {k: inputs[k] for k in wanted}), strict=True))


def openvino_runner(serialised: bytes) -> Run:
    """The same through OpenVINO in f32."""
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(serialised), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    wanted = [port.any_name for port in compiled.inputs]
    names = [port.any_name for port in compiled.outputs]

    def run(inputs):
        results = compiled({k: inputs[k] for k in wanted})
        return {name: np.array(results[name]) for name in names}

    return run


def random_inputs(config: PreprocessConfig, seed: int) -> dict[str, np.ndarray]:
    """Tensors of a frame of noise: a uniform image, and points over the whole grid."""
    generator = np.random.default_rng(seed)
    low = np.array([*config.grid.origin, 0])
    size = np.array([*(n * config.grid.voxel_size for n in config.grid.shape), 1])
    points = (low + size * generator.random((20_000, 4))).astype(np.float32)
    width, height = config.image_size
    image = generator.integers(0, 256, (height, width, 3), np.uint8)
    T_cam_lidar = np.array([(0, -1, 0, 0), (0, 0, -1, 0), (1, 0, 0, 0), (0, 0, 0, 1)])
    P = np.array([(width / 2, 0, width / 2, 0), (0, width / 2, height / 2, 0), (0, 0, 1, 0)])
    return FramePreprocessor(config)(image, points, Calibration(P, T_cam_lidar, (width, height)))
