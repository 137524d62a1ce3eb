"""The same scene from a LiDAR that is mounted otherwise: `python -m benchmarks.rigs --data KITTI`.

The points of real and synthetic frames are moved into another LiDAR's frame, and predicted with the rig to match and
with KITTI's, which is wrong for them. Both predictions are compared with that of the unmoved points.
"""

import argparse
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from occ_core.rig import GRID_HEIGHT, translation
from occ_core.transforms import matrix_of, move_points
from occ_data import DataError, Sequence
from occ_runtime import OCCLE, Bundle, BundleError, Predictor, find_bundle, load_backend

from .frames import Frame, frames
from .measure import markdown
from .report import keep

SEQUENCE = "07"
WANTED = 97.0
"""Percent of IoU with the matching rig."""


def turned(axis: tuple[float, float, float], degrees: float) -> np.ndarray:
    """(4, 4) rotation about an axis of length 1."""
    half = np.radians(degrees) / 2
    return matrix_of((0, 0, 0), (*(np.sin(half) * np.array(axis)), np.cos(half)))


MOUNTINGS = {
    "0.6 m above the ground": translation(0, 0, GRID_HEIGHT - 0.6),
    "turned by 90 degrees": turned((0, 0, 1), 90),
    "tilted by 5 degrees": turned((0, 1, 0), 5),
}
"""T_new_old, (4, 4): KITTI's LiDAR frame -> the frame of the other mounting."""


@dataclass(frozen=True)
class Agreement:
    """Of two predictions, in percent. iou : of the occupied voxels; labels : same class, where both are occupied"""

    iou: float
    labels: float


def agreement(one: np.ndarray, other: np.ndarray) -> Agreement:
    """Of two label grids, (X, Y, Z) each."""
    both, either = (one > 0) & (other > 0), (one > 0) | (other > 0)
    return Agreement(100 * both.sum() / max(either.sum(), 1), 100 * (one == other)[both].sum() / max(both.sum(), 1))


def moved(frame: Frame, T_new_old: np.ndarray) -> tuple[Frame, Frame]:
    """The frame with its points in another LiDAR's frame: with the rig to match, and with the rig as it was."""
    points = move_points(frame.points.astype(np.float64), T_new_old).astype(np.float32)
    T_old_new, old = np.linalg.inv(T_new_old), frame.calibration
    wrong = replace(old, T_cam_lidar=old.T_cam_lidar @ T_old_new)
    right = replace(wrong, T_grid_lidar=old.T_grid_lidar @ T_old_new)
    return replace(frame, points=points, calibration=right), replace(frame, points=points, calibration=wrong)


def measure(predictor: Predictor, found: Iterable[Frame]) -> list[dict]:
    """For each frame and mounting the agreement with the unmoved prediction, `right` and `wrong`."""

    def labels(frame: Frame) -> np.ndarray:
        return predictor.predict(frame.image, frame.points, frame.calibration).labels

    rows = []
    for frame in found:
        expected = labels(frame)
        for name, T_new_old in MOUNTINGS.items():
            right, wrong = (agreement(expected, labels(variant)) for variant in moved(frame, T_new_old))
            rows.append({"frame": frame.name, "mounting": name, "right": right, "wrong": wrong})
    return rows


def real_frames(data: Path, number: int) -> list[Frame]:
    """Of the held-out sequence, spread over it."""
    sequence = Sequence(data / "sequences" / SEQUENCE)
    ids = sequence.frames[:: max(len(sequence) // number, 1)][:number]
    return [Frame(f"KITTI {SEQUENCE}", sequence.image(n), sequence.scan(n), sequence.calibration) for n in ids]


def table(rows: list[dict]) -> str:
    """A line for each data set and mounting: the worst frame with the right rig, the mean with the wrong one."""
    lines = []
    for name, mounting in dict.fromkeys((row["frame"], row["mounting"]) for row in rows):
        chosen = [row for row in rows if (row["frame"], row["mounting"]) == (name, mounting)]
        right = [min(getattr(row["right"], key) for row in chosen) for key in ("iou", "labels")]
        wrong = [np.mean([getattr(row["wrong"], key) for row in chosen]) for key in ("iou", "labels")]
        lines.append([f"{name} ({len(chosen)} frames), {mounting}", *(f"{figure:.1f}" for figure in (*right, *wrong))])
    header = ["compared with unmoved", "IoU, its rig (worst)", "labels (worst)", "IoU, KITTI's rig (mean)", "labels"]
    return markdown(header, lines)


def main(argv: list[str] | None = None) -> int:
    """1 where a frame's IoU with its rig is below WANTED."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rigs", description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", default=OCCLE, help="engine bundle, by name or path (default: %(default)s)")
    parser.add_argument("--data", default=os.environ.get("OCC_NODE_DATA"), help="folder that holds sequences/07")
    parser.add_argument("--frames", type=int, default=3, help="real frames (default %(default)s)")
    parser.add_argument("--keep", action="store_true", help="keep the figures in benchmarks/results")
    arguments = parser.parse_args(argv)
    try:
        bundle = Bundle.load(find_bundle(arguments.bundle))
        predictor = Predictor(bundle, load_backend(bundle, "auto"))
        found = frames(None) + (real_frames(Path(arguments.data), arguments.frames) if arguments.data else [])
        rows = measure(predictor, found)
    except (BundleError, DataError) as error:
        print(f"benchmarks.rigs: {error}", file=sys.stderr)
        return 1
    print(table(rows))
    if arguments.keep:
        figures = [row | {kind: vars(row[kind]) for kind in ("right", "wrong")} for row in rows]
        print(f"kept in {keep('rigs', {'bundle': bundle.name, 'rows': figures})}")
    return int(min(row["right"].iou for row in rows) < WANTED)


if __name__ == "__main__":
    sys.exit(main())
