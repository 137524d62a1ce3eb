import numpy as np
import pytest

from occ_core import CLASS_NAMES, Grid, Occupancy
from occ_core.free_space import HIT, LABEL, SEEN_FREE, codes_of
from occ_core.rig import translation
from occ_core.rolling_map import RollingMap
from occ_core.voxel_map import MOVABLE_DECAY, OCCUPIED, VoxelMap, add_ref

GRID = Grid((40, 40, 16), 0.2, (0.0, -4.0, -2.0))
CAR, ROAD, BUILDING = (CLASS_NAMES.index(name) for name in ("car", "road", "building"))
SENSORS = np.zeros((1, 3))


def turned(yaw: float, pitch: float = 0.0) -> np.ndarray:
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    T = np.eye(4)
    T[:3, :3] = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]]) @ np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    return T


def frame(*boxes, hits: bool = False, confidence: int = 240) -> Occupancy:
    """boxes : (label, slice in x, in y, in z)"""
    labels = np.zeros(GRID.shape, np.uint8)
    for label, *box in boxes:
        labels[tuple(box)] = label
    seen = (labels > 0).astype(np.uint8) if hits else np.zeros_like(labels)
    return Occupancy(labels, np.full(GRID.shape, confidence, np.uint8), GRID, seen)


def noise(seed: int) -> Occupancy:
    random = np.random.default_rng(seed)
    labels = np.where(random.random(GRID.shape) < 0.2, random.integers(1, 20, GRID.shape), 0).astype(np.uint8)
    hits = (random.random(GRID.shape) < 0.1).astype(np.uint8)
    return Occupancy(labels, random.integers(0, 256, GRID.shape, np.uint8), GRID, hits)


def at(occupancy: Occupancy, x: float, y: float, z: float) -> int:
    """The label at a place of the map frame."""
    indices, inside = occupancy.grid.index_of(np.array([[x, y, z]]))
    assert inside.all()
    return int(occupancy.labels[tuple(indices[0])])


WALL = (BUILDING, slice(20, 21), slice(10, 30), slice(2, 12))
WALL_AT = (4.1, 0.1, -1.0)
CAR_HERE = (CAR, slice(20, 24), slice(10, 20), slice(2, 8))


def rolling(decay: float = 30.0) -> RollingMap:
    return RollingMap(GRID, 20.0, decay)


@pytest.mark.parametrize("height", [20, 24])  # in whole words of eight voxels, and not
@pytest.mark.parametrize("seed", range(4))
def test_adding_frames_equals_the_plain_form(seed, height):
    random = np.random.default_rng(seed)
    corner = (-30, -35, -12)
    found = VoxelMap((60, 64, height), 0.2, corner, 30.0)
    odds, notes = np.zeros(found.shape, np.int8), np.zeros(found.shape, np.uint32)
    for n in range(4):
        T_map_grid = translation(*random.uniform(-2, 2, 3)) @ turned(random.uniform(-3, 3), random.uniform(-0.2, 0.2))
        occupancy = noise(10 * seed + n)
        found.add(occupancy, T_map_grid, SENSORS, 0.1 * n + 0.05)
        T_voxels_grid = np.diag([5.0, 5, 5, 1]) @ translation(*-np.array(GRID.origin))
        T = T_voxels_grid @ np.linalg.inv(T_map_grid) @ translation(0.1, 0.1, 0.1) @ np.diag([0.2, 0.2, 0.2, 1])
        add_ref(odds, notes, np.array(corner), T, codes_of(occupancy, SENSORS), occupancy.confidence, n)
    at_index = np.ix_(*((np.arange(c, c + n) % n) for c, n in zip(corner, found.shape, strict=True)))
    occupied = odds[at_index] >= OCCUPIED
    read = found.occupancy()
    # A centre that lies on a face of a frame's voxel may fall to either side.
    assert np.mean((read.labels > 0) != occupied) < 1e-4
    both = occupied & (read.labels > 0)
    assert both.sum() > 1000 and np.mean(read.labels[both] != (notes[at_index] & 0xFF)[both]) < 1e-3


def test_one_frame_is_the_map():
    world = rolling()
    world.update(frame(WALL), np.eye(4), SENSORS, 100.0)
    occupancy = world.occupancy()
    assert np.count_nonzero(occupancy.labels) == 200 and at(occupancy, *WALL_AT) == BUILDING
    assert np.allclose(np.array(occupancy.grid.origin) / 0.2, np.round(np.array(occupancy.grid.origin) / 0.2))
    assert (
        occupancy.confidence[occupancy.labels > 0].min() > 127 and not occupancy.confidence[occupancy.labels == 0].any()
    )


def test_what_is_behind_the_robot_is_remembered_and_then_forgotten():
    world = rolling(decay=3.0)
    world.update(frame(WALL), np.eye(4), SENSORS, 100.0)
    past = translation(5, 0, 0)
    for n in range(1, 51):
        world.update(frame(), past, SENSORS, 100.0 + 0.1 * n)
        if n not in (30, 31):  # times are kept in tenths of a second
            assert (at(world.occupancy(), *WALL_AT) == BUILDING) == (n < 30)


