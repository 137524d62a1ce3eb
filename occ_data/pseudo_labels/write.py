"""Labels every image of a sequence."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from occ_core.files import read_mapping, write_yaml

from ..kitti import DataError, Sequence, SequenceWriter, link_inputs, read_classes, write_png
from .overlay import overlay
from .rules import Aligner
from .segmenters import Segmenter

LABELS, OVERLAYS, RECIPE = "pseudo_labels", "pseudo_label_overlays", "recipe.yaml"


class Labelled(NamedTuple):
    """classes : (H, W) uint8, 255 unknown; ids : (H, W) MSeg ids they came from, None where an earlier run did it"""

    frame: str
    classes: np.ndarray
    ids: np.ndarray | None


def write_pseudo_labels(
    sequence: Sequence, segmenter: Segmenter, aligner: Aligner, output: str | Path | None = None, overlays: int = 0,
    every: int = 1,
) -> Iterator[Labelled]:  # fmt: skip
    """Write `pseudo_labels/NNNNNN.png` of a sequence's frames, one frame a step; frames that have theirs are skipped.

    Parameters
    ----------
    output : data set to write to, with links to the inputs; None writes beside them
    overlays : a picture in `pseudo_label_overlays` of every `overlays`th frame; 0 for none
    every : only frame ids divisible by this

    Raises DataError where the folder holds labels of another recipe, and naming an image or map that cannot be used.
    """
    path = sequence.path
    if output is not None:
        path = SequenceWriter(output, sequence.name).path
        link_inputs(sequence.path, path, without=[LABELS, OVERLAYS])
    _keep_recipe(path / LABELS, {**segmenter.recipe, "table": aligner.table.name, "table_sha256": aligner.table.sha256})
    for n, frame in enumerate(frame for frame in sequence.frames if int(frame) % every == 0):
        target, picture = path / LABELS / f"{frame}.png", path / OVERLAYS / f"{frame}.png"
        done, wanted = target.is_file(), bool(overlays) and n % overlays == 0 and not picture.is_file()
        image = sequence.image(frame) if wanted or not done else None
        if done:
            classes, ids = read_classes(target), None
        else:
            ids, scores = segmenter(sequence, frame, image)
            try:
                classes = aligner(ids, scores)
            except DataError as error:
                raise DataError(f"sequence {sequence.name}, frame {frame}: {error}") from None
            write_png(target, classes)
        if wanted:
            write_png(picture, overlay(image, classes))
        yield Labelled(frame, classes, ids)


def _keep_recipe(folder: Path, recipe: dict) -> None:
    """Write how the labels are made, or check that existing ones were made in the same way."""
    path = folder / RECIPE
    if path.is_file():
        found = read_mapping(path)
        other = sorted(k for k in recipe.keys() | found.keys() if recipe.get(k) != found.get(k))
        if other:
            raise DataError(
                f"{folder}: holds labels made with another {' and '.join(other)}; give --output, or remove the folder"
            )
        return
    if any(folder.glob("*.png")):
        raise DataError(f"{folder}: holds labels but no {RECIPE}; give --output, or move them away")
    write_yaml(path, recipe)
