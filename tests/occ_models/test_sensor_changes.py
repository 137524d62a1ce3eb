"""Frames as other sensors would give them: fewer rings, other intensities, a failed sensor, a part of the image."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from occ_core import IGNORE  # noqa: E402
from occ_data.kitti import Sequence  # noqa: E402
from occ_models.augmentation import (  # noqa: E402
    NONE,
    AugmentationConfig,
    Failure,
    change_appearance,
    draw_failure,
    kept_rings,
    thin_cloud,
)
from occ_models.config import ConfigError, from_dict, load_config  # noqa: E402
from occ_models.data import FrameDataset, inputs_of  # noqa: E402
from occ_models.frames import frames_of  # noqa: E402
from occ_models.monoocc.config import MonoOccConfig  # noqa: E402
from occ_models.monoocc.recipe import MonoOccRecipe  # noqa: E402
from occ_models.occle.augmentation import augmentation_of  # noqa: E402
from occ_models.occle.config import OccLEConfig  # noqa: E402
from occ_models.occle.model import OccLE  # noqa: E402
from occ_models.occle.recipe import OccLERecipe  # noqa: E402
from occ_models.recipe import augmented, load_recipe, network_of  # noqa: E402
from occ_models.sampling import Draw  # noqa: E402
from occ_models.zoom import Window, draw_window, zoom_calibration, zoom_image, zoom_map  # noqa: E402

CONFIG = load_config(Path(__file__).parent / "pico.yaml", OccLEConfig)
MONO = load_config(Path(__file__).parent / "mono_pico.yaml", MonoOccConfig)
RECIPES = (OccLERecipe, MonoOccRecipe)


def rng(seed=0):
    return np.random.default_rng(seed)


def rings(number=64, columns=100):
    """A scan of rings from -25 to 2 degrees, all 20 m away, and the ring of each point."""
    elevation, azimuth = np.radians(np.linspace(-25, 2, number)), np.linspace(0, 2 * np.pi, columns, endpoint=False)
    e, a = (grid.ravel() for grid in np.meshgrid(elevation, azimuth, indexing="ij"))
    points = 20 * np.stack([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e), np.zeros_like(e)], 1)
    return points.astype(np.float32), np.repeat(np.arange(number), columns)


def data_set(sequence, config=CONFIG, **magnitudes):
    frames = frames_of([Sequence(sequence)])
    return FrameDataset(frames, config, AugmentationConfig(**magnitudes), image_labels="pseudo_labels")


# Rings


def test_fewer_rings_are_whole_rings_a_half_or_a_quarter_of_them():
    points, ring = rings()
    kept_shares = []
    for seed in range(60):
        kept = kept_rings(points, np.eye(4), rng(seed), AugmentationConfig(rings_p=1.0))
        counts = np.bincount(ring[kept], minlength=64)
        assert set(counts.tolist()) <= {0, 100}
        kept_shares.append((counts > 0).mean())
    assert np.mean(kept_shares) == pytest.approx(0.375, abs=0.06)


def test_rings_are_those_of_a_tilted_lidar():
    points, ring = rings()
    T = np.eye(4)
    T[:3, :3] = [[np.cos(0.3), 0, -np.sin(0.3)], [0, 1, 0], [np.sin(0.3), 0, np.cos(0.3)]]
    T[2, 3] = 1.2
    moved = points.copy()
    moved[:, :3] = points[:, :3] @ T[:3, :3].T + T[:3, 3]
    config = AugmentationConfig(rings_p=1.0)
    for seed in range(10):
        counts = np.bincount(ring[kept_rings(moved, np.linalg.inv(T), rng(seed), config)], minlength=64)
        assert (np.minimum(counts, 100 - counts) < 5).mean() > 0.9  # but for rings on the border of two bins


def test_rings_are_dropped_in_their_share_of_the_frames():
    points, _ = rings(16, 10)
    config = AugmentationConfig(rings_p=0.3)
    whole = [len(kept_rings(points, np.eye(4), rng(seed), config)) == len(points) for seed in range(400)]
    assert np.mean(whole) == pytest.approx(0.7, abs=0.07)
    assert kept_rings(points[:0], np.eye(4), rng(), AugmentationConfig(rings_p=1.0)).shape == (0,)


# Intensity


def test_without_intensity_all_points_have_one_value_which_is_often_zero():
    points = rng().uniform(0, 1, (500, 4)).astype(np.float32)
    values = []
    for seed in range(200):
        changed, _ = thin_cloud(points, rng(seed), AugmentationConfig(no_intensity_p=0.5))
        if np.ptp(changed[:, 3]) == 0:
            values.append(changed[0, 3])
    assert len(values) == pytest.approx(100, abs=25)
    assert np.mean(np.array(values) == 0) == pytest.approx(0.5, abs=0.17) and 0 <= min(values) <= max(values) <= 1


def test_gamma_and_offset_keep_the_order_of_intensities():
    points = rng().uniform(0.2, 0.8, (500, 4)).astype(np.float32)
    for name, bound in (("intensity_gamma", 0.5), ("intensity_offset", 0.15)):
        changes = []
        for seed in range(20):
            changed, kept = thin_cloud(points, rng(seed), AugmentationConfig(**{name: bound}))
            before, after = points[kept, 3], changed[:, 3]
            order = np.argsort(before)
            assert (np.diff(after[order]) >= 0).all() and after.min() >= 0 and after.max() <= 1
            changes.append(np.log(after[0]) / np.log(before[0]) if name == "intensity_gamma" else after[0] - before[0])
        assert np.ptp(changes) > bound / 2
    assert points.min() >= 0.2  # the input stays


# Failed sensors


def test_a_frame_never_loses_both_sensors():
    failures = [draw_failure(rng(seed), AugmentationConfig(no_image_p=0.4, no_scan_p=0.6)) for seed in range(300)]
    assert set(failures) == {Failure.CAMERA, Failure.LIDAR}
    assert np.mean([failure is Failure.CAMERA for failure in failures]) == pytest.approx(0.4, abs=0.1)
    assert draw_failure(rng(), NONE) is None


def test_without_a_scan_inputs_have_no_point_and_labels_stay(sequence):
    whole, without = data_set(sequence)[0], data_set(sequence, no_scan_p=1.0)[0]
    assert not without["occupancy"].any() and not without["voxel_counts"].any() and not without["voxels"].any()
    for name in ("labels", "geometry", "labels_2d", "labels_3d", "image"):
        assert torch.equal(without[name], whole[name])
    model = OccLE(CONFIG).eval()
    with torch.no_grad():
        labels, _ = model.predict(*inputs_of(without, CONFIG))
    assert labels.shape == whole["labels"].shape


def test_without_a_camera_the_image_is_black_and_points_stay(sequence):
    whole, without = data_set(sequence)[0], data_set(sequence, no_image_p=1.0)[0]
    assert (without["image"] == without["image"][:, :, :1, :1]).all()
    assert torch.equal(without["occupancy"], whole["occupancy"])
    assert torch.equal(without["labels_2d"], whole["labels_2d"])


# A part of the image

WINDOW = Window(0.2, 0.1, 0.5, 0.8)


def test_a_place_in_the_part_is_where_the_calibration_says(sequence):
    calibration = Sequence(sequence).calibration
    points = np.array([[20.0, 1.0, 0.3], [9.0, -0.5, 0.2]])
    size = np.array(calibration.image_size)
    before = (calibration.project(points)[0] + 0.5) / size
    after = (zoom_calibration(calibration, WINDOW).project(points)[0] + 0.5) / size
    np.testing.assert_allclose(after, (before - WINDOW[:2]) / WINDOW[2:], atol=1e-12)


def test_image_and_map_show_the_part():
    ramp = np.zeros((40, 80, 3), np.uint8)
    ramp[..., 0], ramp[..., 1] = np.arange(80) * 3, np.arange(40)[:, None] * 6
    part = zoom_image(ramp, WINDOW).astype(float)
    u, v = (
        (WINDOW.left + (np.arange(80) + 0.5) / 80 * 0.5) * 80 - 0.5,
        (0.1 + (np.arange(40) + 0.5) / 40 * 0.8) * 40 - 0.5,
    )
    assert np.abs(part[..., 0] - 3 * u).max() < 1 and np.abs(part[..., 1] - 6 * v[:, None]).max() < 1
    cells = zoom_map(np.arange(8)[None, :] + 10 * np.arange(4)[:, None], Window(0.5, 0.0, 0.5, 1.0))
    assert cells[0].tolist() == [4, 4, 5, 5, 6, 6, 7, 7] and cells[:, 0].tolist() == [4, 14, 24, 34]


def test_windows_lie_in_the_image_and_keep_at_least_their_share():
    windows = np.array([draw_window(rng(seed), AugmentationConfig(zoom_p=1.0, zoom=0.4)) for seed in range(200)])
    assert (windows[:, :2] >= 0).all() and (windows[:, :2] + windows[:, 2:] <= 1 + 1e-12).all()
    assert 0.6 <= windows[:, 2:].min() < 0.65 and abs(np.corrcoef(windows[:, 2], windows[:, 3])[0, 1]) < 0.2


@pytest.mark.parametrize("mirror_p", [0.0, 1.0])
@pytest.mark.parametrize("config", [CONFIG, MONO], ids=["occle", "monoocc"])
def test_a_zoomed_sample_has_each_voxel_at_the_same_place_of_the_scene(sequence, config, mirror_p):
    """An image that is a ramp tells where in the whole image a pixel was; so do the voxels' places in the table."""
    zoomed = data_set(sequence, config, zoom_p=1.0, zoom=0.5, mirror_p=mirror_p)
    plain = data_set(sequence, config, mirror_p=mirror_p)
    number = 3
    before, after = (data[Draw(0, number)] for data in (plain, zoomed))
    old, new = (sample["lifting"].reshape(-1, 2) for sample in (before, after))
    seen = (old[:, 0] > -1.5) & (new[:, 0] > -1.5)
    assert 20 < seen.sum() < (old[:, 0] > -1.5).sum()
    # One stretch and shift along each axis.
    for axis in (0, 1):
        slope, offset = np.polyfit(old[seen, axis], new[seen, axis], 1)
        assert slope > 1
        np.testing.assert_allclose(new[seen, axis], slope * old[seen, axis] + offset, atol=1e-4)
    assert torch.equal(after["labels"], before["labels"])
    known = after["labels_2d"] != IGNORE
    assert known.any() and set(after["labels_2d"][known].tolist()) <= {9, 13}


