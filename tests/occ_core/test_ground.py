import time

import numpy as np
import pytest

from occ_core.ground import fit_ground, fit_ground_ref
from occ_core.rig import GRID_HEIGHT, Rig

DECLARED = Rig.at_height(GRID_HEIGHT).T_ground_lidar
VLP16 = np.arange(-15, 0, 2.0)
"""Degrees of the beams that look down."""
RANDOM = np.random.default_rng(3)


def turned(roll, pitch):
    """Ry(pitch) Rx(roll), degrees."""
    (cr, cp), (sr, sp) = np.cos(np.radians((roll, pitch))), np.sin(np.radians((roll, pitch)))
    return np.array([(cp, 0, sp), (0, 1, 0), (-sp, 0, cp)]) @ np.array([(1, 0, 0), (0, cr, -sr), (0, sr, cr)])


def seen(points, height, roll=0.0, pitch=0.0):
    """Points over the ground (z = 0) -> what a LiDAR at this height and tilt measures, (N, 4) float32."""
    moved = (points - (0, 0, height)) @ turned(roll, pitch)
    return np.hstack([moved, np.zeros((len(points), 1))]).astype(np.float32)


def box(count, low, high, noise=0.0):
    return RANDOM.uniform(low, high, (count, 3)) + noise * RANDOM.normal(size=(count, 3))


def ground(height, beams=VLP16, columns=900, noise=0.02):
    """What a VLP-16's rings find of level ground."""
    distance = height / np.tan(np.radians(-beams))
    angle = np.linspace(-np.pi, np.pi, columns, endpoint=False)
    x, y = np.multiply.outer(distance, np.cos(angle)).ravel(), np.multiply.outer(distance, np.sin(angle)).ravel()
    points = np.stack([x, y, np.zeros(x.size)], -1)[np.hypot(x, y) < 60]
    return points + noise * RANDOM.normal(size=points.shape)


def hidden(points, low, high):
    """Without the points over a rectangle (x, y)."""
    inside = ((points[:, :2] > low) & (points[:, :2] < high)).all(1)
    return points[~inside]


def street(height):
    """Ground with walls on both sides, a hedge, a roof, a parked car, and a few points below the ground."""
    road = hidden(hidden(ground(height), (-60, 7), (60, 60)), (2, -4), (6.5, -2))
    clutter = [
        box(6000, (-30, 7, 0), (30, 7.1, 6)), box(6000, (-30, -9, 0), (30, -8.9, 6)),  # walls
        box(3000, (-20, -8, 0), (20, -6.5, 1.2)),  # a hedge
        box(5000, (5, 7.1, 3), (15, 14, 3.1)),  # a roof
        box(1500, (2, -4, 1.4), (6.5, -2, 1.45)), box(1500, (2, -2.05, 0.2), (6.5, -2, 1.4)),  # a car
        box(60, (-15, -6, -4), (15, 6, -0.5)),  # multipath
    ]  # fmt: skip
    return np.concatenate([road, *clutter])


@pytest.mark.parametrize("height", [0.4, 0.6, 1.0, 1.73, 2.5])
@pytest.mark.parametrize(("roll", "pitch"), [(0, 0), (5, 0), (-7, 7), (0, -10)])
def test_height_and_tilt_are_found_in_a_street(height, roll, pitch):
    found = fit_ground(seen(street(height), height, roll, pitch), DECLARED, np.zeros(3)).ground
    assert found.height == pytest.approx(height, abs=0.05)
    assert (found.roll, found.pitch) == pytest.approx((roll, pitch), abs=0.6)
    level = np.degrees(np.arccos(np.cos(np.radians(roll)) * np.cos(np.radians(pitch))))
    assert found.tilt == pytest.approx(level, abs=0.6)


def test_a_slope_ahead_is_not_the_ground_here():
    points = ground(1.73, np.arange(-24, 0, 0.5))
    points[:, 2] += np.where(points[:, 0] > 9, 0.12 * (points[:, 0] - 9), 0)
    found = fit_ground(seen(points, 1.73), DECLARED, np.zeros(3)).ground
    assert found.height == pytest.approx(1.73, abs=0.05) and found.tilt < 1


