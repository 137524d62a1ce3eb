"""Write the averaged weights of a training that is still running or was stopped.

examples:
  occ-train weights out/nano/joint --output out/nano-so-far

Writes model.safetensors and config.yaml from FOLDER/last.ckpt."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="folder of a phase, such as out/nano/joint")
    parser.add_argument("--output", type=Path, required=True, help="folder to write; not the phase's own")


def command(arguments: argparse.Namespace) -> int:
    from occ_models.checkpoint import average_of
    from occ_models.weights import save_weights

    save_weights(average_of(arguments.folder), arguments.output)
    print(f"weights in {arguments.output}")
    return 0