def test_distances_in_a_part_are_those_of_the_longer_focal_length(sequence):
    """Canonical metres: what fills more of the image counts as nearer."""
    data, plain = (data_set(sequence, MONO, **magnitudes) for magnitudes in ({"zoom_p": 1.0, "zoom": 0.5}, {}))
    before, after = plain[Draw(0, 5)], data[Draw(0, 5)]
    ratio = after["voxel_depth"] / before["voxel_depth"]
    factor = float(ratio.median())
    assert factor < 1 and torch.allclose(ratio, ratio.new_tensor(factor), atol=1e-4)
    own, whole = (set(np.round(sample["true_depth"].numpy().ravel(), 3)) for sample in (after, before))
    assert len(own) > 3 and all(min(abs(d - factor * w) for w in whole) < 2e-3 for d in own)


# The look of the image


def test_gamma_and_channel_gains_are_curves_of_their_channels():
    image = rng().integers(30, 200, (30, 40, 3), np.uint8)
    for name in ("gamma", "channel_gain"):
        changed = change_appearance(image, rng(3), AugmentationConfig(**{name: 0.3}))
        for channel in range(3):
            order = np.argsort(image[..., channel], axis=None)
            assert (np.diff(changed[..., channel].ravel()[order].astype(int)) >= 0).all()
    factors = changed.astype(float).mean((0, 1)) / image.mean((0, 1))
    assert np.ptp(factors) > 0.05


