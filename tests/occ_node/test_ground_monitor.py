import numpy as np
import pytest

from occ_core.ground import Ground, GroundFit, fit_ground
from occ_core.rig import GRID_HEIGHT, Rig
from occ_node.ground_monitor import GroundMonitor, levelled

DECLARED = Rig.at_height(GRID_HEIGHT)
NOTHING = GroundFit(None, "too little ground within 20 m")


def fit(height, roll=0.0, pitch=0.0):
    return GroundFit(Ground(height, roll, pitch, 0.8), "")


def feed(monitor, hertz, seconds, fits, start=1000.0):
    """Gives the stamp of the last one, and that of the first after which the grounds differ."""
    first = None
    for n in range(round(seconds * hertz) + 1):
        now = start + n / hertz
        monitor.add(now, fits(n) if callable(fits) else fits)
        if monitor.differs and first is None:
            first = now
    return now, first


@pytest.mark.parametrize("hertz", [1, 5, 10, 20])
def test_a_wrong_height_is_said_after_two_seconds_with_the_value_to_set(hertz):
    monitor = GroundMonitor(DECLARED, estimated=False)
    _, first = feed(monitor, hertz, 3, fit(0.61))
    assert first == pytest.approx(1002.0)
    assert monitor.problem("velo_link") == (
        "ground: the origin of frame 'velo_link' is 0.61 m above the ground, declared 1.73 m: set height:=0.61 "
        "(or ground:=estimated)"
    )
    assert monitor.rig is DECLARED
    assert (monitor.values()["ground.height_m"], monitor.values()["ground.tilt_deg"]) == ("0.61", "0.0")


def test_a_wrong_tilt_is_said_with_its_angles():
    monitor = GroundMonitor(Rig.at_height(0), estimated=False)
    feed(monitor, 10, 3, fit(0.05, 4, -3))
    text = monitor.problem("base_link")
    assert "frame 'base_link' is tilted by 5.0 degrees (roll 4.0, pitch -3.0)" in text
    assert "height" not in text and "ground:=estimated" in text


@pytest.mark.parametrize("small", [fit(1.5), fit(1.95), fit(1.73, 2, 2)])
def test_what_is_nearly_right_is_right(small):
    monitor = GroundMonitor(DECLARED, estimated=False)
    feed(monitor, 10, 10, small)
    assert not monitor.differs and monitor.problem("lidar") == ""


@pytest.mark.parametrize("hertz", [1, 10, 20])
def test_it_clears_when_it_fits_again(hertz):
    monitor = GroundMonitor(DECLARED, estimated=False)
    now, _ = feed(monitor, hertz, 5, fit(0.6))
    assert monitor.differs
    feed(monitor, hertz, 5, fit(1.7), now + 1 / hertz)
    assert not monitor.differs and monitor.problem("lidar") == ""


def test_a_jolt_and_wrong_fits_in_between_are_not_said():
    monitor = GroundMonitor(DECLARED, estimated=False)
    _, first = feed(monitor, 10, 20, lambda n: fit(0.9, 6, 6) if n % 50 < 8 or n % 3 == 0 else fit(1.7))
    assert first is None


def test_without_ground_nothing_changes_and_after_a_pause_it_starts_anew():
    monitor = GroundMonitor(DECLARED, estimated=False)
    feed(monitor, 10, 3, fit(0.6))
    feed(monitor, 10, 2, NOTHING, 1003.1)
    assert monitor.differs and monitor.values()["ground.missing"] == NOTHING.reason
    monitor.add(500.0, fit(0.6))  # a bag begins again
    assert not monitor.differs
    _, first = feed(monitor, 10, 3, fit(0.6), 500.1)
    assert first == pytest.approx(502.0, abs=0.11)


def test_the_estimated_ground_starts_with_the_first_stable_measurement_and_never_jumps_after_it():
    monitor = GroundMonitor(DECLARED, estimated=True)
    random = np.random.default_rng(0)
    now, _ = feed(monitor, 10, 2, lambda n: fit(random.uniform(0.2, 2), random.uniform(-9, 9)))
    assert monitor.rig is DECLARED
    now, _ = feed(monitor, 10, 3, fit(0.6, 0, 5), now + 0.1)
    assert monitor.rig.T_ground_lidar[2, 3] == pytest.approx(0.6)
    assert monitor.problem("lidar") == "" and monitor.values()["ground"] == "estimated"
    heights = []
    for n in range(200):
        monitor.add(now + 0.1 + n / 10, fit(1.2, 0, 5))
        heights.append(monitor.rig.T_ground_lidar[2, 3])
    assert np.abs(np.diff(heights)).max() < 0.03 and heights[-1] == pytest.approx(1.2, abs=0.021)
    assert heights[20] < 0.75


def test_small_changes_of_the_estimated_ground_keep_the_rig():
    monitor = GroundMonitor(DECLARED, estimated=True)
    random = np.random.default_rng(0)
    now, _ = feed(monitor, 10, 3, fit(0.6, 0, 5))
    rig = monitor.rig
    feed(monitor, 10, 60, lambda n: fit(0.6 + random.normal(0, 0.02), random.normal(0, 0.2), 5), now + 0.1)
    assert monitor.rig is rig


def test_the_corrected_rig_makes_the_ground_level_and_keeps_yaw_and_place():
    random = np.random.default_rng(0)
    ground = random.uniform((-15, -15, 0), (15, 15, 0), (5000, 3))
    turn = np.radians(40)
    T = np.eye(4)
    T[:2, :2] = (np.cos(turn), -np.sin(turn)), (np.sin(turn), np.cos(turn))
    T[:3, 3] = 0.3, -0.2, 1.0
    declared = Rig(T)
    truth = levelled(declared, 0.7, 4, -6)
    points = (ground - truth.T_ground_lidar[:3, 3]) @ truth.T_ground_lidar[:3, :3]
    found = fit_ground(points.astype(np.float32), T, np.zeros(3)).ground
    assert (found.height, found.roll, found.pitch) == pytest.approx((0.7, 4, -6), abs=0.01)
    np.testing.assert_allclose(levelled(declared, *found[:3]).T_ground_lidar, truth.T_ground_lidar, atol=1e-4)


def test_a_real_drive_gives_few_new_rigs(real_data):
    """Each one makes a new lifting table."""
    for sequence in ("00", "07", "09"):
        monitor, rigs = GroundMonitor(DECLARED, estimated=True), set()
        files = sorted((real_data / "sequences" / sequence / "velodyne").glob("*.bin"))
        fits = [
            fit_ground(np.fromfile(f, np.float32).reshape(-1, 4), DECLARED.T_ground_lidar, np.zeros(3)) for f in files
        ]
        for n in range(100):  # back and forth
            monitor.add(n / 10, fits[abs(n % 18 - 9)])
            rigs.add(monitor.rig)
        assert len(rigs) <= 6