def test_what_leaves_the_window_is_forgotten_and_the_rest_kept():
    world, seconds = rolling(), iter(np.arange(100, 200, 0.1))

    def drive(start, end):
        for x in range(start, end, 1 if end > start else -1):
            world.update(frame(), translation(x, 0, 0), SENSORS, next(seconds))

    world.update(frame(WALL), np.eye(4), SENSORS, next(seconds))
    drive(5, 13)  # the window reaches 10 m behind the robot
    assert at(world.occupancy(), *WALL_AT) == BUILDING
    drive(13, 20)
    drive(20, 8)
    assert at(world.occupancy(), *WALL_AT) == 0


def test_a_car_that_drives_through_leaves_no_trail():
    world, behind = rolling(), translation(6, 0, 0)
    for n in range(10):
        car = (CAR, slice(2 * n, 2 * n + 8), slice(10, 20), slice(2, 8))
        world.update(frame(car), np.eye(4), SENSORS, 100.0 + 0.1 * n)
    assert at(world.occupancy(), 4.1, -1.0, -1.0) == CAR
    for n in range(20):  # out of view
        world.update(frame(), behind, SENSORS, 101.0 + 0.1 * n)
    assert not (world.occupancy().labels == CAR).any() and MOVABLE_DECAY < 2


def test_a_parked_car_is_kept():
    world = rolling()
    for n in range(40):
        world.update(frame(CAR_HERE), np.eye(4), SENSORS, 100.0 + 0.1 * n)
    for n in range(40, 80):
        world.update(frame(), translation(6, 0, 0), SENSORS, 100.0 + 0.1 * n)
    assert at(world.occupancy(), 4.3, -1.0, -1.0) == CAR


def test_a_wrong_frame_changes_nothing_and_what_is_gone_is_believed_after_a_few():
    world = rolling()
    for n in range(10):
        world.update(frame(WALL), np.eye(4), SENSORS, 0.1 * n)
    world.update(frame(), np.eye(4), SENSORS, 1.0)
    assert at(world.occupancy(), *WALL_AT) == BUILDING
    for n in range(11, 16):
        world.update(frame(), np.eye(4), SENSORS, 0.1 * n)
    assert not world.occupancy().labels.any()


def test_what_was_hit_outweighs_what_was_completed():
    world = rolling()
    for n in range(2):
        world.update(frame(WALL, hits=True), np.eye(4), SENSORS, 0.2 * n)
        world.update(frame((ROAD, *WALL[1:])), np.eye(4), SENSORS, 0.2 * n + 0.1)
    assert at(world.occupancy(), *WALL_AT) == BUILDING


def test_rays_mark_what_they_passed_through_but_not_what_they_graze():
    road = (ROAD, slice(0, 40), slice(0, 40), slice(1, 2))
    codes = codes_of(frame(road, hits=True), SENSORS)
    assert not (codes[:, :, :3] & SEEN_FREE).any() and (codes[2:20, 18:22, 5:9] & SEEN_FREE).any()
    codes = codes_of(frame(WALL, hits=True), SENSORS)
    assert (codes[20, 10:30, 2:12] & HIT).all() and (codes[20, 15, 5] & LABEL) == BUILDING
    assert (codes[4:18, 19:21, 8:11] & SEEN_FREE > 0).mean() > 0.8 and not (codes[21:] & SEEN_FREE).any()


def test_a_seen_free_voxel_is_cleared_sooner():
    def frames_until_gone(seen_from):
        world, n = rolling(), 10
        for k in range(n):
            world.update(frame(CAR_HERE), np.eye(4), SENSORS, 0.1 * k)
        while (at(world.occupancy(), 4.1, 0.0 - 0.1, -0.5)) == CAR:
            behind = (BUILDING, slice(30, 31), slice(0, 40), slice(0, 16))
            world.update(frame(behind, hits=seen_from), np.eye(4), SENSORS, 0.1 * n)
            n += 1
        return n - 10

    assert frames_until_gone(True) < frames_until_gone(False)


@pytest.mark.parametrize(
    ("T_map_grid", "seconds", "reason"),
    [
        (np.eye(4), 99.0, "the clock went back by 1.1 s"),
        (np.eye(4), 200.0, "no frame for 99.9 s"),
        (translation(30, 0, 0), 100.2, "the robot jumped by 30.0 m in 0.10 s"),
        (turned(np.pi / 2), 100.2, "the robot turned by 90 degrees in 0.10 s"),
        (translation(1, 0, 0), 100.2, ""),
        (turned(0.2), 100.2, ""),
    ],
)
def test_a_jump_starts_anew(T_map_grid, seconds, reason):
    world = rolling()
    world.update(frame(WALL), np.eye(4), SENSORS, 100.0)
    world.update(frame(WALL, hits=True), np.eye(4), SENSORS, 100.1)
    assert world.update(frame(), T_map_grid, SENSORS, seconds) == reason
    assert world.occupancy().labels.any() == (not reason)


def test_decay_may_change():
    world = rolling()
    world.update(frame(WALL), np.eye(4), SENSORS, 100.0)
    world.update(frame(), translation(5, 0, 0), SENSORS, 102.0)
    assert world.occupancy().labels.any()
    world.decay = 1.0
    assert not world.occupancy().labels.any()


def test_the_window_follows_the_ground():
    world = rolling()
    for n in range(30):
        world.update(
            frame((ROAD, slice(0, 40), slice(0, 40), slice(1, 2))), translation(0, 0, 0.3 * n), SENSORS, 0.1 * n
        )
    occupancy = world.occupancy()
    assert occupancy.grid.origin[2] == pytest.approx(0.3 * 29 - 2.0, abs=0.4)
    assert occupancy.grid.shape == (100, 100, 16)
