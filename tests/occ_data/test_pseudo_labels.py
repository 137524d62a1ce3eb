"""`occ-data pseudo-labels` on files: layouts, resuming, pictures, bad input."""

import numpy as np
import pytest
import yaml

from occ_cli.data import main
from occ_core.taxonomy import COLORS, IGNORE
from occ_data.kitti import DataError, read_classes, read_gray, write_png
from occ_data.pseudo_labels import FileSegmenter
from occ_data.pseudo_labels.mseg import IDS
from occ_data.pseudo_labels.overlay import overlay
from occ_data.pseudo_labels.report import Report, class_iou, confusion, mean_iou

SHAPE = (32, 96)
ROAD, VEGETATION, TRUNK = 9, 15, 16


@pytest.fixture
def root(tiny_sequence):
    return tiny_sequence.path.parents[1]


@pytest.fixture
def maps(tmp_path, tiny_sequence):
    """Road below, vegetation above with a trunk in it; sky in the top row."""
    folder = tmp_path / "maps/sequences/90"
    ids = np.full(SHAPE, IDS["road"], np.uint8)
    ids[:16], ids[0] = IDS["vegetation"], IDS["sky"]
    trunk = np.zeros(SHAPE, np.uint8)
    trunk[8:20, 40:44] = 200
    for frame in tiny_sequence.frames:
        write_png(folder / "mseg" / f"{frame}.png", ids)
        write_png(folder / "masks/trunk" / f"{frame}.png", trunk)
    return tmp_path / "maps"


def run(*arguments) -> int:
    return main(["pseudo-labels", *map(str, arguments)])


def test_maps_on_disk_become_class_maps(root, maps, tiny_sequence, capsys):
    assert run(root, "--segmenter", "files", "--maps", maps) == 0
    expected = np.full(SHAPE, ROAD, np.uint8)
    expected[:16], expected[0] = VEGETATION, IGNORE
    expected[8:16, 40:44] = TRUNK  # but not where the mask runs down into the road
    for frame in tiny_sequence.frames:
        labels = read_gray(tiny_sequence.path / "pseudo_labels" / f"{frame}.png")
        assert labels.dtype == np.uint8
        np.testing.assert_array_equal(labels, expected)
    out = capsys.readouterr().out
    assert "unknown, no rule matched: sky 3.12%" in out and "mIoU" not in out


def test_both_layouts_mean_the_same(maps, tiny_sequence):
    frame, image = tiny_sequence.frames[0], np.zeros((*SHAPE, 3), np.uint8)
    segmenter = FileSegmenter(maps, ("trunk",))
    from_png = segmenter(tiny_sequence, frame, image)
    score = from_png.scores["trunk"]
    masks = np.stack([score > 0, np.zeros(SHAPE, bool)])
    np.savez_compressed(
        maps / f"sequences/90/mseg/{frame}.npz",
        **{"ids": from_png.ids.astype(np.uint16), "mask trunk": masks, "score trunk": np.float32([200 / 255, 0.9])},
    )
    packed = segmenter(tiny_sequence, frame, image)
    np.testing.assert_array_equal(packed.ids, from_png.ids)
    np.testing.assert_allclose(packed.scores["trunk"], score)


def test_a_run_that_stopped_goes_on_and_leaves_finished_frames_alone(root, maps, tiny_sequence, capsys):
    last = maps / "sequences/90/mseg/000002.png"
    data = last.read_bytes()
    last.unlink()
    assert run(root, "--segmenter", "files", "--maps", maps) == 2
    folder = tiny_sequence.path / "pseudo_labels"
    assert sorted(path.name for path in folder.iterdir()) == ["000000.png", "000001.png", "recipe.yaml"]
    before = (folder / "000000.png").stat().st_mtime_ns
    last.write_bytes(data)
    assert run(root, "--segmenter", "files", "--maps", maps) == 0
    assert (folder / "000002.png").is_file() and (folder / "000000.png").stat().st_mtime_ns == before
    assert "2 frames were labelled already" in capsys.readouterr().err


def test_labels_of_two_recipes_do_not_mix(root, maps, tiny_sequence, tmp_path, capsys):
    assert run(root, "--segmenter", "files", "--maps", maps) == 0
    assert run(root, "--segmenter", "files", "--maps", maps, "--table", "none") == 2
    assert "holds labels made with another table and table_sha256; give --output" in capsys.readouterr().err
    assert run(root, "--segmenter", "files", "--maps", maps, "--table", "none", "--output", tmp_path / "other") == 0
    other = tmp_path / "other/sequences/90"
    assert not (other / "pseudo_labels").is_symlink() and (other / "image_2").is_symlink()
    assert read_classes(tiny_sequence.path / "pseudo_labels/000000.png")[10, 41] == TRUNK
    assert read_classes(other / "pseudo_labels/000000.png")[10, 41] == VEGETATION
    assert yaml.safe_load((other / "pseudo_labels/recipe.yaml").read_text())["table"] == "none"


def test_pictures_of_every_second_frame(root, maps, tiny_sequence):
    assert run(root, "--segmenter", "files", "--maps", maps) == 0
    assert run(root, "--segmenter", "files", "--maps", maps, "--overlays", 2) == 0  # finished frames get theirs too
    pictures = sorted(path.name for path in (tiny_sequence.path / "pseudo_label_overlays").iterdir())
    assert pictures == ["000000.png", "000002.png"]


def test_only_every_second_frame(root, maps, tiny_sequence):
    assert run(root, "--segmenter", "files", "--maps", maps, "--every", 2) == 0
    written = {path.stem for path in (tiny_sequence.path / "pseudo_labels").glob("*.png")}
    assert written == {frame for frame in tiny_sequence.frames if int(frame) % 2 == 0} != set(tiny_sequence.frames)


