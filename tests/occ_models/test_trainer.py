"""OccLE's training on a tiny data set: all phases, every variant of the recipe, what is frozen and what is refused."""

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")
pytest.importorskip("lightning", reason="needs lightning (the train extra)")

from safetensors.torch import load_file  # noqa: E402

from occ_data import DataError, Sequence  # noqa: E402
from occ_models.checkpoint import load_checkpoint  # noqa: E402
from occ_models.config import ConfigError, load_config  # noqa: E402
from occ_models.data import collate  # noqa: E402
from occ_models.occle.config import OccLEConfig  # noqa: E402
from occ_models.occle.recipe import OccLERecipe  # noqa: E402
from occ_models.occle.trainer import OccLETraining  # noqa: E402
from occ_models.phases import Phase, TrainingRun, train  # noqa: E402
from occ_models.recipe import TrainingConfig, load_recipe  # noqa: E402
from occ_models.training import Task  # noqa: E402

PICO = Path(__file__).parent / "pico.yaml"
QUICK = TrainingConfig(
    batch=1, warmup=1, average=0.5, validate_every=2, checkpoint_every=2, workers=0, accelerator="cpu"
)  # fmt: skip
STEPS = {f"{phase}_steps": 2 for phase in ("semantic", "teacher", "student", "joint")}
RECIPE = OccLERecipe(share=0.5, training=QUICK, **STEPS)


def run_of(sequence, output, recipe=RECIPE, **network) -> TrainingRun:
    held_out = sequence.with_name("one")  # quick to measure on
    if not held_out.exists():
        shutil.copytree(sequence, held_out)
        for n in range(1, 4):
            (held_out / "voxels" / f"{n:06d}.label").unlink(missing_ok=True)
    config = replace(load_config(PICO, OccLEConfig), **network)
    return TrainingRun(config, recipe, [Sequence(sequence)], [Sequence(held_out)], output)


def phases_of(run: TrainingRun) -> dict[str, Phase]:
    return {phase.name: phase for phase in OccLETraining(run).phases()}


def start(sequence, output, recipe=RECIPE, only=(), **network) -> Path:
    run = run_of(sequence, output, recipe, **network)
    return train(run, OccLETraining(run).phases(), only)


def drop_voxels(sequence: Path, folder: Path, *frames: int) -> Path:
    """A copy of the sequence in which some frames have no voxel labels."""
    copy = shutil.copytree(sequence, folder / "sequences" / "00")
    for n in frames:
        for file in (copy / "voxels").glob(f"{n:06d}.*"):
            file.unlink()
    return copy


def files(folder: Path) -> dict[Path, tuple]:
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def trained(sequence, tmp_path_factory) -> Path:
    """Output folder of all phases; no test changes it."""
    folder = tmp_path_factory.mktemp("trained")
    start(sequence, folder)
    return folder


def test_every_phase_leaves_weights_and_what_it_measured(trained):
    figures = {
        "semantic": {"miou_2d", "miou_3d", "miou_present_2d", "miou_present_3d"},
        "teacher": {"iou", "precision", "recall"},
        "student": {"iou", "precision", "recall"},
        "joint": {"iou", "precision", "recall", "miou", "miou_present"},
    }
    for phase, names in figures.items():
        assert load_checkpoint(trained / phase).config == load_config(PICO, OccLEConfig)
        with (trained / phase / "logs" / "metrics.csv").open() as lines:
            (row,) = csv.DictReader(lines)
        assert {name for name in row if "/" not in name} == names | {"step"} and row["step"] == "2"
    assert (trained / "model.safetensors").read_bytes() == (trained / "joint" / "model.safetensors").read_bytes()
    assert not [path for path in trained.rglob("*") if ".tmp" in path.name or path.name.startswith(".")]


def test_what_it_was_trained_with_is_written_down(trained, sequence):
    written = yaml.safe_load((trained / "training.yaml").read_text())
    assert written["share"] == 0.5 and written["training"]["average"] == 0.5
    assert load_recipe(trained / "training.yaml", OccLERecipe) == RECIPE
    assert yaml.safe_load((trained / "data.yaml").read_text())["train"] == [str(sequence)]


def test_teacher_labels_every_frame_without_labels(trained, sequence):
    frames = phases_of(run_of(sequence, trained))["semantic"].data().frames
    unlabelled = {f"{frame.id}.png" for frame in frames if not frame.labelled}
    assert len(unlabelled) == 2
    assert {path.name for path in (trained / "teacher" / "labels").rglob("*.png")} == unlabelled
    assert (trained / "student" / "thresholds.yaml").is_file()


def test_second_run_leaves_everything_alone(trained, sequence, capsys):
    before = files(trained)
    assert start(sequence, trained) == trained
    assert files(trained) == before
    assert capsys.readouterr().out.count("complete") == 4


