"""Frames of a drive as network inputs and targets."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from occ_core import IGNORE, KITTI_GRID, Calibration, Grid  # noqa: E402
from occ_core.labels import downscale_labels  # noqa: E402
from occ_core.lifting import lifting_table  # noqa: E402
from occ_core.taxonomy import raw_from_classes  # noqa: E402
from occ_data import DataError, Sequence  # noqa: E402
from occ_data.kitti import write_bits, write_grid, write_png, write_voxel_labels  # noqa: E402
from occ_models.augmentation import AugmentationConfig, transform_labels  # noqa: E402
from occ_models.config import load_config  # noqa: E402
from occ_models.data import (  # noqa: E402
    FrameDataset,
    classes_at,
    collate,
    points_in_reach,
    resized,
)
from occ_models.frame_cache import FrameCache  # noqa: E402
from occ_models.frames import check_frames, frames_of  # noqa: E402
from occ_models.occle.augmentation import STRONG  # noqa: E402
from occ_models.occle.config import OccLEConfig  # noqa: E402
from occ_models.targets import CERTAIN  # noqa: E402

from ..moved import MOVES, off_the_edges, share_equal, write_moved  # noqa: E402
from .conftest import P2, PICO, ROAD, TR, UNKNOWN, WALL  # noqa: E402

CONFIG = load_config(PICO, OccLEConfig)
COARSE = CONFIG.preprocess.grid.coarsen(CONFIG.preprocess.lifting_factor)


def data_set(folder, config=CONFIG, share=1.0, frames=1, **more):
    drives = [Sequence(folder)]
    return FrameDataset(frames_of(drives, share, unlabelled_every=1), replace(config, frames=frames), **more)


# Targets


def test_a_sample_holds_the_promised_targets(sequence):
    sample = data_set(sequence)[0]
    assert sample["labels"].shape == (1, 256, 256, 32) and sample["geometry"].shape == (1, 32, 32, 4)
    assert sample["labels_3d"].shape == (1, 32, 32, 4) and sample["labels_2d"].shape == (1, 6, 19)
    for name in ("labels", "geometry", "labels_3d", "labels_2d"):
        assert sample[name].dtype == torch.uint8
    assert sample["labelled"].tolist() == [True] and sample["name"] == "00/000000"
    labels = Sequence(sequence).voxel_labels("000000")
    np.testing.assert_array_equal(sample["labels"][0], labels)
    coarse = downscale_labels(labels, CONFIG.preprocess.lifting_factor)
    np.testing.assert_array_equal(sample["geometry"][0], np.where(coarse == IGNORE, IGNORE, coarse > 0))


def test_withheld_labels_are_all_ignored(sequence):
    data = data_set(sequence, share=0.5)
    for item, frame in enumerate(data.frames):
        sample = data[item]
        for name in ("labels", "geometry"):
            assert (sample[name] != IGNORE).any() == frame.labelled
        assert sample["labelled"].item() == frame.labelled
        assert (sample["labels_2d"] != IGNORE).any()


def test_classes_of_the_image_are_those_of_the_points(sequence):
    sample = data_set(sequence, image_labels="points")[0]
    assert set(sample["labels_2d"].unique().tolist()) == {ROAD, WALL, IGNORE}
    assert set(sample["labels_3d"].unique().tolist()) == {ROAD, WALL, IGNORE}


def test_classes_of_the_points_are_those_of_the_pseudo_labels_where_the_image_sees_them(sequence):
    sample = data_set(sequence, image_labels="pseudo_labels")[0]
    # Centres of six rows of cells: above a quarter of the image unknown, then wall, in the lower half road.
    assert sample["labels_2d"][0, :, 9].tolist() == [UNKNOWN, WALL, WALL, ROAD, ROAD, ROAD]
    road, lidar = (sample["labels_3d"][0] == ROAD).numpy(), Sequence(sequence)
    assert road.any()
    in_view = lifting_table(COARSE, lidar.calibration).in_view
    beside = np.zeros(COARSE.shape, bool)
    for shift in np.ndindex(3, 3, 3):
        beside |= np.roll(in_view, np.array(shift) - 1, (0, 1, 2))
    assert (beside | ~road).all()
    behind = data_set(sequence, image_labels="points")[0]["labels_3d"][0].numpy() != IGNORE
    assert (behind & ~beside).any()


def test_auto_takes_pixels_from_class_maps_and_points_from_their_labels(copy):
    """Points behind the camera have a class by their labels only, pixels without a point by the class map only."""
    with_both, points, maps = (data_set(copy, image_labels=kind)[0] for kind in ("auto", "points", "pseudo_labels"))
    assert torch.equal(with_both["labels_3d"], points["labels_3d"])
    assert torch.equal(with_both["labels_2d"], maps["labels_2d"])
    assert not torch.equal(points["labels_2d"], maps["labels_2d"])
    assert not torch.equal(points["labels_3d"], maps["labels_3d"])
    shutil.move(copy / "pseudo_labels", copy / "pixel_labels")  # as a synthetic drive's exact ones are named
    assert torch.equal(data_set(copy, image_labels="auto")[0]["labels_2d"], maps["labels_2d"])
    shutil.rmtree(copy / "pixel_labels")
    without_maps = data_set(copy, image_labels="auto")[0]
    assert all(torch.equal(without_maps[name], points[name]) for name in ("labels_2d", "labels_3d"))
    check_frames(frames_of([Sequence(copy)]), "auto")
    (copy / "labels" / "000001.label").unlink()
    with pytest.raises(DataError, match="frame 000001 has neither pseudo labels nor labels of points"):
        check_frames(frames_of([Sequence(copy)]), "auto")


def test_without_image_labels_nothing_is_known_of_pixels_and_points(sequence):
    sample = data_set(sequence, image_labels=None)[0]
    assert (sample["labels_2d"] == IGNORE).all() and (sample["labels_3d"] == IGNORE).all()


def test_a_pixel_gives_its_class_to_the_points_that_fall_on_it():
    pixels = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    uv = np.array([[0, 0], [1.4, 0.6], [2.49, -0.49], [2.51, 0], [0, -0.51], [np.nan, 0], [1e30, 0]])
    assert classes_at(pixels, uv).tolist() == [1, 5, 3, IGNORE, IGNORE, IGNORE, IGNORE]


def test_pseudo_labels_of_another_size_are_refused(copy):
    path = copy / "pseudo_labels" / "000002.png"
    write_png(path, np.zeros((60, 150), np.uint8))
    with pytest.raises(DataError, match=r"frame 000002 have shape \(60, 150\); expected \(120, 300\), that of"):
        data_set(copy, image_labels="pseudo_labels")[2]


def test_an_image_that_cannot_be_read_is_named(copy):
    path = copy / "image_2" / "000001.png"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DataError, match=r"image_2/000001\.png: not a whole PNG"):
        data_set(copy)[1]


def test_a_coarser_grid_has_coarser_labels(sequence):
    config = load_config("pico", OccLEConfig)
    assert config.preprocess.grid == KITTI_GRID.coarsen(2)
    sample = data_set(sequence, config)[0]
    labels = downscale_labels(Sequence(sequence).voxel_labels("000000"), 2)
    np.testing.assert_array_equal(sample["labels"][0], labels)
    assert sample["occupancy"].shape == (1, 128, 128, 16) and sample["geometry"].shape == (1, 32, 32, 4)


def test_labels_are_for_the_scene_box_alone(sequence):
    grid = Grid((256, 256, 32), 0.2, (0.0, -25.6, -3.0))
    config = replace(CONFIG, preprocess=replace(CONFIG.preprocess, grid=grid))
    with pytest.raises(ValueError, match="grid: the voxel labels of 00 are for"):
        data_set(sequence, config)[0]


def test_a_grid_of_another_place_and_size_has_its_own_labels(copy):
    """Labels on a grid that the drive names, mirrored about the middle of that grid."""
    grid = Grid((128, 64, 32), 0.4, (2.0, -5.0, -2.0))
    write_grid(copy / "voxels", grid)
    rng, config = np.random.default_rng(0), replace(CONFIG, preprocess=replace(CONFIG.preprocess, grid=grid))
    written = rng.choice(np.array([0, ROAD, WALL], np.uint8), grid.shape)
    for frame in Sequence(copy).frames:
        write_voxel_labels(copy / "voxels" / f"{frame}.label", raw_from_classes(written))
        (copy / "voxels" / f"{frame}.invalid").unlink()
        write_bits(copy / "voxels" / f"{frame}.invalid", np.zeros(grid.shape, np.uint8))
    plain = data_set(copy, config)[0]
    np.testing.assert_array_equal(plain["labels"][0], written)
    mirrored = data_set(copy, config, augmentation=AugmentationConfig(mirror_p=1.0))[0]
    assert torch.equal(mirrored["labels"], plain["labels"].flip(2))
    hits, mirrored_hits = (sample["occupancy"][0].bool() for sample in (plain, mirrored))
    assert hits.sum() > 300 and (hits.flip(1) & mirrored_hits).sum() > 0.99 * hits.sum()


@pytest.mark.parametrize("grid", [KITTI_GRID, Grid((64, 64, 16), 0.5, (-8.0, -16.0, -1.0))])
def test_points_in_reach_include_those_that_a_turn_brings_into_the_grid(grid):
    low, high = points_in_reach(grid)
    corners = np.array(list(np.ndindex(2, 2, 2))) * grid.voxel_size * np.array(grid.shape) + grid.origin
    for degrees in (-15, 0, 15):
        angle = np.radians(degrees)
        turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        turned = corners @ turn.T
        assert (turned > low - 1e-9).all() and (turned < high + 1e-9).all()


# Augmentation


def test_an_augmented_sample_keeps_points_and_labels_together(sequence):
    always = AugmentationConfig(mirror_p=1.0, turn_p=1.0, turn_degrees=15.0)
    sample = data_set(sequence, augmentation=always)[0]
    hits, labels = sample["occupancy"][0].numpy() > 0, sample["labels"][0].numpy()
    grown = np.zeros_like(hits)
    occupied = (labels > 0) & (labels != IGNORE)
    for shift in np.ndindex(3, 3, 3):
        grown |= np.roll(occupied, np.array(shift) - 1, (0, 1, 2))
    assert (hits & grown & (labels != IGNORE)).sum() > 0.95 * (hits & (labels != IGNORE)).sum()


def test_a_mirrored_sample_is_mirrored_in_every_part(sequence):
    plain = data_set(sequence)[0]
    mirrored = data_set(sequence, augmentation=AugmentationConfig(mirror_p=1.0))[0]
    for name in ("labels", "geometry"):
        assert torch.equal(mirrored[name], plain[name].flip(2))
    assert torch.equal(mirrored["labels_2d"], plain["labels_2d"].flip(2))
    assert torch.equal(mirrored["image"], plain["image"].flip(3))
    differing = (mirrored["labels_3d"] != plain["labels_3d"].flip(2)).float().mean()
    assert differing < 0.01  # points on the border of two voxels
    before = plain["lifting"].reshape(*COARSE.shape, 2)
    after = mirrored["lifting"].reshape(*COARSE.shape, 2).flip(1)
    seen = before[..., 0] >= -1
    torch.testing.assert_close(after[..., 0], torch.where(seen, -before[..., 0], before[..., 0]))
    assert torch.equal(after[..., 1], before[..., 1])


def test_the_number_of_the_draw_decides_the_augmentation(sequence):
    from occ_models.sampling import Draw

    data = data_set(sequence, augmentation=STRONG)
    first, again, other = (data[Draw(0, number)] for number in (4, 4, 5))
    assert all(torch.equal(first[name], again[name]) for name in first if name != "name")
    assert not torch.equal(first["voxels"], other["voxels"])


def test_labels_turned_there_and_back_agree():
    labels = np.zeros(KITTI_GRID.shape, np.uint8)
    labels[50:200, 60:180, 4:6] = 9
    T = np.eye(4)
    T[:2, :2] = [[np.cos(0.2), -np.sin(0.2)], [np.sin(0.2), np.cos(0.2)]]
    back = transform_labels(transform_labels(labels, KITTI_GRID, T), KITTI_GRID, np.linalg.inv(T))
    known = back != IGNORE
    assert (back[known] == labels[known]).mean() > 0.995


def test_resized_calibration_sees_the_same_normalised_place():
    calibration = Calibration(P2, np.vstack([TR, (0, 0, 0, 1)]), (300, 120))
    point = np.array([[20.0, 1.0, 0.3]])
    full, half = calibration.project(point)[0], resized(calibration, (150, 60)).project(point)[0]
    np.testing.assert_allclose((full + 0.5) / (300, 120), (half + 0.5) / (150, 60))


# Several frames


def remissions(sample, moment, past):
    """The remission of the points that a moment's voxels hold."""
    rows = len(sample["voxel_counts"]) // past
    voxels, counts = (sample[name][moment * rows : (moment + 1) * rows] for name in ("voxels", "voxel_counts"))
    return np.unique(
        voxels[torch.arange(voxels.shape[1]) < counts.unsqueeze(1)][:, 3].numpy().astype(float).round(4)
    ).tolist()


