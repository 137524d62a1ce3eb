"""Voxel truth: votes, carving, visibility."""

import numpy as np
import pytest

from occ_core.grid import Grid
from occ_core.taxonomy import voxels_from_raw
from occ_core.voxelizer import occupancy_grid
from occ_data.ground_truth import aggregate, write_ground_truth
from occ_data.kitti import DataError, Sequence, SequenceWriter

GRID = Grid((80, 64, 32), 0.2, (0.0, -6.4, -2.0))


def make_sequence(root, scans) -> Sequence:
    """scans: per frame a list of (x, y, z, raw label); the LiDAR moves 1 m a frame along x."""
    writer = SequenceWriter(root, "00")
    P = np.array([[50.0, 0, 20, 0], [0, 50, 10, 0], [0, 0, 1, 0]])
    writer.write_calibration({f"P{n}": P for n in range(4)}, [[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0]])
    poses = np.tile(np.eye(4), (len(scans), 1, 1))
    poses[:, 2, 3] = np.arange(len(scans))
    writer.write_poses(poses)
    writer.write_times(np.arange(len(scans)) / 10)
    for n, scan in enumerate(scans):
        table = np.array(scan, np.float64).reshape(-1, 4)
        points = np.concatenate([table[:, :3], np.zeros((len(table), 1))], 1).astype(np.float32)
        writer.write_frame(f"{n:06d}", None, points, table[:, 3].astype(np.uint32))
    return Sequence(writer.path)


def index(x, y, z):
    return tuple(GRID.index_of(np.array([[x, y, z]]))[0][0])


def test_own_scan_gives_the_bin_of_the_voxelizer(tiny_sequence):
    truth = aggregate(tiny_sequence, "000001", grid=GRID)
    np.testing.assert_array_equal(truth.occupied, occupancy_grid(tiny_sequence.scan("000001"), GRID).astype(bool))


def test_wall_hides_what_lies_behind_and_shows_what_lies_before(tiny_sequence):
    truth = aggregate(tiny_sequence, "000000", grid=GRID)
    wall, before, behind = index(12.01, 0, 0), index(8, 0, 0), index(14, 0, 0)
    assert truth.labels[wall] == 50 and not truth.invalid[wall]
    assert truth.labels[before] == 0 and not truth.invalid[before] and not truth.occluded[before]
    assert truth.invalid[behind] and truth.occluded[behind]


def test_neighbouring_scans_fall_into_place(tiny_sequence):
    truth = aggregate(tiny_sequence, "000001", grid=GRID)
    wall = np.unique(np.argwhere(truth.labels == 50)[:, 0])
    np.testing.assert_array_equal(wall, [55])  # 11 m ahead of the second frame, from all three


def test_scans_outside_the_window_take_no_part(tiny_sequence):
    alone = aggregate(tiny_sequence, "000001", ahead=0, behind=0, grid=GRID)
    np.testing.assert_array_equal(alone.labels > 0, alone.occupied)


def test_class_of_a_voxel_is_the_majority(tmp_path):
    hits = [(5.1, 0.1, 0.1, raw) for raw in (40, 48, 48, 50)] + [(6.1, 0.1, 0.1, raw) for raw in (252, 10, 50)]
    tie = [(7.1, 0.1, 0.1, raw) for raw in (50, 40)]
    truth = aggregate(make_sequence(tmp_path, [hits + tie]), "000000", grid=GRID)
    assert [truth.labels[index(x, 0.1, 0.1)] for x in (5.1, 6.1, 7.1)] == [48, 10, 40]


def test_points_without_a_class_are_occupied_and_ignored(tmp_path):
    truth = aggregate(make_sequence(tmp_path, [[(5.1, 0.1, 0.1, 0), (6.1, 1.1, 0.1, 99)]]), "000000", grid=GRID)
    assert set(voxels_from_raw(truth.labels, truth.invalid)[truth.occupied]) == {255}
    assert not truth.invalid[truth.occupied].any() and (truth.labels[truth.occupied] == 1).all()


def test_outliers_and_points_out_of_range_say_nothing(tmp_path):
    scan = [(5.1, 0.1, 0.1, 1), (2.1, 1.1, 0.1, 40), (71.0, 0.1, 0.1, 50), (9.1, 3.1, 0.1, 40)]
    truth = aggregate(make_sequence(tmp_path, [scan]), "000000", grid=GRID)
    np.testing.assert_array_equal(np.argwhere(truth.labels), [index(9.1, 3.1, 0.1)])


