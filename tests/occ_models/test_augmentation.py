"""What each augmentation does to a constructed picture or cloud, and which level holds it."""

import colorsys
from dataclasses import fields

import cv2
import numpy as np
import pytest

from occ_models.augmentation import (
    APPEARANCE,
    CAMERA,
    NONE,
    AugmentationConfig,
    change_appearance,
    cut_out,
    points_per_voxel,
    rigid,
    thin_cloud,
)
from occ_models.occle.augmentation import STUDENT, SUPERVISED, TEACHER
from occ_models.weather import fog, line_kernel, rain, snow

LEVELS = {
    "none": NONE,
    "supervised": SUPERVISED,
    "teacher": TEACHER,
    **STUDENT,
    "camera": CAMERA,
    "appearance": APPEARANCE,
}
SEEDS = range(20)


def rng(seed=0):
    return np.random.default_rng(seed)


def noise(low=0, high=256, shape=(46, 152, 3)):
    return rng(1).integers(low, high, shape, np.uint8)


def cloud(n=2000):
    return rng(2).uniform(-50, 50, (n, 4)).astype(np.float32)


def appearance(image, seed=0, **magnitudes):
    return change_appearance(image, rng(seed), AugmentationConfig(**magnitudes))


def changed_fields(config):
    return {f.name for f in fields(config) if getattr(config, f.name) != f.default}


# Levels


def test_no_augmentation_changes_nothing():
    image, points = noise(), cloud()
    thinned, kept = thin_cloud(points, rng(), NONE)
    assert rigid(rng(), NONE) is None
    np.testing.assert_array_equal(change_appearance(image, rng(), NONE), image)
    np.testing.assert_array_equal(np.sort(kept), np.arange(len(points)))
    np.testing.assert_array_equal(thinned, points[kept])
    assert points_per_voxel(rng(), NONE, 35) == 35


# Table 1 without LiDAR voxelisation sampling, which is the voxelizer's own draw for the teacher.
OPERATIONS = {
    "brightness": {"brightness", "contrast"},
    "HSV": {"hue", "saturation", "value"},
    "motion blur": {"blur_p", "blur"},
    "weather": {"weather_p"},
    "cutout": {"cutout_p", "cutout", "cutout_boxes"},
    "point dropout": {"dropout_p", "dropout"},
}
SCENE = {"mirror_p", "turn_p", "turn_degrees", "shift_z"}


@pytest.mark.parametrize(
    "level, ticks",
    [
        ("teacher", {"brightness", "HSV", "point dropout"}),
        ("weak", {"brightness", "HSV", "point dropout"}),
        ("middle", {"brightness", "HSV", "point dropout", "motion blur", "weather"}),
        ("strong", {"brightness", "HSV", "point dropout", "motion blur", "weather", "cutout"}),
    ],
)
def test_level_holds_the_operations_that_table_1_ticks(level, ticks):
    expected = SCENE.union(*(OPERATIONS[name] for name in ticks))
    assert changed_fields(LEVELS[level]) - {"voxel_points"} == expected


@pytest.mark.parametrize("level, least", [("teacher", 35), ("weak", 5), ("middle", 5), ("strong", 5)])
def test_level_keeps_at_least_so_many_of_35_points_a_voxel(level, least):
    assert min(points_per_voxel(rng(seed), LEVELS[level], 35) for seed in range(400)) == least


@pytest.mark.parametrize("lower, higher", [("weak", "middle"), ("middle", "strong")])
def test_student_levels_are_cumulative(lower, higher):
    for name in changed_fields(LEVELS[lower]):
        assert getattr(LEVELS[higher], name) == getattr(LEVELS[lower], name), name
    assert changed_fields(LEVELS[lower]) < changed_fields(LEVELS[higher])


@pytest.mark.parametrize("level", LEVELS)
def test_same_seed_same_sample_and_inputs_stay(level):
    config, image, points = LEVELS[level], noise(), cloud()
    image.flags.writeable = points.flags.writeable = False
    for seed in SEEDS:
        once, again = (change_appearance(image, rng(seed), config) for _ in range(2))
        assert once.shape == image.shape and once.dtype == np.uint8
        np.testing.assert_array_equal(once, again)
        for a, b in zip(thin_cloud(points, rng(seed), config), thin_cloud(points, rng(seed), config), strict=True):
            np.testing.assert_array_equal(a, b)


