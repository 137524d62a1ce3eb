"""Predictions on disk: exactly the files that SemanticKITTI's tools expect."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from occ_cli.node import main
from occ_core import KITTI_GRID, Grid, PreprocessConfig, VoxelizerConfig
from occ_core.voxelizer import occupancy_grid
from occ_data.kitti import write_grid
from occ_runtime.fake_backend import write_fake_bundle


def infer(dataset, bundle, output) -> int:
    return main(
        ["infer", "--bundle", str(bundle.path), "--backend", "fake", "--dataset", str(dataset), "--sequences", "90",
         "--output", str(output)]
    )  # fmt: skip


def test_a_camera_that_looks_elsewhere_is_one_warning(drive, fake_bundle, tmp_path, capsys):
    shutil.copytree(drive.path, tmp_path / "sequences/90")
    calib = tmp_path / "sequences/90/calib.txt"
    rows = [line for line in calib.read_text().splitlines() if not line.startswith("Tr")]
    calib.write_text("\n".join([*rows, "Tr: 0 1 0 0 0 0 -1 -0.1 -1 0 0 -0.3\n"]))
    assert infer(tmp_path, fake_bundle, tmp_path / "out") == 0
    said = capsys.readouterr().err
    assert said.count("only 0.0 % of the grid is in the image") == 1


def test_every_frame_gets_its_raw_labels(drive, fake_bundle, tmp_path):
    assert infer(drive.path.parents[1], fake_bundle, tmp_path) == 0
    written = sorted((tmp_path / "sequences/90/predictions").iterdir())
    assert [file.name for file in written] == [f"{frame}.label" for frame in drive.frames]
    for file, frame in zip(written, drive.frames, strict=True):
        raw = np.fromfile(file, "<u2").reshape(256, 256, 32)
        assert np.array_equal(raw, 50 * occupancy_grid(drive.scan(frame), KITTI_GRID).astype(np.uint16))


@pytest.mark.parametrize(
    ("file", "size"), [("velodyne/000007.bin", 1000), ("image_2/000007.png", 100), ("calib.txt", 200)]
)
def test_a_truncated_file_ends_it_and_is_named(drive, fake_bundle, tmp_path, capsys, file, size):
    shutil.copytree(drive.path, tmp_path / "sequences/90")
    damaged = tmp_path / "sequences/90" / file
    damaged.write_bytes(damaged.read_bytes()[:size])
    assert infer(tmp_path, fake_bundle, tmp_path / "out") == 2
    assert str(damaged) in capsys.readouterr().err


def test_a_camera_alone_needs_no_scans(drive, camera_bundle, tmp_path):
    shutil.copytree(drive.path, tmp_path / "sequences/90", ignore=shutil.ignore_patterns("velodyne"))
    assert infer(tmp_path, camera_bundle, tmp_path) == 0
    written = sorted((tmp_path / "sequences/90/predictions").iterdir())
    assert [file.name for file in written] == [f"{frame}.label" for frame in drive.frames]
    arguments = ["--dataset", str(tmp_path), "--predictions", str(tmp_path)]
    assert main(["evaluate", *arguments, "--sequences", "90"]) == 0
    assert main(["render", *arguments, "--sequence", "90", "-o", str(tmp_path / "pictures")]) == 0


def test_a_bundle_that_needs_scans_misses_them(drive, fake_bundle, tmp_path, capsys):
    shutil.copytree(drive.path, tmp_path / "sequences/90", ignore=shutil.ignore_patterns("velodyne"))
    assert infer(tmp_path, fake_bundle, tmp_path) == 2
    assert "sequences/90/velodyne: missing or empty; expected files such as 000000.bin" in capsys.readouterr().err


def test_real_frames_pass(real_data, fake_bundle, tmp_path):
    arguments = ["--dataset", str(real_data), "--sequences", "07", "--output", str(tmp_path)]
    assert main(["infer", "--bundle", str(fake_bundle.path), "--backend", "fake", *arguments]) == 0
    assert len(list((tmp_path / "sequences/07/predictions").glob("*.label"))) == 10


COARSE = Grid((128, 128, 16), 0.4)


@pytest.fixture(scope="module")
def coarse_bundles(tmp_path_factory):
    """With a cloud and camera only, on a grid of 0.4 m."""
    config = PreprocessConfig(COARSE, voxelizer=VoxelizerConfig(factor=1, max_points=8, max_voxels=4096))
    folder = tmp_path_factory.mktemp("engines")
    return write_fake_bundle(folder / "coarse", config), write_fake_bundle(folder / "camera", config, camera_only=True)


def test_a_coarser_grid_is_inferred_scored_and_drawn(drive, coarse_bundles, tmp_path, capsys):
    assert infer(drive.path.parents[1], coarse_bundles[0], tmp_path) == 0
    folder = tmp_path / "sequences/90/predictions"
    raw = np.fromfile(folder / "000005.label", "<u2").reshape(COARSE.shape)
    assert np.array_equal(raw, 50 * occupancy_grid(drive.scan("000005"), COARSE).astype(np.uint16))
    grid = yaml.safe_load((folder / "grid.yaml").read_text())
    assert grid == {"shape": [128, 128, 16], "voxel_size": 0.4, "origin": [0.0, -25.6, -2.0]}

    arguments = ["--dataset", str(drive.path.parents[1]), "--predictions", str(tmp_path)]
    assert main(["evaluate", *arguments, "--sequences", "90", "--json", str(tmp_path / "scores.json")]) == 0
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert (scores["iou"], scores["miou_present"], scores["scan_baseline"]["iou"]) == (100, 100, 100)

    for more in ([*arguments, "--sequence", "90", "--frame", "000005"], [str(folder / "000005.label")]):
        capsys.readouterr()
        assert main(["render", *more, "-o", str(tmp_path / "pictures")]) == 0
        sizes = {Path(name).stem: cv2.imread(name).shape for name in capsys.readouterr().out.split()}
        assert sizes["000005_birds_eye"] == (768 + 46, 768 + 160, 3) and sizes["000005_voxels"][1] == 1280
    assert (tmp_path / "pictures/000005_truth_beside_prediction.png").is_file()


def test_predictions_on_another_box_cannot_be_scored(drive, fake_bundle, tmp_path, capsys):
    assert infer(drive.path.parents[1], fake_bundle, tmp_path) == 0
    write_grid(tmp_path / "sequences/90/predictions", Grid((256, 256, 32), 0.3))
    arguments = ["--dataset", str(drive.path.parents[1]), "--predictions", str(tmp_path), "--sequences", "90"]
    assert main(["evaluate", *arguments]) == 2
    assert "expected that or a coarser form of it" in capsys.readouterr().err


def test_a_bag_is_labelled_as_the_sequence_it_was_made_from(drive, bag, fake_bundle, tmp_path):
    arguments = ["--bundle", str(fake_bundle.path), "--backend", "fake", "--drive", str(bag)]
    assert main(["infer", *arguments, "--output", str(tmp_path / "bag")]) == 0
    assert infer(drive.path.parents[1], fake_bundle, tmp_path) == 0
    for file in sorted((tmp_path / "sequences/90/predictions").iterdir()):
        assert (tmp_path / "bag/sequences/drive/predictions" / file.name).read_bytes() == file.read_bytes()


def test_a_bag_without_clouds_is_labelled_by_a_camera_only_bundle(drive, camera_bag, camera_bundle, tmp_path):
    arguments = ["--bundle", str(camera_bundle.path), "--backend", "fake", "--drive", str(camera_bag)]
    assert main(["infer", *arguments, "--lidar-frame", "velo_link", "--output", str(tmp_path)]) == 0
    assert len(list((tmp_path / "sequences/camera/predictions").glob("*.label"))) == len(drive.frames)


def test_a_synthetic_street_is_labelled_and_scored(fake_bundle, tmp_path):
    pytest.importorskip("embreex")
    arguments = ["--bundle", str(fake_bundle.path), "--backend", "fake", "--output", str(tmp_path)]
    assert main(["infer", *arguments, "--drive", "synthetic:6:1"]) == 0
    assert main(["evaluate", "--drive", "synthetic:6:1", "--predictions", str(tmp_path)]) == 0


@pytest.fixture
def picture(drive, tmp_path):
    """A bright PNG of 96 x 32 with its calib.txt beside it."""
    image = np.full((32, 96, 3), 200, np.uint8)
    image[:8] = 90
    cv2.imwrite(str(tmp_path / "street.png"), image)
    shutil.copy(drive.path / "calib.txt", tmp_path)
    return tmp_path / "street.png"


def infer_picture(picture, bundle, *more, calib="calib.txt") -> int:
    folder = picture.parent
    arguments = ["--image", str(picture), "--calibration", str(folder / calib), "--output", str(folder / "out"), *more]
    return main(["infer", "--bundle", str(bundle.path), "--backend", "fake", *arguments])


def distance(picture) -> float:
    """Mean x, in metres, of what was labelled."""
    raw = np.fromfile(picture.parent / "out" / f"{picture.stem}.label", "<u2").reshape(256, 256, 32)
    assert set(np.unique(raw)) == {0, 50}
    return 0.2 * np.nonzero(raw)[0].mean()


def test_a_picture_gets_labels_and_pictures_of_them(picture, camera_bundle, capsys):
    assert infer_picture(picture, camera_bundle) == 0
    said = capsys.readouterr()
    names = ["street.label", "street_voxels.png", "street_birds_eye.png", "street_camera_overlay.png"]
    assert said.out.split() == [str(picture.parent / "out" / name) for name in names]
    assert said.err == ""
    assert sorted(file.name for file in (picture.parent / "out").iterdir()) == sorted(names)
    assert distance(picture) == pytest.approx(13, abs=1)  # 12 canonical metres of a lens a little longer than KITTI's


def test_a_picture_on_a_coarser_grid(picture, coarse_bundles):
    assert infer_picture(picture, coarse_bundles[1]) == 0
    raw = np.fromfile(picture.parent / "out/street.label", "<u2").reshape(COARSE.shape)
    assert 0.4 * np.nonzero(raw)[0].mean() == pytest.approx(13, abs=1.5)
    assert main(["render", str(picture.parent / "out/street.label"), "-o", str(picture.parent / "again")]) == 0
    drawn = [(picture.parent / folder / "street_voxels.png").read_bytes() for folder in ("out", "again")]
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize("kind", ["png", "npy"])
def test_a_depth_image_tells_how_far(picture, camera_bundle, kind):
    depth = np.full((32, 96), 30.0, np.float32)
    if kind == "npy":
        depth[:4], depth[4:8] = np.nan, -1  # where the picture is dark
        np.save(picture.parent / "depth.npy", depth)
    else:
        cv2.imwrite(str(picture.parent / "depth.png"), (256 * depth).astype(np.uint16))
    assert infer_picture(picture, camera_bundle, "--depth", str(picture.parent / f"depth.{kind}")) == 0
    assert distance(picture) == pytest.approx(30, abs=1)


def test_where_the_depth_image_says_nothing_the_network_judges(picture, camera_bundle):
    np.save(picture.parent / "depth.npy", np.full((32, 96), np.nan))
    assert infer_picture(picture, camera_bundle, "--depth", str(picture.parent / "depth.npy")) == 0
    assert distance(picture) == pytest.approx(13, abs=1)


def garbled(folder):
    (folder / "street.png").write_bytes(b"GIF89a")


def other_calibration(folder):
    (folder / "calib.txt").write_text("P2: 700 0 600 0 0 700 180 0 0 0 1 0\nTr: 0 -1 0 0 0 0 -1 0 1 0 0 0\n")


def other_size_in_yaml(folder):
    K, T = [[60, 0, 48], [0, 60, 16], [0, 0, 1]], [[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0]]
    (folder / "calib.txt").rename(folder / "old.txt")
    (folder / "calib.yaml").write_text(f"T_cam_lidar: {T}\nK: {K}\nimage_size: [192, 64]\n")


def depth(array, name="depth.npy"):
    def write(folder):
        if name.endswith("npy"):
            np.save(folder / name, array, allow_pickle=True)
        else:
            cv2.imwrite(str(folder / name), array)

    return write


BAD = {
    "unreadable picture": (garbled, "street.png: cannot be decoded; expected JPEG or PNG"),
    "no picture": (lambda folder: (folder / "street.png").unlink(), "No such file"),
    "no calibration": (lambda folder: (folder / "calib.txt").unlink(), "calib.txt: cannot be read"),
    "another camera's calibration": (other_calibration, "principal point (600, 180) is at the edge of the image"),
    "another size in YAML": (other_size_in_yaml, "image is 96x32, the calibration is for 192x64"),
    "depth of another size": (depth(np.ones((16, 48))), "depth image is 48x16, the calibration is for 96x32"),
    "depth in integers": (depth(np.ones((32, 96), np.int16)), "int16[32, 96]; expected floats [H, W], in metres"),
    "depth that is pickled": (depth(np.array([None])), "not a NumPy array"),
    "depth of 8 bits": (depth(np.ones((32, 96), np.uint8), "depth.png"), "8-bit; expected a PNG of 16 bits"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_one_line(picture, camera_bundle, capsys, name):
    spoil, words = BAD[name]
    spoil(picture.parent)
    calib = "calib.yaml" if (picture.parent / "calib.yaml").exists() else "calib.txt"
    given = [str(file) for file in picture.parent.glob("depth.*")]
    assert infer_picture(picture, camera_bundle, *(["--depth", *given] if given else []), calib=calib) == 2
    said = capsys.readouterr().err.strip()
    assert words in said and said.startswith("occ-node infer: ") and "\n" not in said


def test_a_picture_of_another_shape_is_labelled_with_a_warning(picture, camera_bundle, capsys):
    cv2.imwrite(str(picture), cv2.resize(cv2.imread(str(picture)), (96, 48)))
    assert infer_picture(picture, camera_bundle) == 0
    line = f"occ-node infer: warning: {picture}: 96x48 is squeezed to the network's 608x184, another shape; "
    assert capsys.readouterr().err == line + "labels will be worse\n"
    assert distance(picture) > 10


def test_a_black_picture_is_labelled_with_a_warning(picture, camera_bundle, capsys):
    cv2.imwrite(str(picture), np.zeros((32, 96, 3), np.uint8))
    assert infer_picture(picture, camera_bundle) == 0
    assert "warning: " in (said := capsys.readouterr().err) and "it shows nothing" in said
    assert (picture.parent / "out/street.label").is_file()


def test_depth_images_of_a_drive_tell_how_far(drive, camera_bundle, tmp_path, capsys):
    arguments = ["infer", "--bundle", str(camera_bundle.path), "--backend", "fake", "--dataset"]
    arguments += [str(drive.path.parent.parent), "--sequences", drive.name, "--depth", str(tmp_path / "depths")]
    arguments += ["--output", str(tmp_path / "out")]
    folder = tmp_path / "depths" / drive.name
    folder.mkdir(parents=True)
    for frame in drive.frames[1:]:
        cv2.imwrite(str(folder / f"{frame}.png"), np.full((32, 96), 256 * 30, np.uint16))
    assert main(arguments) == 2
    assert f"{drive.name}/000000.png: missing; expected a depth image for every frame" in capsys.readouterr().err
    cv2.imwrite(str(folder / "000000.png"), np.full((32, 96), 256 * 15, np.uint16))
    assert main(arguments) == 0
    out = tmp_path / "out" / "sequences" / drive.name / "predictions"
    raw = (np.fromfile(out / f"{frame}.label", "<u2").reshape(256, 256, 32) for frame in ("000000", "000001"))
    assert [0.2 * np.nonzero(labels)[0].mean() for labels in raw] == pytest.approx([15, 30], abs=1)


def test_depth_images_are_for_camera_only_bundles(drive, fake_bundle, tmp_path, capsys):
    arguments = ["infer", "--bundle", str(fake_bundle.path), "--backend", "fake", "--drive", str(drive.path)]
    assert main([*arguments, "--depth", str(tmp_path), "--output", str(tmp_path / "out")]) == 2
    assert "takes a LiDAR's cloud and no depth images" in capsys.readouterr().err


def test_voxel_frames_are_those_that_the_benchmark_scores(drive, camera_bundle, tmp_path):
    folder = shutil.copytree(drive.path, tmp_path / "data" / "sequences" / drive.name)
    for path in (folder / "voxels").iterdir():
        path.unlink()
    (folder / "voxels" / "000003.bin").write_bytes(b"")
    arguments = ["infer", "--bundle", str(camera_bundle.path), "--backend", "fake", "--voxel-frames", "--dataset"]
    arguments += [str(tmp_path / "data"), "--sequences", drive.name, "--output", str(tmp_path / "out")]
    assert main(arguments) == 0
    assert [path.stem for path in (tmp_path / "out").rglob("*.label")] == ["000003"]
