"""MonoOcc's training on a tiny data set: depth, privileged teacher, student, and what is refused."""

import csv
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")
pytest.importorskip("lightning", reason="needs lightning (the train extra)")

import lightning  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from occ_data import DataError, Sequence  # noqa: E402
from occ_data.kitti import write_png  # noqa: E402
from occ_models.checkpoint import load_checkpoint  # noqa: E402
from occ_models.config import ConfigError, load_config  # noqa: E402
from occ_models.data import collate, inputs_of  # noqa: E402
from occ_models.monoocc import teacher_features  # noqa: E402
from occ_models.monoocc.config import MonoOccConfig  # noqa: E402
from occ_models.monoocc.depth import depth_loss  # noqa: E402
from occ_models.monoocc.internimage import SIZES, InternImage, InternImageSize  # noqa: E402
from occ_models.monoocc.model import MonoOcc  # noqa: E402
from occ_models.monoocc.recipe import LOSS_WEIGHTS, MonoOccRecipe  # noqa: E402
from occ_models.monoocc.tasks import OccupancyTask  # noqa: E402
from occ_models.monoocc.trainer import MonoOccTraining  # noqa: E402
from occ_models.phases import TrainingRun, train  # noqa: E402
from occ_models.recipe import load_recipe  # noqa: E402
from occ_models.training import Task  # noqa: E402

from .monoocc_runs import (  # noqa: E402
    MONO,
    MONO_L,
    PLAIN,
    QUICK,
    TAUGHT,
    another,
    files,
    parts_that_differ,
    phases_of,
    run_of,
    start,
    weights,
)


@pytest.fixture(scope="module")
def trained(sequence, tmp_path_factory) -> Path:
    """Output folder of all phases; no test changes it."""
    folder = tmp_path_factory.mktemp("trained")
    start(sequence, folder, TAUGHT)
    return folder


# Phases


def test_every_phase_leaves_weights_and_what_it_measured(trained):
    figures = {"iou", "precision", "recall"}
    for phase, path in {"depth": MONO, "teacher": MONO_L, "student": MONO}.items():
        assert load_checkpoint(trained / phase).config == load_config(path, MonoOccConfig)
        with (trained / phase / "logs" / "metrics.csv").open() as lines:
            (row,) = csv.DictReader(lines)
        more = {"cut_off"} if phase == "depth" else {"cut_off", "miou", "miou_present"}
        assert {name for name in row if "/" not in name} == figures | more | {"step"} and row["step"] == "2"
    assert (trained / "model.safetensors").read_bytes() == (trained / "student" / "model.safetensors").read_bytes()
    assert not [path for path in trained.rglob("*") if ".tmp" in path.name]


def test_the_weights_of_the_losses_are_kept_with_the_results(trained):
    kept = {
        phase: yaml.safe_load((trained / phase / "loss_weights.yaml").read_text()) for phase in MonoOccRecipe.all_phases
    }
    assert kept["depth"] == {"depth": 1, "proposals": 1}
    left_out = {"ssc": 2, "ce": 0}  # other forms of the cross entropy
    assert kept["student"] | left_out == LOSS_WEIGHTS | {"unseen": 0.3} and not left_out.keys() & kept["student"].keys()
    assert kept["student"]["ce_occupied"] == 6 and kept["student"]["iou"] == 0
    assert "distill" not in kept["teacher"]


def test_what_it_was_trained_with_is_written_down(trained, sequence):
    assert load_recipe(trained / "training.yaml", MonoOccRecipe) == TAUGHT
    assert yaml.safe_load((trained / "config.yaml").read_text())["model"] == "monoocc"
    assert yaml.safe_load((trained / "data.yaml").read_text())["train"] == [str(sequence)]


def test_second_run_leaves_everything_alone(trained, sequence, capsys):
    before = files(trained)
    assert start(sequence, trained, TAUGHT) == trained
    assert files(trained) == before
    assert capsys.readouterr().out.count("complete") == 3


