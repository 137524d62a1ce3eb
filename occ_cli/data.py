"""`occ-data`: make, complete and convert data sets."""

import sys

from .command import CommandLine
from .verbs import from_bag, ground_truth, pseudo_labels, synth, to_bag

COMMAND_LINE = CommandLine(
    name="occ-data",
    description="Make, complete and convert data sets with SemanticKITTI's folders (ROOT/sequences/SS).",
    examples="""\
  occ-data synth --output data/synthetic --sequences 90 91 --frames 100
  occ-data ground-truth ~/kitti/dataset --sequences 00 01 --every 5
  occ-data pseudo-labels ~/kitti/dataset --segmenter files --maps ~/mseg --sequences 00 01
  occ-data to-bag ~/kitti/dataset --sequence 07 --output drive_07""",
    verbs={
        "ground-truth": ground_truth, "synth": synth, "pseudo-labels": pseudo_labels, "to-bag": to_bag,
        "from-bag": from_bag,
    },
)  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Run one verb; gives the process's exit code."""
    return COMMAND_LINE.run(argv)


if __name__ == "__main__":
    sys.exit(main())
