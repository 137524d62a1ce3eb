"""Folds leave every drive out once, and a tiny training on one goes through to its table."""

import argparse
import json
import shutil

import pytest

pytest.importorskip("torch", reason="needs torch (the train extra)")
pytest.importorskip("lightning", reason="needs lightning (the train extra)")

from safetensors.torch import load_file

from benchmarks.robustness import table
from experiments.cross_validation import FIGURES, FOLDS, fold_of, folder_of, main, mean_rows, train_fold, with_steps
from occ_core.errors import InputError
from occ_core.files import write_yaml
from occ_models.config import to_dict
from occ_models.occle.recipe import OccLERecipe
from occ_models.recipe import load_recipe

from ..occ_models.conftest import PICO, sequence  # noqa: F401


def test_every_drive_is_left_out_once():
    drives = list("abcdefg")
    folds = [fold_of(drives, fold) for fold in range(FOLDS)]
    assert sorted(drive for _, held_out in folds for drive in held_out) == drives
    assert all(sorted(training + held_out) == drives for training, held_out in folds)


def test_steps_replace_epochs_and_unknown_phases_are_named():
    recipe = with_steps(OccLERecipe(joint_steps=0, joint_epochs=3.0), {"joint": 7}, seed=4)
    assert (recipe.joint_steps, recipe.joint_epochs, recipe.training.seed) == (7, 0.0, 4)
    with pytest.raises(InputError, match="--steps depth: expected phases of semantic"):
        with_steps(OccLERecipe(), {"depth": 7}, seed=0)


def test_means_are_of_the_folds_that_have_a_figure():
    folds = [{"a": {"iou": 1.0, "ece": None}, "b": {"iou": 9.0}}, {"a": {"iou": 3.0, "ece": 4.0}}]
    assert mean_rows(folds) == {"a": {"iou": 2.0, "ece": 4.0}}


def test_a_fold_is_trained_and_measured(sequence, tmp_path):  # noqa: F811
    drives = [shutil.copytree(sequence, tmp_path / "data" / "sequences" / f"0{n}") for n in range(3)]
    arguments = argparse.Namespace(
        network="occle", train=[str(drive) for drive in drives], also=[], size=str(PICO), steps={"joint": 1},
        initial=None, every=2, seed=0, offset=0.0, output=tmp_path / "out",
    )  # fmt: skip
    train_fold(arguments, "supervised", 1)
    rows = json.loads((folder_of(arguments.output, "supervised", 1) / FIGURES).read_text())
    assert {"the scan itself", "constant prediction", "full sensor", "intensity 0", "no LiDAR"} <= set(rows)
    assert rows["constant prediction"]["iou"] > 10
    assert table(rows).count("\n") == len(rows) + 1
    before = load_file(folder_of(arguments.output, "supervised", 1) / "model.safetensors")
    train_fold(arguments, "supervised", 1)  # complete: at once

    recipe = tmp_path / "more.yaml"
    write_yaml(recipe, to_dict(load_recipe("supervised", OccLERecipe)) | {"training": {"keep_initial": 0.999}})
    arguments.initial, arguments.offset = f"{arguments.output}/supervised/fold{{fold}}", -9.0
    train_fold(arguments, str(recipe), 1)
    folder = folder_of(arguments.output, recipe, 1)
    after = load_file(folder / "model.safetensors")
    parameters = [name for name in before if name.endswith("weight")]
    assert all(after[name].allclose(before[name], atol=1e-3) for name in parameters)
    emptier = json.loads((folder / FIGURES).read_text())
    assert emptier["full sensor"]["recall"] < rows["full sensor"]["recall"]


def test_too_few_drives_are_one_line(capsys):
    assert main(["--train", "a", "b"]) == 2
    assert "--train: 2 drives; expected 3 or more" in capsys.readouterr().err
