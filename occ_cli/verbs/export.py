"""The verbs of `occ-train` that make bundles."""

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from occ_core import CalibrationError
from occ_models.config import ConfigError
from occ_runtime import BackendError, Bundle, BundleError, find_bundle

ERRORS = (BackendError, BundleError, CalibrationError, ConfigError, OSError, ValueError)
"""What bad input raises: one line each."""


def add_export_arguments(p: argparse.ArgumentParser) -> None:
    """For the parser of `export`."""
    p.description = "Checkpoint to engine bundle; refuses where ONNX Runtime or OpenVINO disagree with torch."
    p.epilog = (
        "example: occ-train export out/nano engines/occle-nano --golden-sequence DATA/sequences/07 "
        "--frame 000000 --data 'SemanticKITTI 00 01 02' 'synthetic drives' --license CC-BY-NC-SA-4.0"
    )
    p.add_argument("checkpoint", type=Path, help="folder with model.safetensors and config.yaml (and training.yaml)")
    p.add_argument("bundle", type=Path, help="folder to write; an older bundle there is replaced")
    p.add_argument("--golden-sequence", type=Path, required=True, help="KITTI sequence folder of the golden frame")
    p.add_argument("--frame", help="golden frame's id (default: the first)")
    p.add_argument("--data", nargs="+", required=True, help="what the weights were trained on, one phrase a data set")
    p.add_argument("--license", required=True, help="SPDX name of the weights' licence")
    p.add_argument("--name", help="bundle's name (default: the folder's)")
    p.add_argument("--version", default="1", help="version of the weights (default: %(default)s)")
    p.add_argument("--metrics", type=Path, help="JSON file: figures under the name of their data set")
    p.set_defaults(run=_bundle)


def _bundle(arguments: argparse.Namespace) -> int:
    from export.bundle import export_bundle, golden_inputs, training_recipe
    from occ_data.kitti import Sequence
    from occ_models.checkpoint import load_checkpoint

    metrics = json.loads(arguments.metrics.read_text(encoding="utf-8")) if arguments.metrics else {}
    model = load_checkpoint(arguments.checkpoint).eval()
    sequence = Sequence(arguments.golden_sequence)
    frame = arguments.frame or sequence.frames[0]
    bundle, parity = export_bundle(
        model,
        arguments.bundle,
        golden_inputs(model, sequence, frame),
        version=arguments.version,
        license=arguments.license,
        training={"data": arguments.data, "recipe": training_recipe(arguments.checkpoint)},
        metrics=metrics,
        name=arguments.name,
    )
    for result in parity:
        print(result)
    size = sum(entry.bytes for entry in bundle.files.values())
    print(f"{bundle.path}: {bundle.name} {bundle.version}, {size / 1e6:.1f} MB, golden frame {sequence.name}/{frame}")
    return 0


def add_precision_arguments(p: argparse.ArgumentParser) -> None:
    """For the parser of `precision`."""
    p.description = (
        "Make the f16 and int8 models of a bundle, measure what each costs in quality, and put those into the bundle "
        "that cost at most a point of mIoU. Exit code 1 where one was refused."
    )
    p.epilog = (
        "example: occ-train precision engines/occle-nano --calibration DATA/sequences/0[0-5] "
        "--evaluate DATA/sequences/08 --json out/precision.json"
    )
    p.add_argument("bundle", help="folder of the bundle, or the name of one in engines/")
    p.add_argument("--calibration", nargs="+", required=True, metavar="SEQ", help="sequence folders for int8's ranges")
    p.add_argument("--evaluate", nargs="+", required=True, metavar="SEQ", help="sequence folders with voxels/*.label")
    p.add_argument("--json", type=Path, metavar="FILE", help="write the table there too")
    p.set_defaults(run=_precision)


def _precision(arguments: argparse.Namespace) -> int:
    from export.precision import add_precisions, table_text

    bundle = Bundle.load(find_bundle(arguments.bundle))
    table, refused = add_precisions(bundle, arguments.calibration, arguments.evaluate, progress=True)
    print(table_text(table))
    if arguments.json:
        part = arguments.json.with_name(f"{arguments.json.name}.tmp")
        content = {"bundle": bundle.name, "precisions": [asdict(row) for row in table], "refused": refused}
        part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        os.replace(part, arguments.json)
    for precision, reason in refused.items():
        print(f"occ-train precision: {precision} is not shipped: {reason}", file=sys.stderr)
    print(f"{bundle.path}: {', '.join(Bundle.load(bundle.path).precisions)}")
    return 1 if refused else 0