def test_weights_appear_after_a_stop_between_the_last_phase_and_the_end(trained, sequence, tmp_path):
    copy = shutil.copytree(trained, tmp_path / "copy")
    (copy / "model.safetensors").unlink()
    start(sequence, copy)
    assert (copy / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()


def test_what_is_frozen_does_not_change(trained):
    weights = {p: load_file(trained / p / "model.safetensors") for p in ("semantic", "teacher", "student", "joint")}

    def changed(before: str, after: str) -> set[str]:
        found = [name for name, value in weights[before].items() if not torch.equal(value, weights[after][name])]
        return {name.partition(".")[0] for name in found}

    # With batch statistics and their counts: bit by bit.
    assert changed("semantic", "teacher") == {"geometric"}
    assert changed("teacher", "student") == {"geometric"}
    assert changed("student", "joint") == {"semantic", "fusion", "head"}


def test_phase_without_the_one_before_names_the_missing_file(sequence, tmp_path):
    with pytest.raises(DataError, match=r"teacher/model.safetensors: missing; run --phase teacher first"):
        start(sequence, tmp_path, only=("student",))


def test_phase_that_the_recipe_lacks_is_refused(sequence, tmp_path):
    with pytest.raises(ConfigError, match=r"phase teacher: .* has semantic, joint alone"):
        start(sequence, tmp_path, replace(RECIPE, geometric_loss="none"), only=("teacher",))


def test_changed_network_recipe_or_data_in_the_same_folder_names_the_key(trained, sequence, tmp_path):
    training = replace(QUICK, learning_rate=0.5)
    with pytest.raises(ConfigError, match=r"training.learning_rate was 0.001, is now 0.5"):
        start(sequence, trained, replace(RECIPE, training=training))
    copy = drop_voxels(sequence, tmp_path)
    with pytest.raises(ConfigError, match=r"data\.yaml: train was"):
        start(copy, trained)
    with pytest.raises(ConfigError, match=r"config.yaml: sparse was False, is now True"):
        start(sequence, trained, sparse=True)


def test_settings_of_the_machine_may_change(trained, sequence, tmp_path):
    copy = shutil.copytree(trained, tmp_path / "copy")
    start(sequence, copy, replace(RECIPE, training=replace(QUICK, workers=3, checkpoint_every=7)))


VARIANTS = {
    "projection by distance": {"projection": "distance"},
    "no projection": {"projection": "none"},
    "teacher in the loop": {"geometric_loss": "pretrain+joint"},
    "geometry trained at the end": {"geometric_loss": "joint"},
    "no loss for geometry": {"geometric_loss": "none"},
    "semantics trained at the end": {"semantic_loss": "joint"},
    "no loss for semantics": {"semantic_loss": "none"},
    "nothing but voxel labels": {"semantic_loss": "none", "geometric_loss": "none", "projection": "none"},
    "all labels": {"share": 1.0},
    "no labels": {"share": 0.0},
    "labels of points": {"image_labels": "points"},
    "two samples a batch": {"training": replace(QUICK, batch=2)},
}
PHASES_OF = {
    "geometry trained at the end": ["semantic", "joint"],
    "no loss for geometry": ["semantic", "joint"],
    "semantics trained at the end": ["teacher", "student", "joint"],
    "no loss for semantics": ["teacher", "student", "joint"],
    "nothing but voxel labels": ["joint"],
    "all labels": ["semantic", "teacher", "joint"],
    "no labels": ["semantic", "joint"],
}


@pytest.mark.parametrize("name", VARIANTS)
def test_variant_trains(name, sequence, tmp_path, monkeypatch):
    idle, original = set(), Task.configure_gradient_clipping

    def noted(task, *arguments, **named):
        idle.update(n for n, p in task.named_parameters() if p.requires_grad and p.grad is None)
        return original(task, *arguments, **named)

    monkeypatch.setattr(Task, "configure_gradient_clipping", noted)
    start(sequence, tmp_path, replace(RECIPE, **VARIANTS[name]))
    assert not idle  # processes that train together wait for the gradient of everything that learns
    for phase in PHASES_OF.get(name, OccLERecipe.all_phases):
        state = torch.load(tmp_path / phase / "last.ckpt", weights_only=True)
        assert state["global_step"] == 2
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == set(
        PHASES_OF.get(name, OccLERecipe.all_phases)
    )
    for value in load_file(tmp_path / "model.safetensors").values():
        assert value.isfinite().all()


def test_three_frames_train(sequence, tmp_path):
    start(sequence, tmp_path, frames=3)
    assert load_checkpoint(tmp_path).config.frames == 3


def test_frames_without_voxel_labels_are_used_where_asked(sequence, tmp_path):
    copy = drop_voxels(sequence, tmp_path, 1, 2)
    run = run_of(copy, tmp_path / "out", replace(RECIPE, share=1.0, unlabelled_every=2))
    phases = phases_of(run)
    assert [(frame.id, frame.labelled) for frame in phases["semantic"].data().frames] == [
        ("000000", True), ("000001", False), ("000003", True)
    ]  # fmt: skip
    assert list(phases) == ["semantic", "teacher", "student", "joint"]
    train(run, list(phases.values()))
    assert [path.name for path in (tmp_path / "out" / "teacher" / "labels").rglob("*.png")] == ["000001.png"]


@pytest.mark.parametrize("name", ["paper", "supervised"])
def test_shipped_recipe_trains(name, sequence, tmp_path):
    recipe = load_recipe(name, OccLERecipe)
    training = replace(recipe.training, workers=0, accelerator="cpu", validate_every=2)
    by_steps = STEPS | {f"{phase}_epochs": 0 for phase in OccLERecipe.all_phases}
    recipe = replace(recipe, share=max(recipe.share, 0.5), pseudo_table="", training=training, **by_steps)
    start(sequence, tmp_path, recipe)
    assert (tmp_path / "model.safetensors").is_file()


def test_brain_float_trains_and_stays_finite(sequence, tmp_path):
    recipe = replace(RECIPE, training=replace(QUICK, precision="bf16-mixed"))
    start(sequence, tmp_path, recipe)
    assert all(value.isfinite().all() for value in load_file(tmp_path / "model.safetensors").values())


def joint_task(sequence, folder):
    """A task of phase III on fresh weights, everything in evaluation mode, and its data."""
    recipe = replace(RECIPE, semantic_loss="joint", geometric_loss="joint")
    phases = phases_of(run_of(sequence, folder, recipe))
    assert list(phases) == ["joint"]
    torch.manual_seed(0)
    return phases["joint"].task().eval(), phases["joint"].data()


def test_losses_of_a_batch_are_the_mean_of_its_samples(sequence, tmp_path):
    task, data = joint_task(sequence, tmp_path)
    samples = [data[n] for n in range(3)]
    assert {bool(sample["labelled"]) for sample in samples} == {True, False}
    names = {
        "ce",
        "ssc",
        "ce_occupied",
        "ce_class",
        "scal_geo",
        "iou",
        "scal_sem",
        "sem_2d",
        "sem_3d",
        "geo",
        "projection",
    }
    with torch.no_grad():
        together = task.losses(collate(samples))
        alone = [task.losses(collate([data[n]])) for n in range(3)]
    assert set(together) == names
    for name, value in together.items():
        mean = sum(losses[name] for losses in alone) / 3
        assert value.item() == pytest.approx(mean.item(), rel=1e-4), name


def test_occupancy_is_learned_only_from_labelled_frames(sequence, tmp_path):
    recipe = replace(RECIPE, semantic_loss="none", geometric_loss="none", projection="none")
    data = phases_of(run_of(sequence, tmp_path, recipe))["joint"].data()
    assert all(frame.labelled for frame in data.frames)  # no loss uses the others
    task, data = joint_task(sequence, tmp_path)
    n = next(n for n, frame in enumerate(data.frames) if not frame.labelled)
    batch = collate([data[n]])
    assert (batch["labels"] == 255).all() and (batch["geometry"] == 255).all()
    losses = task.losses(batch)
    assert {name for name, value in losses.items() if value != 0} == {"sem_2d", "sem_3d", "projection"}


def test_withheld_label_file_is_never_opened(sequence, tmp_path):
    copy = drop_voxels(sequence, tmp_path)
    frames = phases_of(run_of(copy, tmp_path / "out"))["semantic"].data().frames
    kept = {frame.id for frame in frames if frame.labelled}
    for path in (copy / "voxels").glob("*.label"):
        if path.stem not in kept:
            path.write_bytes(b"")
    run = TrainingRun(
        load_config(PICO, OccLEConfig), RECIPE, [Sequence(copy)], [Sequence(sequence)], tmp_path / "second"
    )
    assert train(run, OccLETraining(run).phases()) == tmp_path / "second"


def test_a_share_of_the_initial_weights_stays_in_the_result(trained, sequence, tmp_path):
    supervised = replace(RECIPE, share=1.0, semantic_loss="joint", geometric_loss="joint")
    recipe = replace(supervised, training=replace(QUICK, keep_initial=0.25))
    run = replace(run_of(sequence, tmp_path / "out", recipe), initial=trained)
    train(run, OccLETraining(run).phases())
    before, last, result = (load_file(f / "model.safetensors") for f in (trained, run.output / "joint", run.output))
    floats = [name for name, value in result.items() if value.is_floating_point()]
    assert any(not torch.equal(before[name], last[name]) for name in floats)
    for name in floats:
        torch.testing.assert_close(result[name], 0.25 * before[name] + 0.75 * last[name])
    with pytest.raises(
        ConfigError, match="keep_initial: expected weights to keep a share of; give them with --initial"
    ):
        train(replace(run, initial=None), OccLETraining(run).phases())
    with pytest.raises(ConfigError, match="keep_initial: expected a share from 0 to less than 1, got 1"):
        replace(QUICK, keep_initial=1)
