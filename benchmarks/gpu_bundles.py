"""What gpu-check measures: a frame, bundles of every size with random weights, and those that ship."""

from dataclasses import asdict
from pathlib import Path

import numpy as np

from occ_core import Calibration, FramePreprocessor
from occ_runtime import BackendError, Bundle, BundleError, BundleInfo, input_specs, load_backend, write_bundle
from occ_runtime.backend import last_line
from occ_runtime.predictor import golden_test
from occ_runtime.tensorrt.cache import EngineUnusable

from .frames import Frame, frames, plain_street

ENGINES = Path(__file__).resolve().parents[1] / "engines"
FRAME = "frame.npz"


def frame(folder: Path) -> dict:
    """Write the frame that everything is measured on into the folder."""
    try:
        made, note = frames(None)[0], ""
    except ImportError as error:
        made, note = plain_street(), f" (the synthetic world needs more: {error})"
    rig = made.calibration
    np.savez(
        folder / FRAME, image=made.image, points=made.points, P=rig.P, T=rig.T_cam_lidar, size=np.array(rig.image_size)
    )
    return {"frame": made.name + note, "points": len(made.points)}


def load_frame(folder: Path) -> Frame:
    """The frame that `frame` wrote."""
    with np.load(folder / FRAME, allow_pickle=False) as kept:
        rig = Calibration(kept["P"], kept["T"], tuple(int(n) for n in kept["size"]))
        return Frame("frame", kept["image"], kept["points"], rig)


def bundle(folder: Path, size: str, typed: str) -> dict:
    """A bundle of OccLE in this size with random weights; its golden outputs are torch's in f32 on the CPU.

    typed: "typed" also writes the f16 and int8 models, "f32" does not.
    """
    from export.onnx import LOGITS, run_torch, to_onnx, without_outputs
    from export.torch_engine import random_model

    from .graph_cost import cost_of

    model, at = random_model(size), load_frame(folder)
    config = model.config.preprocess
    made = FramePreprocessor(config)(at.image, at.points, at.calibration)
    inputs = {name: made[name] for name in model.config.inputs}
    outputs = run_torch(model, inputs)
    shipped = without_outputs(to_onnx(model), LOGITS)
    cost, serialised = cost_of(shipped), shipped.SerializeToString(deterministic=True)
    models, missing = _typed_models(shipped, inputs) if typed == "typed" else ({}, {})
    info = BundleInfo(
        name=f"occle-{size}-random",
        model=model.config.model,
        size=size,
        version="0",
        preprocess=config,
        inputs=input_specs(config, model.config.inputs),
        training={"data": "none"},
        license="Apache-2.0",
        metrics={},
    )
    golden = (inputs, {name: outputs[name] for name in ("labels", "confidence")})
    write_bundle(folder / size, info, serialised, golden, models)
    parameters = sum(p.numel() for p in model.parameters())
    return {"size": size, "parameters": parameters, **asdict(cost), "missing": missing}


def _typed_models(model, inputs: dict) -> tuple[dict[str, bytes], dict[str, str]]:
    """The f16 and int8 models, and why one of them is missing."""

    def f16():
        from export.float16 import to_f16

        return to_f16(model)

    def int8():
        from export.quantisation import to_int8  # needs onnxruntime

        return to_int8(model, [inputs])

    models, missing = {}, {}
    for precision, make in {"f16": f16, "int8": int8}.items():
        try:
            models[precision] = make().SerializeToString(deterministic=True)
        except Exception as error:  # one precision less, not no bundle
            missing[precision] = last_line(error)
    return models, missing


def parity(folder: Path, backend: str) -> list[dict]:
    """The golden samples of the bundles that ship, on one backend in each of their precisions."""
    results = []
    for path in sorted(p.parent for p in ENGINES.glob("*/bundle.yaml")):
        shipped = Bundle.load(path)
        for precision in shipped.precisions:
            entry = {"bundle": shipped.name, "backend": backend, "precision": precision}
            try:
                loaded = load_backend(shipped, backend, precision=precision)
                entry |= {"runs_on": loaded.description, **golden_figures(shipped, loaded)}
                loaded.close()
            except EngineUnusable as error:  # built, and refused because it deviates
                entry |= {"failed": last_line(error), "passed": False}
            except (BackendError, BundleError) as error:
                entry["skipped"] = last_line(error)
            results.append(entry)
    return results


def golden_figures(of: Bundle, backend) -> dict:
    """How far a backend is from a bundle's golden sample."""
    result = golden_test(of, backend.infer)
    return {"labels_agree": 1 - result.differing / result.voxels, "passed": result.agrees}
