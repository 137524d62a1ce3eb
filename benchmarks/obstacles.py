"""`python -m benchmarks.obstacles`: what `~/obstacles` and `~/grid` hold, against the voxel truth.

On frames of the demo's street with the node's default weights and, where real frames are at hand ($OCC_NODE_DATA), on
KITTI's sequence 07 with occle-nano. Obstacle cells are those of cost 100 with the preset `sidewalk-robot`. The truth of
07 is made of few scans, so that it does not know most of the grid.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from occ_core import IGNORE, Occupancy
from occ_core.class_costs import class_costs
from occ_core.grid import Grid
from occ_core.local_ground import IS_GROUND, ground_heights
from occ_core.obstacles import Band, column_costs, obstacle_voxels, seen_voxels
from occ_data import open_drive
from occ_data.drive import Drive
from occ_data.kitti import sequences
from occ_runtime import DEFAULT_BUNDLE, OCCLE, Bundle, Predictor, find_bundle, load_backend

from .measure import markdown, milliseconds
from .quality import SEQUENCE, real_sequence

HALF_WIDTH = 0.9
"""Metres to either side of the sensor's path: the width of a car."""
COSTS, BAND = class_costs(()), Band()
HEADER = [
    "drive, weights", "obstacle cells", "only ground classes, predicted", "only ground classes in the truth",
    "and no obstacle in a neighbouring cell", "truth's obstacle columns found", "driven road marked",
    "voxels in ~/obstacles", "~/obstacles, CPU ms", "~/grid, CPU ms",
]  # fmt: skip


def driven_columns(drive: Drive, frame: str, grid: Grid) -> np.ndarray:
    """(X, Y) bool: the columns that the vehicle's floor passes over in the frames from this one on."""
    sensors = np.linalg.inv(drive.poses[int(frame)]) @ drive.poses[int(frame) :]
    path = drive.calibration.to_grid(sensors[:, :3, 3])[:, :2]
    steps = np.linspace(0, 1, 9)[:, None, None]
    path = (path[:-1] + steps * np.diff(path, axis=0)).reshape(-1, 2)
    centers = grid.centers()[:, :, 0, :2]
    driven = np.zeros(grid.shape[:2], bool)
    for point in path:
        driven |= np.linalg.norm(centers - point, axis=-1) < HALF_WIDTH
    return driven


def columns_of(flat: np.ndarray, grid: Grid) -> np.ndarray:
    """(X, Y) bool: the columns of flat voxel indices."""
    columns = np.zeros(grid.shape[0] * grid.shape[1], bool)
    columns[flat // grid.shape[2]] = True
    return columns.reshape(grid.shape[:2])


def frame_counts(occupancy: Occupancy, truth: np.ndarray, driven: np.ndarray) -> np.ndarray:
    """Cells: obstacles; of these with only ground by prediction, by truth, by truth without an obstacle beside them;
    truth's obstacles, of these found; driven road, of it marked; voxels in ~/obstacles.
    """
    grid = occupancy.grid
    ground = ground_heights(occupancy.labels, grid)
    marked = column_costs(occupancy, ground, COSTS, BAND) == 100
    flat = obstacle_voxels(occupancy.labels, ground, grid, COSTS, BAND)
    known = np.where(truth == IGNORE, 0, truth)
    true = columns_of(obstacle_voxels(known, ground_heights(known, grid), grid, COSTS, BAND), grid)
    wrong = marked & _only_ground(known)
    road = driven & IS_GROUND[known].any(2) & ~true
    cells = (marked, marked & _only_ground(occupancy.labels), wrong, wrong & ~_grown(_obstacle_classes(known)),
             true, true & columns_of(flat, grid), road, road & marked)  # fmt: skip
    return np.array([*(cell.sum() for cell in cells), len(flat)])


def _obstacle_classes(labels: np.ndarray) -> np.ndarray:
    return ((labels > 0) & ~IS_GROUND[labels]).any(2)


def _only_ground(labels: np.ndarray) -> np.ndarray:
    return IS_GROUND[labels].any(2) & ~_obstacle_classes(labels)


def _grown(cells: np.ndarray) -> np.ndarray:
    return np.lib.stride_tricks.sliding_window_view(np.pad(cells, 1), (3, 3)).any((2, 3))


def make_obstacles(occupancy: Occupancy) -> np.ndarray:
    """The steps of ~/obstacles but for the message."""
    ground = ground_heights(occupancy.labels, occupancy.grid)
    return seen_voxels(obstacle_voxels(occupancy.labels, ground, occupancy.grid, COSTS, BAND), occupancy.hits)


def make_grid(occupancy: Occupancy) -> np.ndarray:
    """The steps of ~/grid but for the message."""
    return column_costs(occupancy, ground_heights(occupancy.labels, occupancy.grid), COSTS, BAND)


def cpu_ms(call: Callable[[], object]) -> float:
    """Milliseconds of this thread, which other programs on the machine do not lengthen as much as time that passes."""
    start = time.thread_time()
    call()
    return 1e3 * (time.thread_time() - start)


def row(name: str, drive: Drive, frames: list[str], bundle: str) -> list[str]:
    """One line of the table."""
    loaded = Bundle.load(find_bundle(bundle))
    predictor, counts = Predictor(loaded, load_backend(loaded)), []
    for frame in frames:
        occupancy = predictor.predict(drive.image(frame), drive.scan(frame), drive.calibration)
        driven = driven_columns(drive, frame, occupancy.grid)
        counts.append(frame_counts(occupancy, drive.voxel_labels(frame), driven))
    steps = {"obstacles": lambda: make_obstacles(occupancy), "grid": lambda: make_grid(occupancy)}
    times = {step: statistics.median(cpu_ms(call) for _ in range(30)) for step, call in steps.items()}
    marked, predicted, wrong, alone, true, found, road, on_road, voxels = np.sum(counts, 0)
    shares = [(predicted, marked), (wrong, marked), (alone, marked), (found, true), (on_road, road)]
    return [
        f"{name} ({len(frames)} frames), `{bundle}`",
        f"{marked / len(frames):,.0f}",
        *(f"{100 * part / max(whole, 1):.2f} %" for part, whole in shares),
        f"{voxels / len(frames):,.0f}",
        *(milliseconds(times[step]) for step in steps),
    ]


def rows(data: Path | None, every: int) -> Iterator[list[str]]:
    """The demo's street, then the real sequence."""
    street = open_drive("synthetic:101:100")
    yield row("demo street", street, street.frames[::every], DEFAULT_BUNDLE)
    if data is not None:
        (real,) = sequences(real_sequence(data), [SEQUENCE])
        yield row("KITTI 07", real, real.voxel_frames, OCCLE)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.obstacles", description=__doc__)
    parser.add_argument("--data", default=os.environ.get("OCC_NODE_DATA"), help="default: $OCC_NODE_DATA")
    parser.add_argument("--every", type=int, default=30, help="frames of the demo's street between those measured")
    arguments = parser.parse_args()
    print(markdown(HEADER, list(rows(Path(arguments.data) if arguments.data else None, arguments.every))))


if __name__ == "__main__":
    main()
