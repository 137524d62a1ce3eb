"""Frames of a drive as a camera-only network takes them: earlier views, depth of the scan's points, no cloud."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from safetensors.torch import save_file  # noqa: E402

from occ_core import CLOUD_TENSORS, IGNORE, Calibration  # noqa: E402
from occ_core.lifting import OUT_OF_VIEW, lifting_table  # noqa: E402
from occ_data.kitti import DepthFolder, Sequence, write_png  # noqa: E402
from occ_models.augmentation import APPEARANCE, AugmentationConfig  # noqa: E402
from occ_models.config import load_config  # noqa: E402
from occ_models.data import FrameDataset, collate, inputs_of, resized  # noqa: E402
from occ_models.frame_cache import FrameCache  # noqa: E402
from occ_models.frames import frames_of  # noqa: E402
from occ_models.monoocc.config import MonoOccConfig  # noqa: E402
from occ_models.monoocc.model import MonoOcc  # noqa: E402

from .conftest import ROAD, WALL  # noqa: E402

CONFIG = load_config(Path(__file__).parent / "mono_pico.yaml", MonoOccConfig)
COARSE = CONFIG.preprocess.grid.coarsen(CONFIG.preprocess.lifting_factor)


def data_set(folder, config=CONFIG, **more):
    return FrameDataset(frames_of([Sequence(folder)]), config, **more)


def test_a_sample_holds_what_a_camera_alone_gives(sequence):
    sample = data_set(sequence)[0]
    shapes = {"image": (1, 3, 48, 152), "lifting": (1, 1024, 4, 2), "voxel_depth": (1, 1024, 4), "depth": (1, 6, 19)}
    assert {name: sample[name].shape for name in CONFIG.inputs} == shapes
    assert not [name for name in (*CLOUD_TENSORS, "labels_3d") if name in sample]
    assert sample["labels"].shape == (1, 128, 128, 16) and sample["geometry"].shape == (1, 32, 32, 4)
    assert set(sample["labels_2d"].unique().tolist()) == {ROAD, WALL, IGNORE}
    assert (sample["depth"] == 0).all()  # the network's own depth has to learn, it is not told


def test_true_depth_is_that_of_the_nearest_point_in_canonical_metres(sequence):
    sample, lidar = data_set(sequence)[1], Sequence(sequence)
    uv, metres = lidar.calibration.project(lidar.scan("000001"))
    assert lidar.calibration.canonical == pytest.approx(0.577 * 300 / 700)
    expected = np.full((6, 19), np.inf)
    for (u, v), distance in zip(uv, metres, strict=True):
        if distance > 0 and 0 <= u < 300 and 0 <= v < 120:
            cell = int(v * 6 / 120), int(u * 19 / 300)
            expected[cell] = min(expected[cell], distance)
    expected[np.isinf(expected)] = 0
    found = sample["true_depth"]
    assert found.shape == (1, 6, 19) and found.dtype == torch.float32
    np.testing.assert_allclose(found[0], expected * lidar.calibration.canonical, rtol=1e-5)
    assert 0.2 < (found > 0).float().mean() < 1


@pytest.mark.parametrize("views", [(0,), (0, 2)])
def test_a_mirrored_sample_is_mirrored_in_every_part(sequence, views):
    config = replace(CONFIG, views=views)
    plain = data_set(sequence, config)[3]
    mirrored = data_set(sequence, config, augmentation=AugmentationConfig(mirror_p=1.0))[3]
    for name, axis in {"labels": 2, "geometry": 2, "labels_2d": 2, "true_depth": 2, "image": 3, "depth": 2}.items():
        assert torch.equal(mirrored[name], plain[name].flip(axis)), name
    count = len(views)
    before, after = (s["voxel_depth"].reshape(count, *COARSE.shape) for s in (plain, mirrored))
    assert torch.equal(after, before.flip(2))
    before, after = (s["lifting"].reshape(count, *COARSE.shape, 2) for s in (plain, mirrored))
    before = before.flip(2)
    seen = before[..., 0] > OUT_OF_VIEW
    torch.testing.assert_close(after[..., 0], torch.where(seen, -before[..., 0], before[..., 0]))
    assert torch.equal(after[..., 1], before[..., 1])


def test_a_turned_scene_has_other_voxels_and_the_same_picture(sequence):
    plain = data_set(sequence)[0]
    turned = data_set(sequence, augmentation=AugmentationConfig(turn_p=1.0, turn_degrees=15.0))[0]
    for name in ("image", "true_depth", "labels_2d"):
        assert torch.equal(turned[name], plain[name]), name
    for name in ("labels", "geometry", "lifting", "voxel_depth"):
        assert not torch.equal(turned[name], plain[name]), name


def test_features_computed_before_stay_true_under_other_colours(sequence):
    plain, data = data_set(sequence)[0], data_set(sequence, augmentation=APPEARANCE)
    other = data[0]
    assert not torch.equal(other["image"], plain["image"])
    for name in ("labels", "geometry", "lifting", "voxel_depth", "true_depth"):
        assert torch.equal(other[name], plain[name]), name


def test_views_are_the_earlier_frames_in_the_current_ones_coordinates(sequence):
    calibration = Sequence(sequence).calibration
    plain, sample = data_set(sequence), data_set(sequence, replace(CONFIG, views=(0, 1, 3)))[3]
    for n, back in enumerate((0, 1, 3)):
        assert torch.equal(sample["image"][n], plain[3 - back]["image"][0])
        forward = np.eye(4)
        forward[0, 3] = back  # a metre a frame: a voxel ahead was so much further away then
        then = Calibration(calibration.P, calibration.T_cam_lidar @ forward, calibration.image_size)
        table = lifting_table(COARSE, resized(then, CONFIG.preprocess.image_size))
        np.testing.assert_allclose(sample["lifting"][n], table.coordinates, atol=1e-4)
        np.testing.assert_allclose(sample["voxel_depth"][n], table.depth, atol=1e-4)
    for name in ("labels", "geometry", "labels_2d", "true_depth"):
        assert torch.equal(sample[name], plain[3][name]), name


def test_a_view_before_the_first_frame_is_the_first(sequence):
    sample = data_set(sequence, replace(CONFIG, views=(0, 3)))[1]
    assert torch.equal(sample["image"][1], data_set(sequence)[0]["image"][0])


def test_collated_views_stand_sample_by_sample_the_current_one_first(sequence):
    config = replace(CONFIG, views=(0, 1))
    data, plain = data_set(sequence, config), data_set(sequence)
    batch = collate([data[1], data[3]])
    for row, frame in enumerate((1, 0, 3, 2)):
        assert torch.equal(batch["image"][row], plain[frame]["image"][0])
    assert len(batch["labels"]) == len(batch["true_depth"]) == 2
    with torch.no_grad():
        output = MonoOcc(config).eval()(*inputs_of(batch, config))
    assert output.occupancy.shape == batch["labels"].shape


def test_one_frame_needs_no_poses_and_no_classes(sequence, tmp_path):
    copy = shutil.copytree(sequence, tmp_path / "00")
    (copy / "poses.txt").unlink()
    shutil.rmtree(copy / "labels")
    sample = data_set(copy, image_labels=None)[2]
    assert (sample["labels_2d"] == IGNORE).all() and (sample["true_depth"] > 0).any()


def test_features_of_the_teacher_come_with_the_sample(sequence, tmp_path):
    features = torch.randn(1, 8, *COARSE.shape).half()
    save_file({"features": features}, tmp_path / "000000.safetensors")
    frames = [frame._replace(features=tmp_path / "000000.safetensors") for frame in frames_of([Sequence(sequence)])]
    sample = FrameDataset(frames, CONFIG)[0]
    assert sample["features"].dtype == torch.float32 and torch.equal(sample["features"], features.float())


def test_networks_with_images_of_different_size_may_share_a_cache(sequence):
    larger = replace(CONFIG, preprocess=replace(CONFIG.preprocess, image_size=(304, 96)), image_stride=4)
    cache = FrameCache(1.0)
    for config in (CONFIG, larger, CONFIG):
        alone, shared = data_set(sequence, config)[2], data_set(sequence, config, cache=cache)[2]
        for name, value in alone.items():
            assert name == "name" or torch.equal(shared[name], value), name


def given_depths(folder, drive, metres=lambda n: 5 + n):
    """Depth images of a drive: the left half `metres`, the right unknown."""
    for frame in drive.frames:
        depth = np.zeros((120, 300), np.uint16)
        depth[:, :150] = 256 * metres(int(frame))
        write_png(folder / drive.name / f"{frame}.png", depth)
    return DepthFolder(folder)


def test_given_depths_reach_the_network_of_every_view_and_mirror_with_the_image(sequence, tmp_path):
    drive, config = Sequence(sequence), replace(CONFIG, views=(0, 2))
    depths = given_depths(tmp_path, drive)
    plain = data_set(sequence, config, depths=depths)[3]
    canonical = drive.calibration.canonical
    assert plain["depth"].shape == (2, 6, 19)
    for view, frame in enumerate((3, 1)):
        expected = torch.full((6, 9), (5 + frame) * canonical, dtype=torch.float32)
        torch.testing.assert_close(plain["depth"][view, :, :9], expected)
        assert (plain["depth"][view, :, 10:] == 0).all()
    mirrored = data_set(sequence, config, depths=depths, augmentation=AugmentationConfig(mirror_p=1.0))[3]
    torch.testing.assert_close(mirrored["depth"], plain["depth"].flip(2))
    torch.testing.assert_close(mirrored["true_depth"], plain["true_depth"].flip(2))
    without = data_set(sequence, config)[3]
    assert (without["depth"] == 0).all() and torch.equal(without["true_depth"], plain["true_depth"])
