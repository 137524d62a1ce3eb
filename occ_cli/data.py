"""`occ-data`: make, complete and convert data sets."""

import sys

from .command import CommandLine
from .verbs import bag, ground_truth, pseudo_labels, synth

COMMAND_LINE = CommandLine(
    name="occ-data",
    description="Make, complete and convert data sets with SemanticKITTI's folders (ROOT/sequences/SS).",
    examples="""\
  occ-data synth --output data/synthetic --sequences 90 91 --frames 100
  occ-data ground-truth ~/kitti/dataset --sequences 00 01 --every 5
  occ-data pseudo-labels ~/kitti/dataset --segmenter files --maps ~/mseg --sequences 00 01
  occ-data bag ~/kitti/dataset/sequences/07 -o drive_07""",
    verbs={
        "ground-truth": ground_truth, "synth": synth, "pseudo-labels": pseudo_labels, "bag": bag,
    },
)  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Run one verb; gives the process's exit code."""
    return COMMAND_LINE.run(argv)


if __name__ == "__main__":
    sys.exit(main())
