"""OccLE's table 3: its networks, one training of phase I, and the table from made-up figures."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")
pytest.importorskip("lightning", reason="needs lightning (the train extra)")

from safetensors.torch import load_file  # noqa: E402

from benchmarks.report import RESULTS_PAGE, fill  # noqa: E402
from experiments.extractors import OURS, SHOWN, UNALIGNED, main, rows_of, tables, times  # noqa: E402
from experiments.rows import folder_of  # noqa: E402
from occ_data.kitti import Sequence, write_png  # noqa: E402
from occ_models.config import load_config  # noqa: E402
from occ_models.layers.espnet import ESPNetV2  # noqa: E402
from occ_models.occle.config import OccLEConfig  # noqa: E402
from occ_models.occle.semantic import SemanticBranch  # noqa: E402
from occ_models.recipe import network_of  # noqa: E402
from occ_models.weights import WEIGHTS  # noqa: E402

from .test_rows import OCCLE_SETUP  # noqa: E402

PICO = str(Path(__file__).parents[1] / "occ_models" / "pico.yaml")
SETUP = replace(OCCLE_SETUP, size=PICO, drives={**OCCLE_SETUP.drives, "unaligned": ["other"]})


def configs() -> dict[str, OccLEConfig]:
    rows = rows_of(SETUP)
    return {n: network_of(load_config(PICO, OccLEConfig), row.recipe(SETUP.recipe)) for n, row in rows.items()}


def test_rows_differ_in_one_extractor():
    made = configs()
    ours = made[OURS]
    assert set(made) == {*SHOWN["image"], *SHOWN["LiDAR"]} and made[UNALIGNED] == ours
    assert (ours.sparse_layers, ours.semantic_header) == (3, "lidar")
    for name, layers in (("1 layer", 1), ("2 layers", 2)):
        assert made[name] == replace(ours, sparse_layers=layers)
    for name in ("ESPNetv2", "MobileNetV2"):
        assert made[name] == replace(ours, semantic_image=made[name].semantic_image) != ours
    assert made["ESPNetv2"].semantic_image.stages == len(ours.semantic_image.depths)
    assert isinstance(SemanticBranch(made["ESPNetv2"]).image.encoder, ESPNetV2)


def test_rows_whose_labels_there_are_not_are_left_out():
    assert UNALIGNED not in rows_of(replace(SETUP, drives={"train": [], "validation": []}))


def test_every_extractor_is_timed():
    found = times({"1 layer": configs()["1 layer"]}, torch.device("cpu"), repeats=1)
    assert set(found) == {"1 layer"} and set(found["1 layer"]) == {"image", "LiDAR"}
    assert all(value > 0 for value in found["1 layer"].values())


def test_the_table_leaves_out_rows_that_were_not_trained():
    rows = {
        name: {"semantic": {"miou_2d": [n, n + 1.0], "miou_3d": [2.0 * n, 2.0 * n]},
               "milliseconds": {"image": 4.0 + n, "LiDAR": 40.0 + n}}
        for n, name in enumerate(rows_of(SETUP))
    }  # fmt: skip
    made = tables(SETUP, rows)
    fill(RESULTS_PAGE.read_text(), made)
    lines = made["occle_extractors"].splitlines()[2:]
    assert lines[0] == "| image: ESPNetv2 | 6.00 | 2.50 ± 0.71 | 4.00 ± 0.00 |"
    assert len(lines) == sum(len(names) for names in SHOWN.values())
    del rows[UNALIGNED]
    assert UNALIGNED not in tables(SETUP, rows)["occle_extractors"] and tables(SETUP, {}) == {}


def test_phase_one_is_trained_on_the_labels_of_the_row(street, tmp_path, capsys):
    other = shutil.copytree(street, tmp_path / "other" / street.name)
    unknown = np.full_like(Sequence(other).pseudo_labels("000000"), 255)  # nothing to learn
    for label in (other / "pseudo_labels").glob("*.png"):
        write_png(label, unknown)
    recipe = tmp_path / "short.yaml"
    recipe.write_text(yaml.safe_dump({"training": {"batch": 1, "pictures": 0}}))
    data = ["--train", str(street), "--validation", str(street), "--unaligned", str(other), "--output", str(tmp_path)]
    options = ["--size", PICO, "--recipe", str(recipe), "--steps", "1", "--processes", "1", "--seeds", "0"]
    assert main([*data, *options, "--rows", OURS, UNALIGNED]) == 0
    said = capsys.readouterr().out
    assert f"| image: {OURS} |" in said and f"| LiDAR: {UNALIGNED} |" in said and "ESPNetv2" not in said
    one, another = (load_file(folder_of(tmp_path, name, 0) / "semantic" / WEIGHTS) for name in (OURS, UNALIGNED))
    assert any(not torch.equal(value, another[name]) for name, value in one.items())


def test_an_unknown_size_is_one_line(tmp_path, capsys):
    assert main(["--size", "huge", "--output", str(tmp_path)]) != 0
    assert "huge.yaml: no such configuration" in capsys.readouterr().err and not list(tmp_path.iterdir())
