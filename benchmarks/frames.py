"""The frames that are measured on: one of the synthetic world, one real one where there are any."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from occ_data.kitti import Sequence, sequences
from occ_data.synthetic import generate
from occ_node.perception import Calibration


@dataclass(frozen=True, eq=False)
class Frame:
    """image : (H, W, 3) uint8 RGB; points : (N, 4) float32, LiDAR frame, metres, intensity"""

    name: str
    image: np.ndarray
    points: np.ndarray
    calibration: Calibration


def frames(data: Path | None) -> list[Frame]:
    """The synthetic frame, and the first of the last sequence of `data`."""
    with tempfile.TemporaryDirectory() as folder:
        generate(folder, "90", frames=1, seed=1, voxels_every=0, progress=False)
        found = [_first(sequences(folder)[0], "synthetic")]
    if data is not None:
        sequence = next(s for s in reversed(sequences(data)) if len(s))
        found.append(_first(sequence, f"KITTI {sequence.name}"))
    return found


def _first(sequence: Sequence, name: str) -> Frame:
    frame = sequence.frames[0]
    return Frame(name, sequence.image(frame), sequence.scan(frame), sequence.calibration)
