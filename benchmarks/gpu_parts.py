"""The parts of gpu-check, each run in a process of its own: `python -m benchmarks.gpu_parts PART FOLDER ...`.

The last line that a part prints is JSON: its result, or {"skipped": why}, or {"failed": why}.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

from occ_core import FramePreprocessor, Occupancy
from occ_runtime import BackendError, Bundle, BundleError, Profiler, find_bundle, load_backend
from occ_runtime.backend import last_line
from occ_runtime.tensorrt.cache import EngineUnusable

from .gpu_bundles import bundle, frame, golden_figures, load_frame, parity
from .gpu_machine import clocks, memory_used_mb

WARM_UP, REPEATS, SECONDS = 10, 100, 15.0


class Skipped(Exception):
    """A part that cannot be measured here; the message says why."""


def speed(folder: Path, size: str, engine: str, precision: str) -> dict:
    """Golden sample and stage times of one engine on the frame, batch of one; size: or the name of a shipped bundle."""
    made = folder / size
    measured = Bundle.load(made if made.is_dir() else find_bundle(size))
    at, before = load_frame(folder), memory_used_mb()
    preprocess = FramePreprocessor(measured.preprocess)
    if engine.startswith("torch"):
        backend = _torch_backend(size, engine, precision)
        if "GPU frames" in engine:
            preprocess = _gpu_frames(measured)
    else:
        try:
            backend = load_backend(measured, engine, precision=precision)
        except EngineUnusable as error:
            if precision != "int8":
                raise
            raise Skipped(f"random weights are not accurate enough in int8: {last_line(error)}") from None
        if engine == "onnxruntime" and "CUDA" not in backend.description:
            raise Skipped(f"onnxruntime has no CUDA provider here ({backend.description})")
    golden, publish = golden_figures(measured, backend), _publisher()
    profiler = Profiler(window=REPEATS)

    def step(watch: Profiler) -> None:
        with watch.stage("total"):
            with watch.stage("preprocess"):
                inputs = preprocess(at.image, at.points, at.calibration)
            with watch.stage("inference"):
                outputs = backend.infer(inputs)
            if publish:
                with watch.stage("publications"):
                    publish(Occupancy(outputs["labels"][0], outputs["confidence"][0], measured.grid))

    for _ in range(WARM_UP):
        step(Profiler())
    end = time.monotonic() + SECONDS
    for _ in range(REPEATS):
        step(profiler)
        if time.monotonic() > end:
            break
    after = {"clocks": clocks(), "memory_mb": _difference(memory_used_mb(), before)}
    return {
        "size": size,
        "engine": engine,
        "precision": precision,
        "description": backend.description,
        **golden,
        "stages": profiler.summary(),
        **after,
    }


def _torch_backend(size: str, engine: str, precision: str):
    from export.torch_engine import TorchBackend, random_model

    mode = {"torch": "eager", "torch_tensorrt": "tensorrt", "torch compiled": "compiled"}.get(engine, "graph")
    return TorchBackend(random_model(size), mode, precision, kernels="kernels" in engine or mode == "tensorrt")


def _gpu_frames(of: Bundle):
    import torch

    from export.torch_frame import TorchFramePreprocessor

    on_gpu = TorchFramePreprocessor(of.preprocess)

    def preprocess(*frame):
        tensors = on_gpu(*frame)
        torch.cuda.synchronize()  # so that the stage's time is its own
        return tensors

    return preprocess


def _publisher():
    """Builds the messages of a frame; None where there is no rclpy."""
    try:
        from std_msgs.msg import Header

        from .publication import publish
    except ImportError:
        return None
    return lambda occupancy: publish(Header(frame_id="velo_link"), occupancy)


def preprocessing(folder: Path, size: str) -> dict:
    """Preprocessing on the CPU and on the GPU, both until the tensors are on the GPU, taking turns."""
    import torch

    _need_cuda()
    measured, at = Bundle.load(folder / size, verify=False), load_frame(folder)
    on_cpu, on_gpu = FramePreprocessor(measured.preprocess), _gpu_frames(measured)

    def from_cpu() -> dict:
        made = on_cpu(at.image, at.points, at.calibration)
        tensors = {name: torch.from_numpy(array).cuda() for name, array in made.items()}
        torch.cuda.synchronize()
        return tensors

    frame, profiler = (at.image, at.points, at.calibration), Profiler(window=REPEATS)
    pairs = {name: (found, on_gpu(*frame)[name]) for name, found in from_cpu().items()}
    differing = {name: float((one != other).float().mean()) for name, (one, other) in pairs.items()}
    for _ in range(REPEATS // 2):
        with profiler.stage("cpu"):
            from_cpu()
        with profiler.stage("gpu"):
            on_gpu(*frame)
    return {"size": size, **profiler.summary(), "differing": differing, "clocks": clocks()}


def training(folder: Path, size: str) -> dict:
    """Time and memory of a training step of each phase, on the labels of the golden sample."""
    import torch

    from occ_core.labels import downscale_labels
    from occ_models.config import label_factor, load_config, map_shape
    from occ_models.data import collate
    from occ_models.occle.config import OccLEConfig

    from .training_step import measure

    _need_cuda()
    inputs, outputs = Bundle.load(folder / size, verify=False).golden()
    config = load_config(size, OccLEConfig)
    coarse = downscale_labels(outputs["labels"][0], label_factor(config))[None]
    flat = np.ones((1, *map_shape(config)), np.uint8)
    targets = {
        "labels": outputs["labels"], "geometry": np.minimum(coarse, 1), "labels_3d": coarse, "labels_2d": flat,
        "labelled": np.ones(1, bool),
    }  # fmt: skip
    sample = {name: torch.from_numpy(a) for name, a in ({n: inputs[n] for n in config.inputs} | targets).items()}
    batch = collate([{name: t.clone() for name, t in sample.items()} | {"name": "golden"} for _ in range(2)])
    return {**measure(config, batch, repeats=10), "clocks": clocks()}


def _need_cuda() -> None:
    import torch

    if not torch.cuda.is_available():
        raise Skipped(f"torch {torch.__version__} sees no CUDA device; PYTHON=... names a Python whose torch does")


def _difference(after: int | None, before: int | None) -> int | None:
    return None if after is None or before is None else after - before


PARTS = {part.__name__: part for part in (frame, bundle, parity, speed, preprocessing, training)}


def main(argv: list[str]) -> int:
    """Run one part; gpu_check reads its output, and handles a process that dies."""
    name, folder, *arguments = argv
    try:
        result = PARTS[name](Path(folder), *arguments)
    except EngineUnusable as error:  # built, and refused for its deviation
        result = {"failed": last_line(error)}
    except (Skipped, BackendError, BundleError) as error:
        result = {"skipped": last_line(error)}
    except Exception as error:  # a part that fails is one line of the report
        result = {"failed": f"{type(error).__name__}: {last_line(error)}"}
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
