"""Label efficiency: which phases a share trains, the chart, and the table, from made-up figures and a tiny training."""

from pathlib import Path

import numpy as np
import pytest
import yaml

pytest.importorskip("torch", reason="needs torch (the train extra)")
pytest.importorskip("lightning", reason="needs lightning (the train extra)")

from benchmarks.report import RESULTS_PAGE, fill
from experiments.chart import share_chart
from experiments.label_efficiency import chart_of, main, name_of, rows_of, tables
from experiments.rows import folder_of
from occ_cli.drawing.canvas import PAPER

from .test_rows import OCCLE_SETUP

PICO = str(Path(__file__).parents[1] / "occ_models" / "pico.yaml")
SHARES = [0.01, 0.1, 1.0]


@pytest.fixture
def measured():
    return {
        name_of(share): {"joint": {"miou": [20 + 5 * n, 21 + 5 * n], "iou": [50, 60]}} for n, share in enumerate(SHARES)
    }


def line_of(panel: np.ndarray) -> np.ndarray:
    """Where the line is, (h, w) bool: the pixels that are clearly blue."""
    red, blue = (panel[..., n].astype(int) for n in (0, 2))
    return blue - red > 80


def test_phase_one_is_trained_once_and_nothing_is_left_for_a_student_of_all_labels():
    base = OCCLE_SETUP.recipe
    rows = rows_of(SHARES, OCCLE_SETUP)
    assert rows["1 %"].phases(base) == ("semantic", "teacher", "student", "joint")
    assert rows["10 %"].phases(base) == ("teacher", "student", "joint") and rows["10 %"].taken(base) == ("semantic",)
    assert rows["100 %"].phases(base) == ("teacher", "joint")
    assert rows["100 %"].recipe(base).teacher_steps == 2 * rows["10 %"].recipe(base).teacher_steps
    assert list(rows_of([1.0], OCCLE_SETUP)) == ["100 %"]


def test_the_table_compares_with_the_largest_share(measured):
    made = tables(OCCLE_SETUP, measured)
    fill(RESULTS_PAGE.read_text(), made)
    lines = made["occle_label_efficiency"].splitlines()
    assert lines[0].endswith("| of the mIoU of 100 % |")
    assert lines[2] == "| 1 % | 20.50 ± 0.71 | 55.00 ± 7.07 | 67 % |" and lines[4].endswith("| 100 % |")


def test_the_chart_rises_where_the_figures_do(measured):
    picture = chart_of(SHARES, measured)
    assert picture.dtype == np.uint8 and picture.shape[2] == 3 and (picture[0, 0] == PAPER).all()
    rising, level = np.split(picture[:, : picture.shape[1] // 2 * 2], 2, axis=1)
    tops = []
    for panel in (rising, level):
        columns = np.flatnonzero(line_of(panel).any(0))
        line = [np.flatnonzero(line_of(panel)[:, u]).mean() for u in (columns[0] + 15, columns[-1] - 15)]
        tops.append(line[0] - line[1])
    assert tops[0] > 50 and abs(tops[1]) < 5


@pytest.mark.parametrize("values", [{1.0: [0.0]}, {0.1: [99.9, 100.0], 1.0: [100.0, 100.0]}, {0.02: [0.3], 0.5: [0.1]}])
def test_every_figure_is_inside_the_chart(values):
    picture = share_chart({"mIoU, %": values})
    assert line_of(picture).any()
    border = np.concatenate([picture[:4].reshape(-1, 3), picture[-4:].reshape(-1, 3), picture[:, -4:].reshape(-1, 3)])
    assert (border == PAPER).all()


def test_two_shares_are_trained_and_measured(street, tmp_path, capsys):
    recipe = tmp_path / "short.yaml"
    recipe.write_text(yaml.safe_dump({"training": {"batch": 1, "pictures": 0}}))
    data = ["--train", str(street), "--validation", str(street), "--output", str(tmp_path), "--seeds", "0"]
    options = ["--size", PICO, "--recipe", str(recipe), "--steps", "1", "--processes", "1", "--shares", "0.4", "1"]
    assert main([*data, *options]) == 0
    said = capsys.readouterr().out
    assert "| 40 % |" in said and "| 100 % |" in said and (tmp_path / "label_efficiency.png").is_file()
    assert (folder_of(tmp_path, "100 %", 0) / "semantic").is_symlink()


def test_shares_that_are_none_are_refused(tmp_path, capsys):
    for share in ("0", "1.5"):
        with pytest.raises(SystemExit):
            main(["--shares", share, "--output", str(tmp_path)])
        assert "above 0 and at most 1" in capsys.readouterr().err