def test_depth_phase_teaches_depth_and_proposals_alone(sequence, tmp_path):
    lightning.seed_everything(QUICK.seed, verbose=False)
    fresh = MonoOcc(load_config(MONO, MonoOccConfig)).state_dict()
    start(sequence, tmp_path, only=("depth",))
    assert parts_that_differ(fresh, weights(tmp_path / "depth")) == {"encoder", "depth", "proposals"}


def test_teacher_and_student_start_with_the_weights_of_the_depth_phase(trained, sequence, capsys):
    depth, phases = weights(trained / "depth"), phases_of(run_of(sequence, trained, TAUGHT))
    student, teacher = (phases[name].task().model.state_dict() for name in ("student", "teacher"))
    for name, value in depth.items():
        if name.startswith(("encoder", "depth", "proposals")):
            assert torch.equal(student[name], value), name
        if name.startswith("proposals"):
            assert torch.equal(teacher[name], value), name
    said = capsys.readouterr().out.splitlines()
    ending = "pico-l has another than pico; it starts with fresh weights"
    assert said == [f"{name}: {ending}" for name in ("encoder", "depth")]


def test_nothing_of_the_teacher_is_in_its_students_checkpoint(trained):
    assert set(weights(trained / "student")) == set(weights(trained / "depth"))
    state = torch.load(trained / "student" / "last.ckpt", weights_only=True)["state_dict"]
    own = set(weights(trained / "student"))
    wanted = {f"{kind}.{name}" for kind in ("model", "average.module") for name in own}
    assert set(state) == wanted | {"average.n_averaged"}


def test_a_teacher_does_not_change_while_its_student_learns(trained, sequence, tmp_path):
    folder = shutil.copytree(trained, tmp_path / "out", ignore=shutil.ignore_patterns("student", "training.yaml"))
    (folder / "model.safetensors").unlink()
    found, original = [], OccupancyTask.__init__

    def noted(task, model, training, steps, used, teacher=None):
        original(task, model, training, steps, used, teacher)
        found.append(teacher)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OccupancyTask, "__init__", noted)
        start(sequence, folder, TAUGHT)
    (teacher,) = found
    assert not teacher.training and not parts_that_differ(weights(trained / "teacher"), teacher.state_dict())


def test_initial_weights_take_the_place_of_the_depth_phase(trained, sequence, tmp_path):
    assert list(phases_of(run_of(sequence, tmp_path / "with", TAUGHT, trained))) == ["teacher", "student"]
    run = run_of(sequence, tmp_path, replace(PLAIN, student_steps=1), trained)
    assert list(phases_of(run)) == ["student"]
    train(run, MonoOccTraining(run).phases())
    assert not (tmp_path / "depth").exists()
    before, after = weights(trained), weights(tmp_path)
    # One step at a third of a small rate: the weights are hardly away from where they began.
    for name in ("queries.parts.0", "head.occupancy.weight", "encoder.stem.0.0.weight"):
        difference = (after[name] - before[name]).abs().max()
        assert 0 < difference < 0.01, name


# Variants


VARIANTS = {
    "all phases, two samples a batch": {"teacher": str(MONO_L), "training": replace(QUICK, batch=2)},
    "nothing but voxel labels": {"image_labels": "none"},
    "pseudo labels": {"image_labels": "pseudo_labels"},
    "half of the labels": {"share": 0.5},
    "cached teacher, its student without labels of images": {
        "teacher": str(MONO_L),
        "teacher_features": "cached",
        "image_labels": "none",
    },
}


@pytest.mark.parametrize("name", VARIANTS)
def test_variant_trains(name, trained, sequence, tmp_path, monkeypatch):
    idle, original = set(), Task.configure_gradient_clipping

    def noted(task, *arguments, **named):
        idle.update(n for n, p in task.named_parameters() if p.requires_grad and p.grad is None)
        return original(task, *arguments, **named)

    monkeypatch.setattr(Task, "configure_gradient_clipping", noted)
    recipe = replace(PLAIN, **VARIANTS[name])
    run = run_of(sequence, tmp_path, recipe, None if "all phases" in name else trained)
    phases = MonoOccTraining(run).phases()
    train(run, phases)
    assert not idle  # processes that train together wait for the gradient of everything that learns
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {phase.name for phase in phases}
    for phase in phases:
        assert torch.load(tmp_path / phase.name / "last.ckpt", weights_only=True)["global_step"] == 2
    assert all(value.isfinite().all() for value in weights(tmp_path).values())


