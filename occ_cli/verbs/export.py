"""Write a trained network as an engine bundle.

examples:
  occ-train export out/nano engines/occle-nano --golden-sequence DATA/sequences/07 --frame 000000 \\
      --data 'SemanticKITTI 00 01 02' 'synthetic drives' --license CC-BY-NC-SA-4.0

Refused where ONNX Runtime or OpenVINO disagree with torch. The bundle also gets MODEL_CARD.md and, up to 20 MB, the
checkpoint, to train on from. Run `occ-train calibrate` before, so that confidence means probability."""

import argparse
import json
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "checkpoint", type=Path, help="folder with model.safetensors and config.yaml (and training.yaml)"
    )
    parser.add_argument("bundle", type=Path, help="folder to write; an older bundle there is replaced")
    parser.add_argument(
        "--golden-sequence", required=True, help="sequence folder, bag or synthetic:SEED of the golden frame"
    )
    parser.add_argument("--frame", help="golden frame's id (default: the first)")
    parser.add_argument(
        "--data", nargs="+", required=True, help="what the weights were trained on, one phrase a data set"
    )
    parser.add_argument("--rigs", nargs="+", metavar="PHRASE", help="sensors that the training saw, one phrase each")
    parser.add_argument("--failures", nargs="+", metavar="PHRASE", help="known failures, one phrase each")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="PNG of failures, for the model card")
    parser.add_argument("--license", required=True, help="SPDX name of the weights' licence")
    parser.add_argument("--name", help="bundle's name (default: the folder's)")
    parser.add_argument("--version", default="1", help="version of the weights (default: %(default)s)")
    parser.add_argument("--metrics", type=Path, help="JSON file: figures under the name of their data set")


def command(arguments: argparse.Namespace) -> int:
    from export.bundle import export_bundle, golden_inputs, training_recipe
    from occ_data import open_drive
    from occ_models.checkpoint import load_checkpoint

    metrics = _read_metrics(arguments.metrics) if arguments.metrics else {}
    model = load_checkpoint(arguments.checkpoint).eval()
    drive = open_drive(arguments.golden_sequence)
    frame = arguments.frame or drive.frames[0]
    given = {"rigs": arguments.rigs, "known_failures": arguments.failures}
    notes = {key: phrases for key, phrases in given.items() if phrases}
    bundle, parity = export_bundle(
        model,
        arguments.bundle,
        golden_inputs(model, drive, frame),
        version=arguments.version,
        license=arguments.license,
        training={"data": arguments.data, **notes, "recipe": training_recipe(arguments.checkpoint)},
        metrics=metrics,
        name=arguments.name,
        checkpoint=arguments.checkpoint,
        picture=arguments.picture,
    )
    for result in parity:
        print(result)
    size = sum(entry.bytes for entry in bundle.files.values())
    print(f"{bundle.path}: {bundle.name} {bundle.version}, {size / 1e6:.1f} MB, golden frame {drive.name}/{frame}")
    return 0


def _read_metrics(path: Path) -> dict:
    from ..errors import CommandError

    try:
        metrics = json.loads(path.read_bytes())
    except ValueError as error:
        raise CommandError(f"--metrics {path}: not JSON: {error}") from None
    if not isinstance(metrics, dict):
        raise CommandError(f"--metrics {path}: expected an object, figures under the name of their data set")
    return metrics
