"""A LiDAR that is not mounted as KITTI's: the same world in the same voxels, from files and bags, there and back."""

import numpy as np
import pytest

from occ_core.grid import Grid
from occ_core.rig import KITTI_RIG, Rig, read_rig
from occ_core.transforms import TransformTree
from occ_core.voxelizer import occupancy_grid
from occ_data import DataError, Sequence, open_drive, write_sequence
from occ_data.bags import BagDrive, BagOptions, read_bag, write_bag
from occ_data.bags.decode import add_transforms
from occ_data.ground_truth import aggregate, write_ground_truth

from ..moved import MOVES, off_the_edges, share_equal, write_moved

GRID = Grid((80, 80, 32), 0.2, (0.0, -8.0, -2.0))


@pytest.fixture
def base(tiny_sequence, tmp_path):
    return off_the_edges(tiny_sequence, tmp_path / "base")


@pytest.fixture(params=MOVES)
def moved(base, tmp_path, request):
    return write_moved(base, tmp_path / "moved", MOVES[request.param])


@pytest.fixture
def low(base, tmp_path):
    return write_moved(base, tmp_path / "low", MOVES["all of it"])


def same_place(one, other, atol=1e-9):
    np.testing.assert_allclose(one.calibration.T_grid_lidar, other.calibration.T_grid_lidar, atol=atol)


def test_camera_and_points_are_where_they_were(base, moved):
    np.testing.assert_allclose(moved.calibration.P_grid, base.calibration.P_grid, atol=1e-8)
    for frame in base.frames:
        points = moved.calibration.to_grid(moved.scan(frame))
        np.testing.assert_allclose(points, base.scan(frame), atol=1e-4)
        assert share_equal(occupancy_grid(points, GRID), occupancy_grid(base.scan(frame), GRID)) > 0.99


def test_ground_truth_is_the_same(base, moved):
    one, other = (aggregate(sequence, "000001", grid=GRID) for sequence in (base, moved))
    assert share_equal(one.labels, other.labels) > 0.99
    assert share_equal(one.occupied, other.occupied) > 0.99


def test_rays_of_a_turned_sensor_make_the_same_voxels_free(base, tmp_path):
    turned = write_moved(base, tmp_path / "turned", MOVES["turned by 90 degrees"])
    one, other = (aggregate(sequence, "000001", grid=GRID) for sequence in (base, turned))
    assert share_equal(one.invalid, other.invalid) > 0.95


def test_without_the_rig_it_is_another_world(base, low):
    (low.path / "rig.yaml").unlink()
    without = Sequence(low.path)
    np.testing.assert_array_equal(without.calibration.T_grid_lidar, np.eye(4))
    assert (
        share_equal(aggregate(base, "000001", grid=GRID).labels, aggregate(without, "000001", grid=GRID).labels) < 0.5
    )


def test_ground_truth_elsewhere_keeps_the_rig(low, tmp_path):
    list(write_ground_truth(low, tmp_path / "out", every=3))
    same_place(Sequence(tmp_path / "out/sequences/90"), low, 0)
    (low.path / "rig.yaml").unlink()
    given = Sequence(low.path, Rig.at_height(0.6))
    list(write_ground_truth(given, tmp_path / "given", every=3))
    same_place(Sequence(tmp_path / "given/sequences/90"), given, 0)


def test_a_given_rig_is_used_instead_of_the_files(low):
    assert Sequence(low.path, Rig.at_height(0.6)).rig.T_ground_lidar[2, 3] == 0.6
    sensor_only = Sequence(low.path, read_rig("vlp16"))
    np.testing.assert_array_equal(sensor_only.rig.T_ground_lidar, low.rig.T_ground_lidar)
    assert sensor_only.rig.sensor.beams == 16


def test_a_rig_that_cannot_be_used_is_named(low):
    (low.path / "rig.yaml").write_text("height: 0.6\n")
    with pytest.raises(DataError, match=r"rig\.yaml: expected some of the keys T_ground_lidar.*found height"):
        _ = Sequence(low.path).calibration


def test_a_rig_survives_the_way_through_a_bag(low, tmp_path):
    write_bag(low, tmp_path / "bag")
    drive = BagDrive(tmp_path / "bag")
    same_place(drive, low)
    back = Sequence(write_sequence(drive, tmp_path / "back", "91"))
    same_place(back, low)
    np.testing.assert_allclose(back.calibration.P_grid, low.calibration.P_grid, atol=1e-7)


def test_the_bags_transforms_are_a_tree_with_the_ground_below_the_lidar(low, tmp_path):
    write_bag(low, tmp_path / "bag")
    tree = TransformTree()
    for topic, _, _, data in read_bag(tmp_path / "bag", ["/tf", "/tf_static"]):
        add_transforms(tree, topic, data)
    assert tree.frames == ["base_footprint", "camera_color_left", "velo_link", "world"]
    assert list(tree.chain("base_footprint")[0]) == ["base_footprint", "velo_link", "world"]
    np.testing.assert_allclose(tree.between("base_footprint", "velo_link"), low.rig.T_ground_lidar, atol=1e-9)


def test_kittis_rig_writes_nothing(tiny_sequence, tmp_path):
    write_bag(tiny_sequence, tmp_path / "bag")
    drive = BagDrive(tmp_path / "bag")
    np.testing.assert_array_equal(drive.calibration.T_grid_lidar, np.eye(4))
    assert not (write_sequence(drive, tmp_path / "back", "91") / "rig.yaml").exists()


def test_a_bags_rig_can_be_given(low, tmp_path):
    write_bag(low, tmp_path / "bag")
    for options, rig in ((None, Rig.at_height(0.6)), (BagOptions(rig=Rig.at_height(0.6)), None)):
        height = open_drive(tmp_path / "bag", options, rig).calibration.T_grid_lidar[2, 3]
        assert height == pytest.approx(0.6 - 1.73)
    same_place(open_drive(tmp_path / "bag", rig=read_rig("vlp16")), low)


def test_synthetic_streets_take_no_other_rig():
    with pytest.raises(DataError, match="synthetic:7:2: has a rig of its own"):
        open_drive("synthetic:7:2", rig=KITTI_RIG)
