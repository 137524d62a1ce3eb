"""The rolling map against single frames: how still it stands, how right it is, what stays of a car, what it costs.

python -m benchmarks.map [--data FOLDER] [--sequences 05 07] [--seeds 203]
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np

from occ_core import CLASS_NAMES, KITTI_GRID, CompletionMetrics, Occupancy
from occ_core.class_costs import DEFAULT_COSTS, class_costs
from occ_core.local_ground import ground_heights
from occ_core.obstacles import CONFIDENT, Band, column_costs
from occ_core.occupancy import visible_voxels
from occ_core.rig import translation
from occ_core.rolling_map import RollingMap
from occ_core.taxonomy import voxels_from_raw
from occ_data import Drive, open_drive
from occ_data.ground_truth import aggregate
from occ_data.kitti import Sequence
from occ_runtime import Bundle, Predictor, find_bundle, load_backend

from .measure import markdown

SIZE, DECAY, PERIOD = 80.0, 30.0, 0.1
REACH = 110.0
"""Metres of the map that is compared with the truth: the whole grid is in it, 80 m end 40 m ahead."""
NEAR = 10.0
STILL_FRAMES, MOVING_FRAMES = 20, 10
SENSORS = np.zeros((1, 3))
CAR = CLASS_NAMES.index("car")


def predictor(name: str) -> Predictor:
    """A bundle on the backend of this machine."""
    bundle = Bundle.load(find_bundle(name))
    return Predictor(bundle, load_backend(bundle))


def turned(yaw: float, x: float, y: float) -> np.ndarray:
    """A robot's pose in odom that is not in line with the map's voxels."""
    T = translation(x, y, 0.05)
    T[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
    return T


def standing(network: Predictor, drive: Drive, frame: str) -> list[str]:
    """One frame again and again, each scan with new noise: 2 cm in range, 2 % of the points dropped."""
    random, scan, image = np.random.default_rng(0), drive.scan(frame), drive.image(frame)
    T, world, grids, maps = turned(0.3, 3.03, 1.07), RollingMap(KITTI_GRID, SIZE, DECAY), [], []
    for n in range(STILL_FRAMES):
        noisy = scan[random.random(len(scan)) > 0.02]
        distance = np.linalg.norm(noisy[:, :3], axis=1, keepdims=True)
        noisy[:, :3] *= 1 + random.normal(0, 0.02, distance.shape) / distance
        occupancy = network.predict(image, noisy, drive.calibration)
        world.update(occupancy, T, SENSORS, PERIOD * n)
        remembered = world.occupancy()
        grids.append(_view(occupancy, CONFIDENT))
        maps.append(_view(remembered, 0))
    single = _flips(grids, near(occupancy, np.zeros(2)))
    with_map = _flips(maps, near(remembered, T[:2, 3]))
    return [f"{drive.name}, frame {frame}", *(f"{100 * np.mean(f):.2f}" for f in (single, with_map, with_map[5:]))]


def _view(occupancy: Occupancy, confident: int) -> np.ndarray:
    """As `~/grid` has it with CONFIDENT, as `~/map` with 0."""
    ground = ground_heights(occupancy.labels, occupancy.grid)
    return column_costs(occupancy, ground, class_costs(DEFAULT_COSTS), Band(), confident)


def near(occupancy: Occupancy, center: np.ndarray) -> np.ndarray:
    """(X, Y) bool: the cells within 10 m."""
    centers = occupancy.grid.centers()[:, :, 0, :2]
    return np.hypot(*(centers - center).transpose(2, 0, 1)) < NEAR


def _flips(views: list[np.ndarray], inside: np.ndarray) -> np.ndarray:
    """Share of the cells that are known, in one of two successive views, that change between free and obstacle."""
    shares = []
    for before, after in pairwise(views):
        known = inside & ((before >= 0) | (after >= 0))
        flipped = (before != after) & (before >= 0) & (after >= 0)
        shares.append(flipped[known].mean())
    return np.array(shares)


def moving(name: str, occupancies: list[Occupancy], poses: np.ndarray, truth: np.ndarray) -> list[list[str]]:
    """The last frame and the map after it, in the voxels of the truth.

    aligned: the world's voxels are those of the truth; turned: as odom has them. There the last frame alone is put
    into a map too, because a truth in other voxels costs any map.
    """
    rows = []
    aligned, odom = np.linalg.inv(poses[-1]), turned(0.3, 3.03, 1.07)
    for kind, T_map_world in (("aligned", aligned), ("turned", odom)):
        scores = []
        for first in (len(poses) - 1, 0):
            world = RollingMap(KITTI_GRID, REACH, DECAY)
            for n in range(first, len(poses)):
                world.update(occupancies[n], T_map_world @ poses[n], SENSORS, PERIOD * n)
            scores.append(_score(seen_from(world.occupancy(), T_map_world @ poses[-1]), truth))
        rows.append([f"{name}, {kind}", _score(occupancies[-1].labels, truth), *scores])
    return rows


def seen_from(remembered: Occupancy, T_map_grid: np.ndarray) -> np.ndarray:
    """The map's labels at the centres of a frame's voxels."""
    centers = KITTI_GRID.centers().reshape(-1, 3).astype(float) @ T_map_grid[:3, :3].T + T_map_grid[:3, 3]
    indices, inside = remembered.grid.index_of(centers)
    labels = np.zeros(len(centers), np.uint8)
    labels[inside] = remembered.labels[tuple(indices.T)]
    return labels.reshape(KITTI_GRID.shape)


def _score(labels: np.ndarray, truth: np.ndarray) -> str:
    metrics = CompletionMetrics()
    metrics.add(labels, truth)
    summary = metrics.summary()
    return f"{summary['iou']:.1f} / {summary['miou_present']:.1f}"


def predict_all(network: Predictor, drive: Drive) -> list[Occupancy]:
    """The first frames."""
    frames = drive.frames[:MOVING_FRAMES]
    return [network.predict(drive.image(f), drive.scan(f), drive.calibration) for f in frames]


def passing_car() -> str:
    """An oncoming car, 10 m/s, drives past a robot that stands; voxels of its class after it left, by time."""
    world, left, last = RollingMap(KITTI_GRID, SIZE, DECAY), None, 0.0
    for n in range(100):
        labels = np.zeros(KITTI_GRID.shape, np.uint8)
        labels[:, :, 1] = 9
        front = 40.0 - 10.0 * PERIOD * n  # metres ahead of the robot; it leaves the grid at 0
        first, end = (int(np.clip(x / 0.2, 0, 256)) for x in (front, front + 4.5))
        labels[first:end, 140:149, 2:9] = CAR
        if left is None and not (labels == CAR).any():
            left = n * PERIOD
        hits = (labels == CAR).astype(np.uint8)
        occupancy = Occupancy(labels, np.full(labels.shape, 240, np.uint8), KITTI_GRID, hits)
        world.update(occupancy, turned(0.3, 3.03, 1.07), SENSORS, PERIOD * n)
        behind = world.occupancy().labels == CAR
        if left is None:  # where the car is not any more
            behind &= _elsewhere(world, front + 5.5)
        if behind.any():
            last = n * PERIOD - (left or n * PERIOD)
    return f"the last voxel of a car that left is gone {last + PERIOD:.1f} s after it (wanted: 2 s)"


def _elsewhere(world: RollingMap, behind: float) -> np.ndarray:
    """(X, Y, Z) bool: voxels that the car has passed more than a metre ago."""
    T_grid_map = np.linalg.inv(turned(0.3, 3.03, 1.07))
    centers = world.grid.centers()
    return centers @ T_grid_map[0, :3].astype(np.float32) + T_grid_map[0, 3] > behind


def cost(occupancies: list[Occupancy], poses: np.ndarray) -> list[list[str]]:
    """CPU time of this thread, which other work on the machine disturbs less than the wall's."""
    world, T, clock = RollingMap(KITTI_GRID, SIZE, DECAY), turned(0.3, 3.03, 1.07), iter(range(10**6))

    def update():
        n = next(clock)
        turn = n % (2 * len(poses) - 2)  # back and forth, so that the robot never jumps
        k = min(turn, 2 * len(poses) - 2 - turn)
        world.update(occupancies[k], T @ poses[k], SENSORS, PERIOD * n)

    labels = occupancies[0].labels
    steps = {
        "add a frame to 80 x 80 x 6.4 m": update,
        "read the map, for all outputs": world.occupancy,
        "`visible_voxels` of one frame, to compare": lambda: visible_voxels(labels),
    }
    times = {name: _cpu_ms(step) for name, step in steps.items()}
    unit = times["`visible_voxels` of one frame, to compare"]
    return [[name, f"{ms:.1f}", f"{ms / unit:.1f} x"] for name, ms in times.items()]


