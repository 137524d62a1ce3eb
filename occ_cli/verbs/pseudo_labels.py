"""Make class maps of the camera images with segmenters and rules.

examples:
  occ-data pseudo-labels ~/kitti/dataset --segmenter files --maps ~/mseg --sequences 00 01
  occ-data pseudo-labels ~/kitti/dataset --segmenter transformers --device cuda --overlays 500 \\
      --model facebook/mask2former-swin-large-mapillary-vistas-semantic
  occ-data pseudo-labels data/synthetic --segmenter synthetic --table none --output data/unaligned

Writes pseudo_labels/NNNNNN.png (8 bit: 1..19, 255 unknown). A run that was stopped continues where it was.
--segmenter files          MAPS/sequences/SS/mseg/NNNNNN.png (MSeg ids), masks/PROMPT/NNNNNN.png (score * 255);
                           or mseg/NNNNNN.npz: ids; a prompt's 'mask PROMPT' (n, H, W), 'score PROMPT' (n,)
--segmenter transformers   a semantic segmenter, and Grounding DINO + Segment Anything for the table's prompts
--segmenter synthetic      exact labels of a synthetic drive (occ-data synth --pixel-labels) with typical errors"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from occ_data import Sequence
    from occ_data.pseudo_labels import Segmenter
    from occ_data.pseudo_labels.rules import Table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("root", type=Path, help="data set, the folder that holds sequences/")
    parser.add_argument("--sequences", nargs="+", metavar="SS", help="default: all")
    parser.add_argument(
        "--every", type=int, default=1, metavar="N",
        help="only frame ids divisible by this; SemanticKITTI has voxel labels for every 5th (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--segmenter", required=True, choices=("files", "transformers", "synthetic"))
    parser.add_argument(
        "--table", default="sane", metavar="TABLE",
        help="rules to align by: sane, paper, none (unaligned), or a YAML file (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, help="write a data set of its own, linked to the inputs (default: beside)"
    )
    parser.add_argument(
        "--overlays", type=int, default=0, metavar="N", help="pictures of every Nth frame in pseudo_label_overlays/"
    )
    parser.add_argument("--maps", type=Path, metavar="MAPS", help="files: the folder that holds sequences/")
    parser.add_argument("--model", help="transformers: semantic segmenter, a folder or hub name")
    parser.add_argument(
        "--labels", type=Path, help="transformers: YAML lines 'label: MSeg name', added to the known ones"
    )
    parser.add_argument(
        "--detector", default="IDEA-Research/grounding-dino-base",
        help="transformers: finds the prompts, Grounding DINO (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--sam",
        default="facebook/sam2.1-hiera-large",
        help="transformers: fills them, SAM or SAM 2 (default: %(default)s)",
    )
    parser.add_argument("--device", default="cpu", help="transformers: cpu, cuda, cuda:1 (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="synthetic: of the noise (default: %(default)s)")


def command(arguments: argparse.Namespace) -> int:
    from tqdm import tqdm

    from occ_data import DataError, sequences
    from occ_data.pseudo_labels import Aligner, load_table
    from occ_data.pseudo_labels.report import Report
    from occ_data.pseudo_labels.write import write_pseudo_labels

    if arguments.overlays < 0 or arguments.seed < 0 or arguments.every < 1:
        raise DataError("--overlays and --seed: expected 0 or more; --every: 1 or more")
    chosen = sequences(arguments.root, arguments.sequences)
    table = load_table(arguments.table)
    segmenter, aligner, report, skipped = _segmenter(arguments, table), Aligner(table), Report(), 0
    for sequence in chosen:
        steps = write_pseudo_labels(sequence, segmenter, aligner, arguments.output, arguments.overlays, arguments.every)
        frames = sum(int(frame) % arguments.every == 0 for frame in sequence.frames)
        for step in tqdm(steps, total=frames, desc=f"labels of {sequence.name}", unit="frame"):
            report.add(step.classes, step.ids, _exact(sequence, step.frame))
            skipped += step.ids is None
    print("\n".join(report.lines()))
    if skipped:
        print(f"occ-data pseudo-labels: {skipped} frames were labelled already and were skipped", file=sys.stderr)
    return 0


def _segmenter(arguments: argparse.Namespace, table: "Table") -> "Segmenter":
    from occ_data import DataError
    from occ_data.pseudo_labels import FileSegmenter

    if arguments.segmenter == "files":
        if arguments.maps is None:
            raise DataError("--segmenter files goes with --maps MAPS")
        return FileSegmenter(arguments.maps, tuple(table.prompts))
    if arguments.segmenter == "synthetic":
        from occ_data.pseudo_labels.noisy import NoisySegmenter

        return NoisySegmenter(arguments.seed, tuple(table.prompts))
    if arguments.model is None:
        raise DataError("--segmenter transformers goes with --model MODEL, a folder or hub name")
    from occ_data.pseudo_labels.grounded import GroundedMasks
    from occ_data.pseudo_labels.semantic import SemanticModel, TransformersSegmenter, read_labels

    labels = read_labels(arguments.labels) if arguments.labels else {}
    semantic = SemanticModel.load(arguments.model, labels, arguments.device)
    if semantic.unmapped:
        print(
            f"occ-data: {len(semantic.unmapped)} labels of {arguments.model} have no MSeg name and count as unlabeled "
            f"(--labels adds names): {', '.join(semantic.unmapped)}", file=sys.stderr,
        )  # fmt: skip
    grounded = GroundedMasks.load(arguments.detector, arguments.sam, arguments.device) if table.prompts else None
    return TransformersSegmenter(semantic, grounded, table.prompts)


def _exact(sequence: "Sequence", frame: str) -> "np.ndarray | None":
    from occ_data.kitti import read_classes

    path = sequence.file("pixel_labels", frame, "png")
    return read_classes(path) if path.is_file() else None