def test_the_height_is_that_of_the_points_frame_and_the_lidar_may_be_elsewhere():
    """The points are in a base_link on the ground, which is declared to be 0.5 m above it."""
    points = ground(0.8)
    points[:, :2] += 1.5, 0.2
    found = fit_ground(seen(points, 0), Rig.at_height(0.5).T_ground_lidar, np.array((1.5, 0.2, 0.8))).ground
    assert found.height == pytest.approx(0, abs=0.02) and found.tilt < 0.3


@pytest.mark.parametrize("beams", [16, 64])
def test_columns_of_beams_are_sampled_evenly(beams):
    """120,000 points in columns: a step that is a multiple of the beams would look at a few of them only."""
    elevation = np.linspace(-25, 3, beams)
    angle = np.linspace(-np.pi, np.pi, 120_000 // beams, endpoint=False)
    ray = np.stack(
        np.broadcast_arrays(np.cos(angle)[:, None], np.sin(angle)[:, None], np.tan(np.radians(elevation))), -1
    )
    length = np.minimum(0.6 / np.maximum(-ray[..., 2], 1e-3), 30)
    points = (ray * length[..., None]).reshape(-1, 3)
    points[:, 2] += 0.6
    found = fit_ground(seen(points, 0.6), DECLARED, np.zeros(3)).ground
    assert found.height == pytest.approx(0.6, abs=0.03) and found.tilt < 0.5


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        (np.zeros((0, 3)), "too few points"),
        (np.full((50_000, 3), np.nan), "too few points"),
        (box(5000, (-9, 5, 0), (9, 5.1, 6)), "too few points"),
        (box(1500, (-15, -15, 0), (15, 15, 6)), "too much else|too little ground|no plane"),  # leaves all round
        (box(20_000, (-19, -0.4, 0), (19, 0.4, 0.02)), "no plane|narrow strip"),
        (box(20_000, (-15, -15, 4), (15, 15, 4.1)), "no plane"),  # a ceiling
    ],
)
def test_what_is_no_ground_is_not_found(points, reason):
    fit = fit_ground(seen(points, 1.73), DECLARED, np.zeros(3))
    assert fit.ground is None
    assert any(text in fit.reason for text in reason.split("|")), fit.reason


def test_the_plain_version_agrees_and_a_cloud_gives_the_same_again():
    for height, roll in ((0.5, 4), (1.73, 0), (2.3, -8)):
        points = seen(street(height), height, roll)
        found, plain = fit_ground(points, DECLARED, np.zeros(3)), fit_ground_ref(points, DECLARED, np.zeros(3))
        assert found == fit_ground(points, DECLARED, np.zeros(3))
        assert tuple(found.ground) == pytest.approx(tuple(plain.ground), abs=1e-6)


def clouds(real_data, sequence):
    files = sorted((real_data / "sequences" / sequence / "velodyne").glob("*.bin"))
    assert len(files) == 10
    return [np.fromfile(file, np.float32).reshape(-1, 4) for file in files]


@pytest.mark.parametrize(("sequence", "tilt"), [("00", 2), ("02", 1.5), ("03", 2), ("05", 2), ("07", 1.5), ("09", 1.5)])
def test_real_frames_have_kittis_height(real_data, sequence, tilt):
    """Roads that fall to one side are tilted up to 2 degrees against the car."""
    for points in clouds(real_data, sequence):
        found = fit_ground(points, DECLARED, np.zeros(3)).ground
        assert found.height == pytest.approx(1.73, abs=0.1) and found.tilt < tilt


@pytest.mark.parametrize("sequence", ["00", "01", "02", "03", "05", "07", "09"])
def test_real_frames_from_another_height_and_tilt_are_measured_right(real_data, sequence):
    for points in clouds(real_data, sequence):
        at_home = fit_ground(points, DECLARED, np.zeros(3)).ground
        moved = points.copy()
        moved[:, :3] = (points[:, :3] + (0, 0, 1.13)) @ turned(0, 5)
        found = fit_ground(moved, DECLARED, np.zeros(3)).ground
        assert found.height == pytest.approx(at_home.height - 1.13, abs=0.1)
        assert (found.roll, found.pitch) == pytest.approx((at_home.roll, at_home.pitch + 5), abs=1.5)


def test_it_takes_about_a_millisecond():
    points = np.tile(seen(street(1.73), 1.73), (5, 1))[:120_000]
    assert len(points) == 120_000
    durations = []
    for _ in range(30):
        start = time.perf_counter()
        fit_ground(points, DECLARED, np.zeros(3))
        durations.append(time.perf_counter() - start)
    assert min(durations) < 2e-3