def test_grey_noise_and_artefacts_come_in_their_share():
    image = rng().integers(60, 190, (40, 56, 3), np.uint8)
    grey = change_appearance(image, rng(), AugmentationConfig(grey_p=1.0))
    assert (grey == grey[..., :1]).all()
    noisy = change_appearance(image, rng(), AugmentationConfig(noise_p=1.0, noise=8.0)).astype(float) - image
    assert 0.2 < noisy.std() < 9 and abs(noisy.mean()) < 0.5
    coded = change_appearance(image, rng(), AugmentationConfig(jpeg_p=1.0, jpeg=(90.0, 95.0)))
    assert 0 < np.abs(coded.astype(float) - image).mean() < 40 and coded.shape == image.shape
    smooth = np.full((40, 56, 3), (200, 90, 40), np.uint8)
    coded = change_appearance(smooth, rng(), AugmentationConfig(jpeg_p=1.0, jpeg=(30.0, 60.0)))
    assert np.abs(coded.astype(float) - smooth).max() < 12  # red stays red


# The recipe


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_lays_magnitudes_over_those_of_each_phase(recipe):
    changed = from_dict(recipe, {"augmentation": {"rings_p": 0.25, "jpeg": [20, 80]}})
    assert changed.augmentation == {"rings_p": 0.25, "jpeg": [20, 80]}
    if recipe is OccLERecipe:
        for phase in ("semantic", "teacher", "student", "joint"):
            expected = replace(augmentation_of(OccLERecipe(), phase), rings_p=0.25, jpeg=(20.0, 80.0))
            assert augmentation_of(changed, phase) == expected


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"ring_p": 0.1}, "augmentation.ring_p: unknown key; known are mirror_p"),
        ({"rings_p": 1.5}, "rings_p: expected a probability, 0 to 1, got 1.5"),
        ({"rings_p": "often"}, "augmentation.rings_p: expected float"),
        ({"no_scan_p": 0.7, "no_image_p": 0.5}, "expected at most 1 together, got 0.5 and 0.7"),
        ({"zoom": 1.0}, "zoom: expected a share from 0 to less than 1, got 1.0"),
        ({"jpeg": [80, 20]}, "jpeg: expected a smallest and a largest value"),
    ],
)
def test_magnitudes_that_cannot_be_are_refused_by_name(recipe, values, words):
    with pytest.raises(ConfigError, match="augmentation") as caught:
        from_dict(recipe, {"augmentation": values})
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(("recipe", "name"), [(OccLERecipe, "paper"), (MonoOccRecipe, "monoocc-paper")])
def test_the_papers_recipes_change_no_magnitude(recipe, name):
    assert load_recipe(name, recipe).augmentation == recipe().augmentation == {}


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_robust_recipe_changes_sensors_and_takes_the_best_image_labels(recipe):
    robust = load_recipe("robust", recipe)
    level = augmented(NONE, robust)
    assert level.zoom_p > 0 and level.jpeg_p > 0 and robust.image_label_source == "auto"
    assert robust.training.batch * robust.training.accumulate == 4
    if recipe is OccLERecipe:
        assert min(level.rings_p, level.no_intensity_p, level.no_image_p, level.no_scan_p) > 0
        assert robust.phases == ("joint",)
    else:
        assert robust.loss_weights.iou == 4 and network_of(MONO, robust).voxel_prior