def test_earlier_clouds_lie_in_the_current_frames_coordinates(sequence):
    sample = data_set(sequence, frames=3)[3]
    assert [remissions(sample, n, 3) for n in range(3)] == [[0.5], [0.4], [0.3]]  # the frame, and then those before it
    # Every frame has the same points of a static world: in one frame's coordinates they are in the same voxels.
    now, *before = sample["occupancy"].numpy().astype(bool)
    assert now.sum() > 1000
    for then in before:
        assert (now & then).sum() > 0.99 * (now | then).sum()


def test_earlier_lifting_says_where_the_earlier_camera_saw_the_current_voxels(sequence):
    sample = data_set(sequence, frames=3)[3]
    calibration = Sequence(sequence).calibration
    for n in range(3):
        forward = np.eye(4)
        forward[0, 3] = n  # a voxel ahead was n metres further away then
        then = Calibration(calibration.P, calibration.T_cam_lidar @ forward, calibration.image_size)
        expected = lifting_table(COARSE, resized(then, CONFIG.preprocess.image_size)).coordinates
        np.testing.assert_allclose(sample["lifting"][n], expected, atol=1e-4)


@pytest.mark.parametrize("move", MOVES)
def test_another_mounting_with_its_rig_gives_the_same_sample(sequence, tmp_path, move):
    base = off_the_edges(Sequence(sequence), tmp_path / "base")
    moved = write_moved(base, tmp_path / "moved", MOVES[move])
    one, other = (data_set(drive.path, frames=3)[3] for drive in (base, moved))
    assert torch.equal(one["labels"], other["labels"]) and torch.equal(one["image"], other["image"])
    for name in ("occupancy", "labels_2d", "labels_3d", "true_depth"):
        same = np.isclose(one[name].numpy(), other[name].numpy(), atol=1e-3)
        assert same.mean() > 0.995, name
    assert share_equal(one["occupancy"].numpy(), other["occupancy"].numpy()) > 0.99
    torch.testing.assert_close(one["lifting"], other["lifting"], atol=1e-4, rtol=0)