def test_a_network_with_several_views_trains_by_itself(sequence, tmp_path):
    start(sequence, tmp_path, views=(0, 2), cross_view=1)
    assert load_checkpoint(tmp_path).config.views == (0, 2)


def test_losses_of_the_depth_phase_look_at_the_current_image_alone(sequence, tmp_path):
    phase = phases_of(run_of(sequence, tmp_path, views=(0, 2)))["depth"]
    data, task = phase.data(), phase.task().eval()
    batch = collate([data[2], data[3]])
    with torch.no_grad():
        losses = task.losses(batch)
        depth = task.model.depth(task.model.encoder(batch["image"][::2]))
    torch.testing.assert_close(losses["depth"], depth_loss(depth, batch["true_depth"]))


def test_an_internimage_teaches_and_starts_with_public_weights(sequence, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(SIZES, "tiny", InternImageSize(16, (1, 1, 1, 1), post_norm=False, layer_scale=1.0))
    public = tmp_path / "public.safetensors"
    torch.manual_seed(3)
    save_file({name: value.contiguous() for name, value in InternImage(SIZES["tiny"]).state_dict().items()}, public)
    recipe = replace(TAUGHT, teacher=another(tmp_path, intern="tiny"), teacher_backbone=str(public))
    start(sequence, tmp_path / "out", recipe)
    assert "loaded" in capsys.readouterr().out
    found = weights(tmp_path / "out" / "teacher")["encoder.patch_embed.conv1.weight"]
    assert (found - load_file(public)["patch_embed.conv1.weight"]).abs().max() < 0.05
    assert weights(tmp_path / "out" / "student").keys() == weights(tmp_path / "out" / "depth").keys()


# Distillation


def student_task(run: TrainingRun):
    """The student's task at its start, in evaluation mode, and its data."""
    student = phases_of(run)["student"]
    data = student.data()
    torch.manual_seed(0)
    return student.task().eval(), data


def test_online_and_cached_features_are_the_same_lesson(trained, sequence, tmp_path):
    recipes = {"online": TAUGHT, "cached": replace(TAUGHT, teacher_features="cached")}
    losses = {}
    for name, recipe in recipes.items():
        folder = shutil.copytree(trained, tmp_path / name)
        (folder / "training.yaml").unlink()
        task, data = student_task(run_of(sequence, folder, recipe))
        data.augmentation = type(data.augmentation)()  # none
        batch = collate([data[n] for n in (1, 3)])
        assert len(batch["image"]) == (6 if name == "online" else 2)
        assert ("features" in batch) == (name == "cached")
        with torch.no_grad():
            losses[name] = task.losses(batch)
    assert set(losses["online"]) == {
        "semantic_2d", "distill", "ce_occupied", "ce_class", "scal_sem", "scal_geo", "iou", "unseen", "depth",
        "proposals",
    }  # fmt: skip
    assert losses["online"]["distill"] > 0
    for name, value in losses["online"].items():
        assert losses["cached"][name].item() == pytest.approx(value.item(), rel=2e-3), name


def test_features_are_cached_once_for_every_labelled_frame(trained, sequence, tmp_path):
    folder = shutil.copytree(trained, tmp_path / "out")
    (folder / "training.yaml").unlink()
    run = run_of(sequence, folder, replace(TAUGHT, teacher_features="cached"))
    student = phases_of(run)["student"]
    data = student.data()
    written = files(folder / "teacher" / "features")
    assert {path.name for path in written} == {f"{n:06d}.safetensors" for n in range(4)}
    teacher = load_checkpoint(trained / "teacher").eval()
    config = teacher.config
    sample = run.dataset(data.frames, config=config)[2]
    with torch.no_grad():
        expected = teacher.voxels(*inputs_of(sample, config))
    torch.testing.assert_close(data[2]["features"], expected, atol=1e-2, rtol=1e-2)
    student.data()
    assert files(folder / "teacher" / "features") == written


# Going on after a stop


class Killed(Exception):
    pass


@pytest.mark.parametrize("features", ["online", "cached"])
def test_student_goes_on_where_it_stopped_and_ends_in_the_same_weights(
    features, trained, sequence, tmp_path, monkeypatch
):
    recipe = replace(TAUGHT, teacher_features=features, student_steps=4)
    steps, original = [], Task.training_step

    def killed(task, batch, number):
        steps.append((task.global_step, batch["name"]))
        if len(steps) == 8:
            raise Killed
        return original(task, batch, number)

    monkeypatch.setattr(Task, "training_step", killed)
    before = shutil.copytree(trained, tmp_path / "before", ignore=shutil.ignore_patterns("student", "training.yaml"))
    (before / "model.safetensors").unlink()
    for name in ("whole", "stopped"):
        shutil.copytree(before, tmp_path / name)
    start(sequence, tmp_path / "whole", recipe)
    with pytest.raises(Killed):
        start(sequence, tmp_path / "stopped", recipe)
    start(sequence, tmp_path / "stopped", recipe)
    assert [step for step, _ in steps] == [0, 1, 2, 3, 0, 1, 2, 3, 2, 3]
    assert steps[4:8] == steps[:4] and steps[8:] == steps[2:4]
    expected = weights(tmp_path / "whole")
    for name, value in weights(tmp_path / "stopped").items():
        torch.testing.assert_close(value, expected[name], rtol=1e-5, atol=1e-6, msg=name)


# Given depth, and room for cached features


def write_depths(folder, drive, frames):
    for frame in frames:
        write_png(folder / drive.name / f"{frame}.png", np.full((120, 300), 2560, np.uint16))


def test_a_training_is_given_depth_images_of_all_its_frames(sequence, tmp_path):
    recipe, drive = replace(PLAIN, depths=str(tmp_path / "depths")), Sequence(sequence)
    with pytest.raises(DataError, match="no such folder"):
        phases_of(run_of(sequence, tmp_path / "out", recipe))
    write_depths(tmp_path / "depths", drive, drive.frames)
    with pytest.raises(DataError, match=r"held_out/000003.png: missing; expected a depth image for every frame"):
        phases_of(run_of(sequence, tmp_path / "out", recipe))
    write_depths(tmp_path / "depths", Sequence(sequence.with_name("held_out")), ["000003"])
    phases = phases_of(run_of(sequence, tmp_path / "out", recipe))
    with pytest.raises(DataError, match=r"held_out/000001.png: missing"):  # the teacher also takes earlier frames
        phases_of(run_of(sequence, tmp_path / "out", recipe, views=(0, 2)))
    for data in (phases["depth"].data(), phases["depth"].validation):
        assert (data[0]["depth"] > 0).all()


def test_cached_features_say_what_they_take_before_anything_is_trained(sequence, tmp_path, monkeypatch, capsys):
    recipe = replace(TAUGHT, teacher_features="cached")
    phases_of(run_of(sequence, tmp_path, recipe))
    # 8 channels on 32 x 32 x 4 voxels in float16.
    folder = tmp_path / "teacher" / "features"
    assert f"teacher features: 4 files of 0.1 MB, 0.3 MB in {folder}; " in capsys.readouterr().out
    monkeypatch.setattr(teacher_features.shutil, "disk_usage", lambda path: SimpleNamespace(free=200_000))
    with pytest.raises(ConfigError, match=r"cached takes 4 files of 0.1 MB, 0.3 MB in .*, where 0.2 MB are free; make"):
        phases_of(run_of(sequence, tmp_path, recipe))
    phases_of(run_of(sequence, tmp_path, TAUGHT))
    assert "teacher features" not in capsys.readouterr().out