# Cloud


def test_dropout_loses_at_most_its_share_and_sometimes_nothing():
    config = AugmentationConfig(dropout_p=0.5, dropout=0.3)
    lost = np.array([1 - len(thin_cloud(cloud(), rng(seed), config)[1]) / 2000 for seed in range(200)])
    assert lost.max() <= 0.3 and lost.max() > 0.25
    assert 0.35 < (lost == 0).mean() < 0.65


def test_kept_indices_point_to_the_points_in_random_order():
    points = cloud()
    thinned, kept = thin_cloud(points, rng(), AugmentationConfig(dropout_p=1, dropout=0.5))
    assert 1000 <= len(kept) < 2000 and len(np.unique(kept)) == len(kept)
    assert (np.diff(kept) < 0).any()
    np.testing.assert_array_equal(thinned, points[kept])


def test_jitter_moves_positions_and_gain_scales_intensities():
    points = cloud()
    thinned, kept = thin_cloud(points, rng(), AugmentationConfig(jitter=0.01, intensity_gain=0.3))
    assert (thinned[:, :3] - points[kept, :3]).std() == pytest.approx(0.01, rel=0.1)
    gain = thinned[:, 3] / points[kept, 3]
    assert gain.std() < 1e-5 and np.exp(-0.3) <= gain[0] <= np.exp(0.3) and gain[0] != 1


def test_empty_cloud_stays_empty():
    thinned, kept = thin_cloud(np.zeros((0, 4), np.float32), rng(), LEVELS["strong"])
    assert thinned.shape == (0, 4) and kept.shape == (0,)


@pytest.mark.parametrize("share, most, numbers", [(1.0, 5, {5}), (0.5, 4, {2, 3, 4}), (0.0, 3, {1, 2, 3})])
def test_points_per_voxel_are_drawn_between_the_share_and_all(share, most, numbers):
    config = AugmentationConfig(voxel_points=share)
    assert {points_per_voxel(rng(seed), config, most) for seed in range(100)} == numbers


# Colours, on values that no draw brings to 0 or 255


def test_contrast_stretches_around_the_middle_and_brightness_shifts():
    image = noise(100, 156)
    away = image.astype(float) - 128
    for seed in SEEDS:
        stretched = appearance(image, seed, contrast=0.4).astype(float) - 128
        factor = (stretched * away).sum() / (away * away).sum()
        assert 0.59 < factor < 1.41 and np.abs(stretched - factor * away).max() < 1.5
        shift = appearance(image, seed, brightness=0.4).astype(float) - image
        assert np.ptp(shift) <= 1 and abs(shift.mean()) < 0.4 * 128 + 1


def test_value_is_one_factor_for_all_pixels():
    image = noise(20, 180)
    factors = []
    for seed in SEEDS:
        scaled = appearance(image, seed, value=0.4).astype(float)
        factors.append(scaled.sum() / image.sum())
        assert np.abs(scaled - factors[-1] * image).max() < 1.5
    assert 0.6 < min(factors) < 0.8 and 1.2 < max(factors) < 1.4


def test_saturation_moves_colours_from_or_to_their_grey():
    image = noise(80, 176)
    grey = image.mean(2, keepdims=True)
    factors = []
    for seed in SEEDS:
        away = appearance(image, seed, saturation=0.4) - grey
        factors.append((away * (image - grey)).sum() / ((image - grey) ** 2).sum())
        assert np.abs(away - factors[-1] * (image - grey)).max() < 1.5
    assert 0.59 < min(factors) < 0.8 and 1.2 < max(factors) < 1.41


@pytest.mark.parametrize("colour", [(180, 60, 60), (60, 150, 90), (70, 90, 200), (190, 170, 40)])
def test_hue_turns_every_colour_by_the_same_bounded_angle(colour):
    image = np.full((4, 4, 3), colour, np.uint8)
    turns = []
    for seed in range(100):
        turned = appearance(image, seed, hue=18)[0, 0]
        assert turned.mean() == pytest.approx(np.mean(colour), abs=1)
        old, new = (360 * colorsys.rgb_to_hsv(*(c / 255 for c in rgb))[0] for rgb in (colour, turned.tolist()))
        turns.append((new - old + 180) % 360 - 180)
    # The hue of HSV is piecewise linear: over a true angle it gains or loses up to two degrees.
    assert -21 < min(turns) < -14 and 14 < max(turns) < 21


