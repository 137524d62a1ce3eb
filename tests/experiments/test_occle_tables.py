"""OccLE's tables: from made-up figures, and two rows trained for a step."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

pytest.importorskip("torch", reason="needs torch (the train extra)")
pytest.importorskip("lightning", reason="needs lightning (the train extra)")

from benchmarks.report import RESULTS_PAGE, fill
from experiments import occle_tables, synergy
from experiments.figures import figures, spread
from experiments.occle_rows import rows_of
from experiments.occle_tables import tables
from experiments.rows import folder_of

from .test_rows import OCCLE_SETUP

PICO = Path(__file__).parents[1] / "occ_models" / "pico.yaml"
KEYS = ("iou", "miou", "miou_2d", "miou_3d")


@pytest.fixture
def rows():
    return {
        name: {phase: {key: [n + 1.0, n + 2.0] for key in KEYS} for phase in row.phases(OCCLE_SETUP.recipe)}
        for n, (name, row) in enumerate(rows_of(OCCLE_SETUP).items())
    }


def test_every_table_has_its_place_and_no_hole(rows):
    made = tables(OCCLE_SETUP, rows) | synergy.tables(OCCLE_SETUP, rows)
    fill(RESULTS_PAGE.read_text(), made)
    assert len(made) == 8 and not any("nan" in table for table in made.values())


def test_modules_are_shown_with_both_heads(rows):
    lines = tables(OCCLE_SETUP, rows)["occle_modules"].splitlines()[2:]
    assert [line.split(" | ")[1] for line in lines] == ["scan"] * 5 + ["fused"] * 5
    assert lines[0].startswith("| none | scan | 1.50 ± 0.71") and lines[5].startswith("| none | fused | 6.50 ± 0.71")


def test_shares_are_of_the_full_labels(rows):
    lines = tables(OCCLE_SETUP, rows)["occle_share"].splitlines()
    assert lines[2].startswith("| 100 % | ") and lines[2].endswith("| 100 % |")
    assert lines[3].startswith("| 10 % | ") and lines[3].endswith(f"| {100 * 5.5 / 11.5:.0f} % |")


def test_rows_that_were_not_measured_are_left_out(rows):
    made = tables(OCCLE_SETUP, {"none": rows["none"]})
    assert set(made) == {"occle_modules"} and len(made["occle_modules"].splitlines()) == 3
    assert not tables(replace(OCCLE_SETUP, seeds=[]), {})


def test_one_seed_has_no_spread():
    assert spread([3.0]) == "3.00"


def test_figures_are_those_of_the_last_measurement(tmp_path):
    log = folder_of(tmp_path, "10 %", 1) / "joint" / "logs" / "metrics.csv"
    log.parent.mkdir(parents=True)
    log.write_text("epoch,iou,miou,train/geo\n0,,,0.5\n0,10,5,\n0,,,0.4\n0,20,8,\n0,,,0.3\n")
    assert figures(folder_of(tmp_path, "10 %", 1), "joint") == {"epoch": 0.0, "iou": 20.0, "miou": 8.0}


def test_rows_are_trained_once_and_share_phases_with_another_head(street, tmp_path, capsys):
    recipe = tmp_path / "short.yaml"
    recipe.write_text(yaml.safe_dump({"share": 0.5, "training": {"batch": 1, "pictures": 0}}))
    data = ["--train", str(street), "--validation", str(street), "--output", str(tmp_path / "out"), "--seeds", "3"]
    options = ["--size", str(PICO), "--recipe", str(recipe), "--steps", "1", "--processes", "1"]
    # Both heads of a row that has no phase before phase I's: four trainings of one to three steps.
    command = [*options, *data, "--rows", "semantic, projection, fused head"]
    assert occle_tables.main(command) == 0
    said = capsys.readouterr()
    assert "| semantic, projection | fused |" in said.out
    folder = folder_of(tmp_path / "out", "semantic, projection, fused head", 3)
    assert (folder / "semantic").resolve() == folder_of(tmp_path / "out", "10 %", 3) / "semantic"
    assert "fresh weights, where they do not fit: head" in (folder / "joint.txt").read_text()
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert occle_tables.main([*command, "--seeds", "3"]) == 0
    assert "was complete" in capsys.readouterr().out and (folder / "model.safetensors").stat().st_mtime_ns == before


def test_an_unknown_row_is_one_line(street, tmp_path, capsys):
    data = ["--train", str(street), "--validation", str(street), "--output", str(tmp_path)]
    assert occle_tables.main([*data, "--rows", "unaligned"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("occle_tables: row 'unaligned': expected one of none, ") and said.count("\n") == 1