def test_the_first_frame_repeats_itself(sequence):
    first, second = (data_set(sequence, frames=3)[n] for n in (0, 1))
    assert [remissions(first, n, 3) for n in range(3)] == [[0.2], [0.2], [0.2]]
    assert [remissions(second, n, 3) for n in range(3)] == [[0.3], [0.2], [0.2]]
    for name in ("image", "lifting", "occupancy"):
        assert torch.equal(first[name][0], first[name][2])
        assert torch.equal(second[name][1], second[name][2])


def test_targets_are_the_current_frames_alone(sequence):
    one, three = (data_set(sequence, frames=frames)[2] for frames in (1, 3))
    for name in ("labels", "geometry", "labels_2d", "labels_3d", "labelled"):
        assert torch.equal(one[name], three[name])
    assert torch.equal(one["occupancy"], three["occupancy"][:1])
    assert three["image"].shape[0] == three["lifting"].shape[0] == 3


@pytest.mark.parametrize("past", [1, 3])
def test_collated_tables_point_into_their_own_rows(sequence, past):
    data = data_set(sequence, frames=past)
    samples = [data[n] for n in (1, 3)]
    alone = [
        (table, voxels)
        for s in samples
        for table, voxels in zip(s["voxel_table"].clone(), s["voxels"].chunk(past), strict=True)
    ]
    batch = collate(samples)
    assert batch["name"] == ["00/000001", "00/000003"]
    assert batch["voxel_table"].shape[0] == batch["image"].shape[0] == 2 * past and batch["labels"].shape[0] == 2
    for table, (own_table, own_voxels) in zip(batch["voxel_table"], alone, strict=True):
        assert torch.equal(batch["voxels"][table], own_voxels[own_table])