@pytest.mark.parametrize("level", ["supervised", "teacher", "weak"])
def test_grey_stays_grey(level):
    image = np.repeat(noise()[..., :1], 3, 2)
    for seed in SEEDS:
        assert np.ptp(change_appearance(image, rng(seed), LEVELS[level]).astype(int), axis=2).max() <= 1


# Clarity and regions


def gradient_energy(image):
    return sum(float((np.diff(image.astype(float), axis=axis) ** 2).mean()) for axis in (0, 1))


def test_motion_blur_takes_detail_and_keeps_brightness():
    image = noise()
    for seed in SEEDS:
        blurred = appearance(image, seed, blur_p=1, blur=(25, 75))
        assert gradient_energy(blurred) < 0.7 * gradient_energy(image)
        assert blurred.mean() == pytest.approx(image.mean(), abs=2)


def test_motion_blur_runs_along_one_direction():
    kernel = line_kernel(9, 0)
    assert kernel[len(kernel) // 2].sum() == kernel.sum() == 9
    np.testing.assert_allclose(line_kernel(9, 90), kernel.T, atol=1e-6)


def test_blur_scales_with_the_image_width():
    half, full = (appearance(noise(shape=(60, width, 3)), 3, blur_p=1, blur=(8, 8)) for width in (155, 1242))
    assert gradient_energy(half) > 2 * gradient_energy(full)


def test_fog_whitens_the_top_more_than_the_bottom():
    image = noise(0, 120)
    for seed in SEEDS:
        gain = (fog(image, rng(seed)).astype(float) - image).mean((1, 2))
        assert gain[:23].min() > 1.5 * gain[-5:].max() > 0


def test_rain_is_bright_streaks_over_a_dimmed_scene():
    image = np.full((184, 608, 3), 100, np.uint8)
    for seed in SEEDS:
        rainy = rain(image, rng(seed))[..., 0].astype(float)
        assert np.median(rainy) < 100 and rainy.max() > 110
        bright = rainy > 105
        assert 0.005 < bright.mean() < 0.4
        # Streaks are longer than wide: a bright pixel's neighbour above or below is bright more often than beside it.
        assert (bright[1:] & bright[:-1]).sum() > 1.5 * (bright[:, 1:] & bright[:, :-1]).sum()


def test_snow_is_bright_flakes_of_several_sizes_over_a_whitened_scene():
    image = np.full((376, 1242, 3), 100, np.uint8)
    for seed in range(5):
        snowy = snow(image, rng(seed))[..., 0]
        assert 100 < np.median(snowy) < 140 and snowy.max() > 200
        flakes = (snowy > np.median(snowy) + 30).astype(np.uint8)
        areas = cv2.connectedComponentsWithStats(flakes)[2][1:, cv2.CC_STAT_AREA]
        assert 0.005 < flakes.mean() < 0.2 and areas.max() > 5 * np.median(areas)


def test_weather_is_any_of_the_three():
    drawn = set()
    for seed in range(20):
        changed = appearance(np.full((184, 608, 3), 100, np.uint8), seed, weather_p=1)
        if (changed == changed[:, :1]).all():
            drawn.add("fog")
        else:
            drawn.add("rain" if np.median(changed) < 100 else "snow")
    assert drawn == {"rain", "fog", "snow"}


@pytest.mark.parametrize("boxes", [1, 4])
def test_cutout_fills_its_share_of_the_area_and_nothing_else(boxes):
    image = noise(shape=(184, 608, 3))
    image[..., 0] //= 2  # a mean colour that tells the channels apart
    shares = []
    for seed in range(60):
        cut = appearance(image, seed, cutout_p=1, cutout=(0.02, 0.2), cutout_boxes=boxes)
        changed = (cut != image).any(2)
        shares.append(changed.mean())
        assert np.abs(cut[changed].astype(float) - image.mean((0, 1))).max() <= 1
    assert 0.018 < min(shares) < 0.05 and 0.17 < max(shares) < 0.205


def test_cutout_region_is_a_box():
    image = noise(shape=(184, 608, 3))
    image.flags.writeable = False
    cut = cut_out(image, 0.1, 1, rng())
    rows, columns = np.nonzero((cut != image).any(2))
    box = cut[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert (box == box[0, 0]).all()
