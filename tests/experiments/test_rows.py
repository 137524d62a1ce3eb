"""Rows: what they change, which phases they train and take, and how many frames they see."""

import re
from argparse import Namespace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs torch (the train extra)")
pytest.importorskip("lightning", reason="needs lightning (the train extra)")

from experiments import monoocc_rows, monoocc_tables, occle_rows
from experiments.departures import OUR_OPTIMISER, PAPER
from experiments.occle_rows import ALL, LENGTHS
from experiments.paper_values import paper_changes
from experiments.rows import Row, folder_of, with_taken
from experiments.setup import setup_of
from occ_models.config import ConfigError, load_config
from occ_models.monoocc.config import MonoOccConfig
from occ_models.networks import MONOOCC, OCCLE
from occ_models.recipe import frames_per_step, load_recipe, network_of


def setup(network, lengths, defaults=None, **given):
    options = {
        "size": "pico", "recipe": None, "train": None, "validation": None, "steps": None, "seeds": [0], "list": False,
        "devices": 0, "processes": None, "output": Path("out"),
    }  # fmt: skip
    drives = {"train": [], "validation": [], "unaligned": []}
    return setup_of(Namespace(**options | given), network, defaults or {}, lengths, lambda root: drives)


OCCLE_SETUP = setup(OCCLE, LENGTHS)
MONOOCC_SETUP = setup(MONOOCC, monoocc_rows.LENGTHS, monoocc_rows.DEFAULTS)
LARGE = load_config("pico-l", MonoOccConfig)
TABLES = [
    (OCCLE_SETUP, occle_rows.rows_of(OCCLE_SETUP), ALL),
    (MONOOCC_SETUP, monoocc_rows.rows_of(MONOOCC_SETUP, LARGE), monoocc_rows.SHARED),
]
both = pytest.mark.parametrize(("setup", "rows", "base"), TABLES, ids=["occle", "monoocc"])


@both
def test_every_row_is_a_recipe_and_a_network_and_has_a_folder_of_its_own(setup, rows, base):
    for row in rows.values():
        assert network_of(load_config(setup.size, setup.network.config), row.recipe(setup.recipe))
    folders = {folder_of(Path("out"), name, 0).name for name in rows}
    assert len(folders) == len(rows) and all(re.fullmatch(r"[\w.+-]+", folder) for folder in folders)


@both
def test_what_a_row_takes_is_trained_by_other_rows(setup, rows, base):
    for name, row in rows.items():
        assert not set(row.taken(setup.recipe)) & set(row.phases(setup.recipe))
        trained = with_taken([name], rows, setup.recipe)
        assert trained[name] == set(row.phases(setup.recipe))
        assert set(row.taken(setup.recipe)) <= set().union(*trained.values())


def test_a_part_of_the_table_has_the_phases_that_its_rows_take_and_no_others():
    rows = TABLES[0][1]
    assert with_taken(["semantic, projection"], rows, OCCLE_SETUP.recipe) == {
        "semantic, projection": {"joint"}, ALL: {"semantic"}
    }  # fmt: skip
    fused = with_taken(["geometric, projection, fused head"], rows, OCCLE_SETUP.recipe)
    assert fused == {"geometric, projection, fused head": {"joint"}, "geometric, projection": {"teacher", "student"}}
    with pytest.raises(ConfigError, match="row 'huge': expected one of none, "):
        with_taken(["huge"], rows, OCCLE_SETUP.recipe)


@both
def test_the_papers_recipe_sees_as_many_frames_in_each_phase(setup, rows, base):
    ours, phases = rows[base].recipe(setup.recipe), rows[base].phases(setup.recipe)
    for name in (OUR_OPTIMISER, PAPER):
        recipe = rows[name].recipe(setup.recipe)
        assert rows[name].phases(setup.recipe) == phases
        for phase in phases:
            seen = [getattr(r, f"{phase}_steps") * frames_per_step(r.training) for r in (ours, recipe)]
            assert seen[0] == seen[1] > 0
        assert recipe.training.average == 0
    assert rows[PAPER].recipe(setup.recipe).training.batch == 1


def test_a_departures_row_has_the_values_of_the_recipe_that_ships():
    rows, paper = TABLES[0][1], load_recipe("paper", OCCLE.recipe)
    for name, departure in occle_rows.departures().items():
        assert rows[name].changes == paper_changes(OCCLE, *departure.settings)
    assert rows["keep"].recipe(OCCLE_SETUP.recipe).keep == paper.keep
    assert rows["loss_weights.ce"].recipe(OCCLE_SETUP.recipe).loss_weights.ce_occupied == paper.loss_weights.ce_occupied
    assert {f"network.{name}" for name in paper.network} <= set(rows)


def test_settings_of_the_network_are_those_of_the_papers_network():
    paper, rows = load_config("paper-s", MonoOccConfig), TABLES[1][1]
    row = rows[PAPER].recipe(MONOOCC_SETUP.recipe)
    network = network_of(load_config("pico", MonoOccConfig), row)
    for name in monoocc_rows.NETWORK_SETTINGS:
        assert getattr(network, name) == getattr(paper, name) != getattr(load_config("pico", MonoOccConfig), name)
        assert rows[f"network.{name}"].changes["network"] == {name: getattr(paper, name)}


def test_with_the_papers_recipe_nothing_departs():
    given = setup(OCCLE, LENGTHS, recipe="paper", steps=10)
    assert given.recipe.joint_steps == 20 and given.recipe.joint_epochs == 0
    assert not set(occle_rows.departures()) & set(occle_rows.rows_of(given))
    assert setup(OCCLE, LENGTHS, recipe="paper").recipe.joint_epochs == 40


def test_lengths_are_factors_on_steps_and_epochs():
    assert Row({}, lengths={"teacher": 2}).recipe(OCCLE_SETUP.recipe).teacher_steps == 800
    paper = load_recipe("paper", OCCLE.recipe)
    assert Row({}, lengths={"teacher": 2}).recipe(paper).teacher_epochs == 200


def test_the_rows_are_those_of_table_2():
    switches = list(monoocc_rows.TABLE_2.values())
    assert len(set(switches)) == 8 and len(switches) == 9
    rows = TABLES[1][1]
    teachers = [rows[name].changes["teacher"] for name in ("all, small teacher", "all")]
    assert [Path(file).stem for file in teachers] == ["small", "large"]


def test_the_small_teacher_has_the_students_backbone_and_the_other_ones_views():
    student = load_config("pico", MonoOccConfig)
    made = monoocc_rows.teachers(student, LARGE)
    for which in ("small", "paper"):
        assert made[which].image == student.image != LARGE.image
        assert (made[which].views, made[which].cross_view) == (LARGE.views, LARGE.cross_view)
    assert made["paper"].depth_encoder == "own"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--size", "huge"], "no such configuration"),
        (["--train", "data"], "expected both, or none of them"),
        (["--recipe", "paper"], "no such configuration; shipped are monoocc-paper"),
        (["--devices", "99"], "--devices 99: expected 0 to"),
    ],
)
def test_options_that_cannot_be_used_are_one_line(given, words, tmp_path, capsys):
    assert monoocc_tables.main([*given, "--output", str(tmp_path), "--teacher", "pico-l"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("monoocc_tables: ") and words in said and said.count("\n") == 1