def test_moving_objects_count_in_their_own_scan_alone(tmp_path):
    scans = [[(8.1, 0.1, 0.1, 252), (9.1, 2.1, 0.1, 50)], [(10.1, 0.1, 0.1, 252), (8.1, 2.1, 0.1, 50)]]
    truth = aggregate(make_sequence(tmp_path, scans), "000000", grid=GRID)
    assert truth.labels[index(8.1, 0.1, 0.1)] == 10
    assert truth.labels[index(11.1, 0.1, 0.1)] == 0  # where it went to
    assert truth.labels[index(9.1, 2.1, 0.1)] == 50


def test_hit_wins_over_rays_of_other_scans(tmp_path):
    truth = aggregate(make_sequence(tmp_path, [[(6.1, 0.1, 0.1, 80)], [(9.1, 0.1, 0.1, 50)]]), "000000", grid=GRID)
    assert truth.labels[index(6.1, 0.1, 0.1)] == 80


def test_frame_without_labels_is_refused(tiny_sequence):
    (tiny_sequence.path / "labels/000001.label").unlink()
    with pytest.raises(DataError, match=r"labels/000001\.label: missing"):
        aggregate(tiny_sequence, "000001", grid=GRID)


def test_output_is_a_complete_data_set(tiny_sequence, tmp_path):
    assert list(write_ground_truth(tiny_sequence, tmp_path / "out", every=2)) == [("000000", True), ("000002", True)]
    made = Sequence(tmp_path / "out/sequences/90")
    assert made.calibration.key == tiny_sequence.calibration.key and len(made.scan("000001"))
    labels = made.voxel_labels("000002")
    assert {9, 13} <= set(np.unique(labels)) <= {0, 9, 13, 255} and not made.has_voxels("000001")


def test_several_processes_write_the_same_files(tiny_sequence, tmp_path):
    frames = [list(write_ground_truth(tiny_sequence, tmp_path / str(n), workers=n)) for n in (1, 2)]
    assert frames[0] == frames[1] == [(frame, True) for frame in tiny_sequence.frames]
    one, two = (
        {path.name: path.read_bytes() for path in (tmp_path / n / "sequences/90/voxels").iterdir()} for n in ("1", "2")
    )
    assert len(one) == 4 * len(tiny_sequence.frames) and one == two


def test_error_of_a_process_names_the_file_in_one_line(tiny_sequence, tmp_path):
    (tiny_sequence.path / "labels/000001.label").write_bytes(b"half")
    with pytest.raises(DataError, match=r"^\S*labels/00000\d\.label: 4 bytes; expected [^\n]*$"):
        list(write_ground_truth(tiny_sequence, tmp_path / "out", workers=2))


def test_existing_voxel_files_stay_unless_forced(tiny_sequence):
    writer = SequenceWriter(tiny_sequence.path.parents[1], "90")
    writer.write_voxels("000000", invalid=np.ones((256, 256, 32)))
    before = (tiny_sequence.path / "voxels/000000.invalid").read_bytes()
    assert next(write_ground_truth(tiny_sequence)) == ("000000", False)
    assert (tiny_sequence.path / "voxels/000000.invalid").read_bytes() == before
    assert next(write_ground_truth(tiny_sequence, force=True)) == ("000000", True)
    assert tiny_sequence.has_voxels("000000")
    assert (tiny_sequence.path / "voxels/000000.invalid").read_bytes() != before


def test_real_truth_agrees_with_the_official_files(real_data):
    sequence = Sequence(real_data / "sequences/00")
    truth = aggregate(sequence, "000005")
    known = np.s_[..., :31]  # the files' top slice is unknown
    official = {
        kind: sequence.voxel_bits("000005", kind).astype(bool)[known] for kind in ("bin", "invalid", "occluded")
    }

    def iou(a, b):
        return (a & b).sum() / (a | b).sum()

    assert iou(truth.occupied[known], official["bin"]) > 0.97
    assert iou(truth.occluded[known], official["occluded"]) > 0.7
    # Made from the whole drive the official truth knows more: nearly all it calls invalid is so here.
    assert (truth.invalid[known] & official["invalid"]).sum() > 0.9 * official["invalid"].sum()
    assert (truth.labels > 0).sum() > 2 * truth.occupied.sum()


def test_road_between_two_returns_is_unknown_though_rays_graze_it(tmp_path):
    road = [(x, 0.1, -1.73, 40) for x in (10.0, 10.5, 11.05)]
    truth = aggregate(make_sequence(tmp_path, [road]), "000000", grid=GRID)
    between = index(10.3, 0.1, -1.73)
    assert truth.labels[between] == 0 and truth.invalid[between]
    assert truth.labels[index(10.5, 0.1, -1.73)] == 40 and not truth.invalid[index(10.5, 0.1, -1.73)]
    assert not truth.invalid[index(9.0, 0.1, -1.5)]
