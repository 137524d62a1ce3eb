"""`occ-train`: train a network and make a bundle of it."""

import sys

from occ_models.networks import NETWORKS

from .command import CommandLine
from .verbs import calibrate, evaluate_network, export, precision, weights
from .verbs.train import TrainingVerb

COMMAND_LINE = CommandLine(
    name="occ-train",
    description="Train a network and make an engine bundle of it.",
    examples="""\
  occ-train occle --train data/sequences/0[0-7] --validation data/sequences/08 --output out/nano
  occ-train monoocc --train data/sequences/0[0-7] --validation data/sequences/08 --output out/mono
  occ-train evaluate out/nano --dataset data --sequences 08
  occ-train calibrate out/nano --drive synthetic:400:50
  occ-train export out/nano engines/occle-nano --golden-sequence data/sequences/08 --data drives --license CC-BY-4.0
  occ-train precision engines/occle-nano --calibration data/sequences/0[0-5] --evaluate data/sequences/08""",
    verbs={
        **{network.name: TrainingVerb(network) for network in NETWORKS},
        "evaluate": evaluate_network,
        "calibrate": calibrate,
        "weights": weights,
        "export": export,
        "precision": precision,
    },
)


def main(argv: list[str] | None = None) -> int:
    """Run one verb; gives the process's exit code."""
    return COMMAND_LINE.run(argv)


if __name__ == "__main__":
    sys.exit(main())
