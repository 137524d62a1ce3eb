"""OccLE's table 3: its networks, one training of phase I, and the table from made-up figures."""

import argparse
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")
pytest.importorskip("lightning", reason="needs lightning (the train extra)")

from safetensors.torch import load_file  # noqa: E402

from benchmarks.report import RESULTS_PAGE, fill  # noqa: E402
from experiments import table_data  # noqa: E402
from experiments.extractors import ROWS, SHOWN, config_of, main, measure, tables, times, train_extractors  # noqa: E402
from experiments.table_data import TableRun  # noqa: E402
from experiments.table_runs import folder_of  # noqa: E402
from occ_data.kitti import write_png  # noqa: E402
from occ_models.config import load_config  # noqa: E402
from occ_models.layers.espnet import ESPNetV2  # noqa: E402
from occ_models.occle.config import OccLEConfig  # noqa: E402
from occ_models.occle.semantic import SemanticBranch  # noqa: E402
from occ_models.weights import WEIGHTS  # noqa: E402

PICO = str(Path(__file__).parents[1] / "occ_models" / "pico.yaml")


@pytest.fixture
def threads():
    """Trainings of tables set the number of threads of their process."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_rows_differ_in_one_extractor():
    ours = config_of("pico", ROWS["ours, aligned"])
    assert ours == config_of("pico", ROWS["ours, unaligned"])
    assert ours.sparse_widths == (16, 32, 64) and ours.semantic_header == "lidar"
    for name, row in ROWS.items():
        config = config_of("pico", row)
        if row.layers < 3:
            assert config == replace(ours, sparse_widths=ours.sparse_widths[: row.layers]), name
        else:
            assert config == replace(ours, semantic_image=config.semantic_image), name
    image = config_of("pico", ROWS["ESPNetv2"]).semantic_image
    assert (image.name, image.stages) == ("espnetv2", len(load_config("pico", OccLEConfig).semantic_image.depths))
    assert isinstance(SemanticBranch(config_of("pico", ROWS["ESPNetv2"])).image.encoder, ESPNetV2)


def test_sparse_widths_of_a_size_are_its_own(tmp_path):
    (tmp_path / "wide.yaml").write_text(Path(PICO).read_text() + "sparse_widths: [6, 10, 12]\n")
    assert config_of(tmp_path / "wide.yaml", ROWS["2 layers"]).sparse_widths == (6, 10)


def test_every_extractor_is_timed():
    found = times({"1 layer": config_of(PICO, ROWS["1 layer"])}, torch.device("cpu"), repeats=1)
    assert set(found) == {"1 layer"} and set(found["1 layer"]) == {"image", "LiDAR"}
    assert all(value > 0 for value in found["1 layer"].values())


def test_the_table_leaves_out_rows_that_were_not_trained():
    rows = {name: {"miou_2d": [n, n + 1.0], "miou_3d": [2.0 * n, 2.0 * n]} for n, name in enumerate(ROWS)}
    spent = {name: {"image": 4.0 + n, "LiDAR": 40.0 + n} for n, (name, row) in enumerate(ROWS.items()) if row.aligned}
    made = tables({"rows": rows, "times": spent})
    fill(RESULTS_PAGE.read_text(), made)
    lines = made["occle_extractors"].splitlines()[2:]
    assert lines[0] == "| image: ESPNetv2 | 4.00 | 0.50 ± 0.71 | 0.00 ± 0.00 |"
    assert lines[2:4] == [
        "| image: ours, unaligned | 7.00 | 2.50 ± 0.71 | 4.00 ± 0.00 |",
        "| image: ours, aligned | 7.00 | 3.50 ± 0.71 | 6.00 ± 0.00 |",
    ]
    assert lines[4] == "| LiDAR: 1 layer | 44.0 | 4.50 ± 0.71 | 8.00 ± 0.00 |"
    assert len(lines) == sum(len(names) for names in SHOWN.values())
    del rows["ours, unaligned"]
    assert "unaligned" not in tables({"rows": rows, "times": spent})["occle_extractors"]


def test_phase_one_is_trained_on_the_labels_of_the_row_and_measured(tmp_path, labelled_drive, threads):
    aligned = tmp_path / "aligned" / labelled_drive.name
    shutil.copytree(labelled_drive, aligned)
    for label in (labelled_drive / "pseudo_labels").glob("*.png"):
        write_png(label, np.full((32, 96), 255, np.uint8))  # nothing is known, so there is nothing to learn
    table = TableRun(tmp_path / "out", PICO, (str(aligned),), (str(labelled_drive),), (str(aligned),), 1, 0)
    both = ("ours, aligned", "ours, unaligned")
    for name in both:
        train_extractors(table, name, 0)
        assert not (folder_of(table.root, name, 0) / "joint").exists()
    one, other = (load_file(folder_of(table.root, name, 0) / "semantic" / WEIGHTS) for name in both)
    assert any(not torch.equal(value, other[name]) for name, value in one.items())
    result = measure(table, [0], list(both))
    assert result["steps"] == 3 and set(result["times"]) == {"ours, aligned"}
    assert all(0 <= row[key][0] <= 100 for row in result["rows"].values() for key in ("miou_2d", "miou_3d"))
    assert len(tables(result)["occle_extractors"].splitlines()) == 6


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--train", "absent"], "--train and --validation: expected both"),
        (["--unaligned", "absent"], "--unaligned: goes with --train"),
        (["--train", "absent", "--validation", "absent"], "absent: expected a sequence folder"),
        (["--devices", "1000"], "--devices 1000: expected 0 to "),
        (["--size", "huge"], "huge.yaml: no such configuration"),
    ],
)
def test_what_cannot_be_trained_on_is_refused_at_once(tmp_path, capsys, options, words):
    assert main([*options, "--output", str(tmp_path)]) == 1
    assert words in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_without_drives_the_streets_are_used(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(table_data, "make_data", made.append)
    parser = argparse.ArgumentParser()
    table_data.add_options(parser, tmp_path)
    table = table_data.table_run(parser.parse_args(["--steps", "7"]), [])
    assert made == [tmp_path] and (len(table.train), len(table.unaligned), len(table.validation)) == (60, 60, 6)
    assert table.train[0] == str(tmp_path / "data/sequences/300") and "/unaligned/" in table.unaligned[0]
    for devices, accelerator in ((0, "cpu"), (2, "gpu")):
        training = replace(table, devices=devices).training(seed=4, steps=7)
        assert (training.seed, training.validate_every, training.devices) == (4, 7, 1)
        assert training.accelerator == accelerator
