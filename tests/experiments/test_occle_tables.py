"""The tables of OccLE's claims, from made-up figures."""

import re
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs torch (the train extra)")
pytest.importorskip("lightning", reason="needs lightning (the train extra)")

from benchmarks.report import RESULTS_PAGE, fill
from experiments.occle_runs import ROWS
from experiments.occle_tables import tables
from experiments.table_runs import figures, folder_of, spread
from occ_models.occle.recipe import OccLERecipe

KEYS = ("iou", "miou", "miou_2d", "miou_3d")


@pytest.fixture
def result():
    rows = {
        name: {phase: {key: [n + 1.0, n + 2.0] for key in KEYS} for phase in row.phases}
        for n, (name, row) in enumerate(ROWS.items())
    }
    return {"rows": rows}


def test_every_table_has_its_place_and_no_hole(result):
    made = tables(result)
    fill(RESULTS_PAGE.read_text(), made)
    assert len(made) == 6 and not any("nan" in table for table in made.values())


def test_shares_are_of_the_full_labels(result):
    lines = tables(result)["occle_share"].splitlines()
    assert lines[2].startswith("| 100 % | 2.50 ± 0.71 |") and lines[2].endswith("| 100 % |")
    assert lines[3].startswith("| 10 % | 1.50 ± 0.71 |") and lines[3].endswith("| 60 % |")


def test_one_seed_has_no_spread():
    assert spread([3.0]) == "3.00"


def test_rows_take_phases_only_from_rows_that_run_them_and_before():
    for row in ROWS.values():
        OccLERecipe(**row.recipe)
        for phase, other in row.takes.items():
            assert phase in ROWS[other].phases and phase not in row.phases
            assert OccLERecipe.all_phases.index(phase) < min(OccLERecipe.all_phases.index(own) for own in row.phases)


def test_rows_do_not_share_a_folder():
    folders = {folder_of(Path("out"), name, 0) for name in ROWS}
    assert len(folders) == len(ROWS) and all(re.fullmatch(r"[\w-]+", folder.name) for folder in folders)


def test_figures_are_those_of_the_last_measurement(tmp_path):
    log = folder_of(tmp_path, "10 %", 1) / "joint" / "logs" / "metrics.csv"
    log.parent.mkdir(parents=True)
    log.write_text("epoch,iou,miou,train/geo\n0,,,0.5\n0,10,5,\n0,,,0.4\n0,20,8,\n0,,,0.3\n")
    assert figures(folder_of(tmp_path, "10 %", 1), "joint") == {"epoch": 0.0, "iou": 20.0, "miou": 8.0}