# The cache


def test_data_sets_share_what_one_of_them_has_read(sequence, copy):
    cache = FrameCache(1.0)
    before = data_set(copy, cache=cache)[1]
    for name in ("image_2", "velodyne", "labels", "voxels"):
        for path in (copy / name).glob("000001.*"):
            path.write_bytes(b"")
    again = data_set(copy, cache=cache)[1]
    assert all(torch.equal(before[name], again[name]) for name in before if name != "name")
    with pytest.raises(DataError):
        data_set(copy)[1]


# Rules on constructed arrays


def test_teacher_labels_of_a_frame_move_with_it(sequence, tmp_path):
    probabilities = np.zeros(COARSE.shape, np.uint8)
    probabilities[:, :16] = CERTAIN
    probabilities[0, 0] = CERTAIN // 2
    path = tmp_path / "000000.png"
    write_png(path, probabilities.reshape(len(probabilities), -1))
    frames = [frame._replace(occupied=path) for frame in frames_of([Sequence(sequence)], 0.0)]
    plain = FrameDataset(frames, CONFIG)[0]["geometry"][0]
    assert (plain[1:, :16] == 1).all() and (plain[:, 16:] == 0).all() and (plain[0, 0] == IGNORE).all()
    mirrored = FrameDataset(frames, CONFIG, AugmentationConfig(mirror_p=1.0))[0]
    assert torch.equal(mirrored["geometry"][0], plain.flip(1))
