"""Label efficiency: which phases a share trains, the chart, and the table, from made-up figures and a tiny training."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")
pytest.importorskip("lightning", reason="needs lightning (the train extra)")

from benchmarks.report import RESULTS_PAGE, fill  # noqa: E402
from experiments.chart import share_chart  # noqa: E402
from experiments.figure_3 import chart_of, main, measure, name_of, phases_of, recipe_of, tables, train_share  # noqa: E402
from experiments.table_data import TableRun  # noqa: E402
from experiments.table_runs import folder_of  # noqa: E402
from occ_cli.drawing.canvas import PAPER  # noqa: E402

PICO = str(Path(__file__).parents[1] / "occ_models" / "pico.yaml")
SHARES = [0.01, 0.1, 1.0]


@pytest.fixture
def result():
    rows = {name_of(share): {"miou": [20 + 5 * n, 21 + 5 * n], "iou": [50, 60]} for n, share in enumerate(SHARES)}
    return {"shares": SHARES, "rows": rows}


@pytest.fixture
def threads():
    """Trainings of tables set the number of threads of their process."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def line_of(panel: np.ndarray) -> np.ndarray:
    """Where the line is, (h, w) bool: the pixels that are clearly blue."""
    red, blue = (panel[..., n].astype(int) for n in (0, 2))
    return blue - red > 80


def test_phase_one_is_trained_once_and_nothing_is_left_for_a_student_of_all_labels():
    assert phases_of(0.01, SHARES) == ("semantic", "teacher", "student", "joint")
    assert phases_of(0.1, SHARES) == ("teacher", "student", "joint")
    assert phases_of(1.0, SHARES) == ("teacher", "joint")
    for share in SHARES:
        recipe = recipe_of(share, 10)
        geometric = recipe.teacher_steps + (recipe.student_steps if share < 1 else 0)
        assert (recipe.semantic_steps, geometric, recipe.joint_steps) == (30, 20, 20)


def test_the_table_compares_with_the_largest_share(result):
    made = tables(result)
    fill(RESULTS_PAGE.read_text(), made)
    lines = made["occle_figure_3"].splitlines()
    assert lines[0].endswith("| of the mIoU of 100 % |")
    assert lines[2] == "| 1 % | 20.50 ± 0.71 | 55.00 ± 7.07 | 67 % |" and lines[4].endswith("| 100 % |")


def test_the_chart_rises_where_the_figures_do(result):
    picture = chart_of(result)
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


def test_two_shares_are_trained_and_measured(tmp_path, labelled_drive, threads):
    drive, shares = (str(labelled_drive),), [0.4, 1.0]
    table = TableRun(tmp_path / "out", PICO, drive, (), drive, 1, 0)
    for phase in ("semantic", "teacher", "student", "joint"):
        for share in shares:
            if phase in phases_of(share, shares):
                train_share(table, shares, share, 0, phase)
    assert (folder_of(table.root, "100 %", 0) / "semantic").is_symlink()
    result = measure(table, [0], shares)
    assert list(result["rows"]) == ["40 %", "100 %"]
    assert all(0 <= row[key][0] <= 100 for row in result["rows"].values() for key in ("miou", "iou"))
    assert line_of(chart_of(result)).any()


def test_shares_that_are_none_are_refused(tmp_path, capsys):
    for share in ("0", "1.5"):
        with pytest.raises(SystemExit):
            main(["--shares", share, "--output", str(tmp_path)])
        assert "above 0 and at most 1" in capsys.readouterr().err