def test_an_overlay_shows_the_classes_and_leaves_the_unknown():
    image, classes = np.full((40, 300, 3), 100, np.uint8), np.full((40, 300), IGNORE, np.uint8)
    classes[20:] = ROAD
    picture = overlay(image, classes, opacity=0.5)
    assert picture.shape[1] == 300 and picture.shape[0] > 40
    assert (picture[:20] == 100).all()
    np.testing.assert_allclose(picture[30, 5], (100 + COLORS[ROAD].astype(float)) / 2, atol=1)
    assert (picture[40:] == COLORS[ROAD]).all(-1).any()


def damage_image(root, maps):
    path = root / "sequences/90/image_2/000001.png"
    path.write_bytes(path.read_bytes()[:-30])


def damage_map(root, maps):
    path = maps / "sequences/90/mseg/000001.png"
    path.write_bytes(path.read_bytes()[:-30])


def lose_mask(root, maps):
    (maps / "sequences/90/masks/trunk/000001.png").unlink()


def resize_map(root, maps):
    write_png(maps / "sequences/90/mseg/000001.png", np.zeros((32, 95), np.uint8))


def colour_map(root, maps):
    write_png(maps / "sequences/90/mseg/000001.png", np.zeros((*SHAPE, 3), np.uint8))


def foreign_id(root, maps):
    write_png(maps / "sequences/90/mseg/000001.png", np.full(SHAPE, 200, np.uint8))


def damage_npz(root, maps):
    (maps / "sequences/90/mseg/000001.npz").write_bytes(b"PK\x03\x04 and no more")


def empty_npz(root, maps):
    np.savez(maps / "sequences/90/mseg/000001.npz", ids=np.zeros(SHAPE, np.uint8))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (damage_image, "image_2/000001.png: not a whole PNG"),
        (damage_map, "mseg/000001.png: not a whole PNG"),
        (lose_mask, "masks/trunk/000001.png: cannot be read: No such file"),
        (resize_map, "mseg/000001.png: shape (32, 95); expected (32, 96)"),
        (colour_map, "mseg/000001.png: has 3 channels; expected a gray PNG"),
        (foreign_id, "sequence 90, frame 000001: MSeg id 200"),
        (damage_npz, "mseg/000001.npz: not a readable npz"),
        (empty_npz, "mseg/000001.npz: no array 'mask trunk' in it; found ['ids']"),
    ],
)
def test_bad_input_is_one_line_that_names_it(root, maps, capsys, harm, message):
    harm(root, maps)
    assert run(root, "--segmenter", "files", "--maps", maps) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("occ-data pseudo-labels: ") and message in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--segmenter", "files"), "goes with --maps"),
        (("--segmenter", "files", "--maps", "nowhere"), "nowhere: no folder 'sequences'"),
        (("--segmenter", "transformers"), "goes with --model"),
        (("--segmenter", "synthetic"), "pixel_labels/000000.png: missing; make the drive with its pixels' labels"),
        (("--segmenter", "synthetic", "--overlays", -1), "expected 0 or more"),
    ],
)
def test_missing_arguments_are_named(root, capsys, arguments, message):
    assert run(root, *arguments) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_a_finished_label_that_is_no_class_map_is_named(root, maps, tiny_sequence, capsys):
    assert run(root, "--segmenter", "files", "--maps", maps) == 0
    write_png(tiny_sequence.path / "pseudo_labels/000001.png", np.full(SHAPE, 77, np.uint8))
    assert run(root, "--segmenter", "files", "--maps", maps) == 2
    assert "pseudo_labels/000001.png: value 77; expected 8-bit classes" in capsys.readouterr().err


def test_labels_without_a_recipe_are_not_written_over(root, maps, tiny_sequence, capsys):
    write_png(tiny_sequence.path / "pseudo_labels/000000.png", np.zeros(SHAPE, np.uint8))
    assert run(root, "--segmenter", "files", "--maps", maps) == 2
    assert "holds labels but no recipe.yaml" in capsys.readouterr().err


def test_help_shows_the_layouts_and_examples(capsys):
    with pytest.raises(SystemExit) as end:
        run("--help")
    out = capsys.readouterr().out
    assert end.value.code == 0 and "masks/PROMPT/NNNNNN.png" in out and "occ-data pseudo-labels " in out


def test_iou_counts_unknown_as_wrong_and_leaves_unknown_truth_out():
    exact = np.array([[1, 1, 1, 2, 255, 255]], np.uint8)
    labels = np.array([[1, 255, 2, 2, 1, 255]], np.uint8)
    iou = class_iou(confusion(labels, exact))
    assert iou[1] == pytest.approx(1 / 3) and iou[2] == pytest.approx(1 / 2) and np.isnan(iou[3])
    assert mean_iou(confusion(labels, exact)) == pytest.approx((1 / 3 + 1 / 2) / 2)


def test_the_report_adds_frames_up():
    report = Report()
    report.add(np.array([[9, 255]], np.uint8), np.array([[98, 142]], np.uint8), np.array([[9, 255]], np.uint8))
    report.add(np.array([[9, 9]], np.uint8))  # of an earlier run
    lines = "\n".join(report.lines())
    assert lines.split()[:3] == ["class", "share", "IoU"]
    assert "road 75.00% 1.000" in " ".join(lines.split()) and "unknown (255) 25.00%" in " ".join(lines.split())
    assert "sky 50.00%" in lines and "mIoU against the exact labels: 1.0000" in lines


def test_a_class_map_must_be_one(tmp_path):
    write_png(tmp_path / "a.png", np.zeros(SHAPE, np.uint16))
    with pytest.raises(DataError, match=r"a\.png: uint16; expected 8-bit classes"):
        read_classes(tmp_path / "a.png")