def _cpu_ms(step: Callable[[], object], repeats: int = 40) -> float:
    step()
    times = []
    for _ in range(repeats):
        start = time.thread_time()
        step()
        times.append(time.thread_time() - start)
    return 1e3 * statistics.median(times)


def main(argv: list[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("OCC_NODE_DATA"), help="folder with real frames")
    parser.add_argument("--sequences", nargs="*", default=["05", "07"], help="of the data (default: 05 07)")
    parser.add_argument("--seeds", nargs="*", default=["203"], help="synthetic streets (default: 203)")
    arguments = parser.parse_args(argv)
    real = [Sequence(arguments.data / "sequences" / name) for name in arguments.sequences] if arguments.data else []
    streets = [open_drive(f"synthetic:{seed}:{MOVING_FRAMES}") for seed in arguments.seeds]
    still, scores = [], []
    for name, drives in (("occle-nano", real), ("occle-nano-synthetic", streets)):
        if not drives:
            continue
        network = predictor(name)
        for drive in drives:
            occupancies, last = predict_all(network, drive), drive.frames[:MOVING_FRAMES][-1]
            poses = drive.poses[:MOVING_FRAMES]
            if isinstance(drive, Sequence):
                made = aggregate(drive, last)
                truth = voxels_from_raw(made.labels, made.invalid)
            else:
                truth = drive.voxel_labels(last)
            scores += moving(drive.name, occupancies, poses, truth)
            still.append(standing(network, drive, last))
    header = ["standing: flips within 10 m, % of cells a frame", "`~/grid`", "`~/map`", "after 5 frames"]
    print(markdown(header, still), end="\n\n")
    header = ["moving, frame 9: IoU / mIoU", "single frame", "single frame in a map's voxels", "map"]
    print(markdown(header, scores), end="\n\n")
    print(passing_car(), end="\n\n")
    print(markdown(["CPU time, ms", "median", "ratio"], cost(occupancies, poses)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
