"""`python -m export CHECKPOINT BUNDLE --golden-sequence ... `: see --help."""

import argparse
import json
import sys
from collections.abc import Sequence as Arguments
from pathlib import Path

from occ_models.config import ConfigError
from occ_node.perception import CalibrationError
from occ_node.runtime import BundleError


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m export",
        description="Checkpoint to engine bundle; refuses where ONNX Runtime or OpenVINO disagree with torch.",
        epilog="example: python -m export out/nano engines/occle-nano --golden-sequence DATA/sequences/07 "
        "--frame 000000 --data 'SemanticKITTI 00 01 02' 'synthetic drives' --license CC-BY-NC-SA-4.0",
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
    return p


def main(argv: Arguments[str] | None = None) -> int:
    """Exit code 0, or 1 with one line on what was wrong."""
    arguments = parser().parse_args(argv)
    try:
        _export(arguments)
    except (BundleError, CalibrationError, ConfigError, OSError, ValueError) as error:
        print(f"export: {error}", file=sys.stderr)
        return 1
    return 0


def _export(arguments: argparse.Namespace) -> None:
    from occ_data.kitti import Sequence

    from .bundle import export_bundle, golden_inputs, read_checkpoint, training_recipe

    metrics = json.loads(arguments.metrics.read_text(encoding="utf-8")) if arguments.metrics else {}
    model = read_checkpoint(arguments.checkpoint)
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


if __name__ == "__main__":
    sys.exit(main())
