"""`occ-train` as people call it: a training killed and gone on with, what comes out, and bad input in one line each."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import fields
from pathlib import Path

import pytest

from occ_cli.train import main

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")
pytest.importorskip("lightning", reason="needs lightning (the train extra)")

from safetensors.torch import load_file  # noqa: E402

from occ_models.checkpoint import load_checkpoint  # noqa: E402
from occ_models.monoocc.model import MonoOcc  # noqa: E402
from occ_models.occle.tasks import SemanticTask  # noqa: E402
from occ_models.recipe import TrainingConfig  # noqa: E402

ROOT = Path(__file__).parents[2]
PICO, MONO, MONO_L = (ROOT / "tests/occ_models" / f"{name}.yaml" for name in ("pico", "mono_pico", "mono_pico_l"))
QUICK = ["--batch", "1", "--warmup", "1", "--workers", "0", "--accelerator", "cpu", "--share", "0.5"]


def occle(train: Path, validation: Path, output: Path, *more: str) -> list[str]:
    folders = ["--train", str(train), "--validation", str(validation), "--output", str(output)]
    return ["occle", "--config", str(PICO), *folders, *QUICK, *more]


def monoocc(train: Path, output: Path, *more: str) -> list[str]:
    folders = ["--train", str(train), "--validation", str(train), "--output", str(output)]
    return ["monoocc", "--config", str(MONO), *folders, *QUICK, *more]


def start(arguments: list[str]) -> subprocess.Popen:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "occ_cli.train", *arguments], cwd=ROOT, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def appeared(path: Path, process: subprocess.Popen) -> None:
    """Wait until a file is there; fails where the process ends before."""
    pause = threading.Event()
    while not path.exists():
        assert process.poll() is None, process.communicate()[0]
        pause.wait(0.005)


@pytest.fixture(scope="module")
def killed(sequence, tmp_path_factory) -> tuple[list[str], Path]:
    """Arguments and output of a training of phase I that was killed after a checkpoint."""
    output = tmp_path_factory.mktemp("killed")
    more = ["--phase", "semantic", "--semantic-steps", "30", "--checkpoint-every", "2"]
    arguments = occle(sequence, sequence, output, *more)
    process = start(arguments)
    try:
        appeared(output / "semantic" / "last.ckpt", process)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert process.returncode == -signal.SIGKILL and not (output / "semantic" / "model.safetensors").exists()
    return arguments, output


def test_an_image_that_a_loading_process_cannot_read_is_one_line_that_names_it(sequence, tmp_path):
    """In a process of its own: one that has run several inference runtimes may crash where it forks."""
    copy = shutil.copytree(sequence, tmp_path / "00")
    (copy / "image_2/000002.png").write_bytes(b"not a picture")
    process = start(
        occle(copy, sequence, tmp_path / "out", "--phase", "semantic", "--semantic-steps", "5", "--workers", "1")
    )
    said = process.communicate()[0].splitlines()
    assert process.returncode == 2 and said[-1].startswith("occ-train occle: ") and "000002.png" in said[-1]
    assert not any("Traceback" in line for line in said)


def test_weights_come_out_of_a_training_that_was_stopped(killed, tmp_path, capsys):
    assert main(["weights", str(killed[1] / "semantic"), "--output", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out == f"weights in {tmp_path / 'out'}\n"
    assert all(value.isfinite().all() for value in load_file(tmp_path / "out" / "model.safetensors").values())


def test_killed_training_goes_on(killed, tmp_path):
    arguments, output = killed
    copy = Path(shutil.copytree(output, tmp_path / "copy"))
    step = torch.load(copy / "semantic" / "last.ckpt", weights_only=True)["global_step"]
    assert step > 0 and step % 2 == 0
    # What a write that was cut short leaves behind is no checkpoint.
    (copy / "semantic" / "last.ckpt.tmp").write_bytes(b"half")
    (copy / "semantic" / "model.safetensors.tmp").write_bytes(b"half")
    process = start([str(copy) if argument == str(output) else argument for argument in arguments])
    said, _ = process.communicate()
    assert process.returncode == 0, said
    assert f"goes on at step {step}\n" in said and f"weights in {copy / 'semantic'}" in said
    assert load_file(copy / "semantic" / "model.safetensors")
    assert torch.load(copy / "semantic" / "last.ckpt", weights_only=True)["global_step"] == 30


@pytest.fixture
def copy(sequence, tmp_path) -> Path:
    """A sequence whose files may be changed."""
    return Path(shutil.copytree(sequence, tmp_path / "sequences" / "00"))


def refused(arguments: list[str], capsys, code: int = 2) -> str:
    """The one line that is said."""
    assert main(arguments) == code
    said = capsys.readouterr().err
    lines = [line for line in said.splitlines() if line.startswith("occ-train")]
    assert len(lines) == 1 and said.endswith(f"{lines[0]}\n") and "Traceback" not in said
    return lines[0]


def test_missing_folder_is_named(sequence, tmp_path, capsys):
    for train, validation in ((tmp_path / "nowhere", sequence), (sequence, tmp_path / "nowhere")):
        assert "nowhere: expected a sequence folder" in refused(occle(train, validation, tmp_path / "o"), capsys)


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("pseudo_labels/000001.png", r"00: frame 000001 has no pseudo labels; make them with `occ-data pseudo-labels`"),
        ("image_2/000003.png", r"00: frame 000003 has no image"),
        ("calib.txt", r"calib\.txt: "),
    ],
)
def test_missing_file_is_named_before_the_training_starts(file, said, copy, sequence, tmp_path, capsys):
    (copy / file).unlink()
    assert re.search(said, refused(occle(copy, sequence, tmp_path / "out"), capsys))
    assert not (tmp_path / "out" / "semantic").exists()


def test_held_out_frames_need_labels_of_points(copy, sequence, tmp_path, capsys):
    shutil.rmtree(copy / "labels")
    said = refused(occle(sequence, copy, tmp_path / "out"), capsys)
    assert "frame 000000 has no labels of points (nor have 3 more frames); the classes of points come" in said


def test_share_that_selects_no_frame_says_which_would(sequence, tmp_path, capsys):
    said = refused(occle(sequence, sequence, tmp_path / "out", "--share", "0.1"), capsys)
    assert "0.1 of 4 frames selects none; expected at least 0.25" in said


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ("shares: 0.1\n", "shares: unknown key; known are share"),
        ("training: {bach: 1}\n", "training.bach: unknown key"),
        ("share: many\n", "share: expected float, got 'many'"),
        ("semantic_loss: perhaps\n", "semantic_loss: expected one of pretrain+joint, joint, none, got 'perhaps'"),
    ],
)
def test_bad_recipe_names_the_key(recipe, said, sequence, tmp_path, capsys):
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe)
    assert said in refused(occle(sequence, sequence, tmp_path / "out", "--recipe", str(path)), capsys)


def test_the_plan_of_the_paper_recipe_is_printed_and_nothing_is_written(sequence, tmp_path, capsys):
    more = ["--recipe", "paper", "--pseudo-table", "", "--devices", "2", "--print"]
    assert main(occle(sequence, sequence, tmp_path / "out", *more)) == 0
    said = capsys.readouterr().out
    assert "network pico: " in said and "channels: 8" in said and "added_planes: false" in said
    assert "semantic: 40 epochs of 4 frames, 2 a step: 80 steps; every frame alike; " in said
    assert "loss weights: sem_2d 1, sem_3d 1\n" in said
    assert "teacher: 100 epochs of 2 frames, 2 a step: 100 steps" in said
    assert "loss weights: scal_geo 1, scal_sem 1, ce 1, sem_2d 1, sem_3d 1, projection 1\n" in said
    assert re.search(r"estimate, not measured: 680 frames seen, [\d.]+ h on 2 x RTX 4090, [\d.]+ h on 2 x H200", said)
    assert not (tmp_path / "out").exists()


def test_the_plan_names_the_share_of_labelled_draws_and_our_own_weights(sequence, tmp_path, capsys):
    assert (
        main(occle(sequence, sequence, tmp_path / "out", "--labelled-draws", "0.25", "--no-move-scene", "--print")) == 0
    )
    said = capsys.readouterr().out
    assert "joint: 1000 epochs of 4 frames, 1 a step: 4,000 steps; 0.25 of the draws with voxel labels; " in said
    assert "loss weights: ce_occupied 3, ce_class 1, scal_geo 1, iou 1, scal_sem 1, sem_2d 1" in said


def test_bad_choice_lists_the_known_ones(sequence, tmp_path, capsys):
    said = refused(occle(sequence, sequence, tmp_path / "out", "--strength", "mighty"), capsys)
    assert "strength: expected one of weak, middle, strong, got 'mighty'" in said


@pytest.mark.parametrize("option", ["--recipe", "--config"])
def test_unknown_name_lists_what_ships(option, sequence, tmp_path, capsys):
    said = refused(occle(sequence, sequence, tmp_path / "out", option, "secret"), capsys)
    assert "no such configuration; shipped are" in said


def test_changed_recipe_in_the_same_folder_names_the_key(killed, sequence, capsys):
    arguments, output = killed
    said = refused([*arguments, "--tau", "0.5"], capsys)
    assert f"{output / 'training.yaml'}: tau was 0.95, is now 0.5; take another output folder" in said


def test_initial_weights_that_are_not_there_are_named(sequence, tmp_path, capsys):
    said = refused(occle(sequence, sequence, tmp_path / "out", "--initial", str(tmp_path / "no")), capsys)
    assert "no/model.safetensors: missing" in said


def test_image_that_does_not_decode_is_named(copy, sequence, tmp_path, capsys):
    (copy / "image_2" / "000002.png").write_bytes(b"not a picture")
    said = refused(occle(copy, sequence, tmp_path / "out", "--semantic-steps", "5"), capsys)
    assert "image_2/000002.png" in said


def test_loss_that_is_no_number_ends_in_code_three_and_one_line(sequence, tmp_path, capsys, monkeypatch):
    original = SemanticTask.losses

    def losses(task, batch):
        result = original(task, batch)
        return {name: value * float("nan") for name, value in result.items()} if task.global_step == 3 else result

    monkeypatch.setattr(SemanticTask, "losses", losses)
    more = ["--semantic-steps", "5", "--checkpoint-every", "2"]
    said = refused(occle(sequence, sequence, tmp_path / "out", *more), capsys, code=3)
    assert re.search(r"step 3: loss nan \(sem_2d nan, sem_3d nan\).* frames 00/00000\d; the last good checkpoint", said)


@pytest.mark.parametrize(
    ("present", "said"),
    [(["last.ckpt"], "config.yaml: missing"), (["config.yaml"], "last.ckpt: missing")],
)
def test_weights_of_a_folder_without_training_name_the_file(present, said, killed, tmp_path, capsys):
    folder = tmp_path / "empty"
    folder.mkdir()
    for name in present:
        shutil.copy(killed[1] / "semantic" / name, folder / name)
    assert said in refused(["weights", str(folder), "--output", str(tmp_path / "out")], capsys)
    assert not (tmp_path / "out").exists()


def test_export_without_weights_names_the_file(sequence, tmp_path, capsys):
    more = ["--golden-sequence", str(sequence), "--data", "a drive", "--license", "CC-BY-4.0"]
    said = refused(["export", str(tmp_path / "no"), str(tmp_path / "bundle"), *more], capsys)
    assert "no/model.safetensors: missing" in said


def test_export_of_a_missing_golden_frame_names_it(killed, sequence, tmp_path, capsys):
    assert main(["weights", str(killed[1] / "semantic"), "--output", str(tmp_path / "out")]) == 0
    more = ["--golden-sequence", str(sequence), "--frame", "000099", "--data", "a drive", "--license", "CC-BY-4.0"]
    said = refused(["export", str(tmp_path / "out"), str(tmp_path / "bundle"), *more], capsys)
    assert "000099" in said


def test_export_ends_in_a_bundle(killed, sequence, tmp_path, capsys):
    pytest.importorskip("onnx", reason="needs onnx (the train extra)")
    from occ_runtime import Bundle

    assert main(["weights", str(killed[1] / "semantic"), "--output", str(tmp_path / "out")]) == 0
    more = ["--golden-sequence", str(sequence), "--data", "a drive", "--license", "CC-BY-4.0"]
    assert main(["export", str(tmp_path / "out"), str(tmp_path / "bundle"), *more]) == 0
    bundle = Bundle.load(tmp_path / "bundle")
    assert bundle.license == "CC-BY-4.0" and "golden frame 00/000000" in capsys.readouterr().out


def test_monoocc_trains_from_one_command(sequence, tmp_path, capsys):
    steps = ["--depth-steps", "1", "--teacher-steps", "1", "--student-steps", "1"]
    arguments = monoocc(sequence, tmp_path / "out", "--teacher", str(MONO_L), "--teacher-features", "cached", *steps)
    assert main(arguments) == 0
    said = capsys.readouterr().out
    for line in (
        "depth: 1 steps on 2 frames",
        "teacher: 1 steps",
        "student: 1 steps",
        f"weights in {tmp_path / 'out'}",
    ):
        assert line in said
    assert isinstance(load_checkpoint(tmp_path / "out"), MonoOcc)
    assert main(arguments) == 0
    assert capsys.readouterr().out.count("complete in") == 3


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--config", str(PICO)], "voxel_channels: unknown key; known are name, preprocess, channels"),
        (["--teacher", "huge"], "huge.yaml: no such configuration; shipped are base, base-l, nano, nano-l"),
        (["--teacher", "nano-l"], "teacher nano-l: channels is 32, the student's 8; they must agree"),
        (["--teacher-features", "never"], "teacher_features: expected one of online, cached, got 'never'"),
        (["--temperature", "0"], "temperature: expected a positive number, got 0.0"),
        (["--share", "0"], "share: expected more than 0 and at most 1, got 0.0"),
        (["--recipe", "supervised"], "supervised.yaml: no such configuration; shipped are monoocc-paper"),
        (["--phase", "teacher"], "phase teacher: this recipe on these frames has depth, student alone"),
        (["--phase", "student"], "depth/model.safetensors: missing; run --phase depth first"),
        (["--initial", "nowhere"], "nowhere/model.safetensors: missing"),
        (["--teacher", str(MONO_L), "--teacher-backbone", "no.pth"], "teacher_backbone: no.pth: no such file"),
    ],
)
def test_monoocc_says_in_one_line_what_is_wrong(more, said, sequence, tmp_path, capsys):
    assert said in refused(monoocc(sequence, tmp_path / "out", *more), capsys)
    assert not [*tmp_path.rglob("last.ckpt")]  # before anything is trained


def test_weights_of_the_other_network_are_no_start(killed, sequence, tmp_path, capsys):
    assert main(["weights", str(killed[1] / "semantic"), "--output", str(tmp_path / "occle")]) == 0
    said = refused(monoocc(sequence, tmp_path / "out", "--initial", str(tmp_path / "occle")), capsys)
    assert "occle/config.yaml: model: a configuration of occle; expected one of monoocc" in said


@pytest.mark.parametrize("verb", ([], ["occle"], ["monoocc"], ["weights"], ["export"], ["precision"]))
def test_help_needs_no_torch(verb):
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('torch', 'lightning', 'onnx', 'safetensors')))\n"
        "from occ_cli.train import main\n"
        f"main({[*verb, '--help']!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("usage: occ-train"), done.stderr


@pytest.mark.parametrize("verb", ["occle", "monoocc"])
def test_help_shows_the_defaults_that_are_used(verb, capsys):
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    said = " ".join(capsys.readouterr().out.split())
    defaults = TrainingConfig()
    for field in fields(TrainingConfig):
        value = getattr(defaults, field.name)
        shown = {True: "yes", False: "no"}[value] if isinstance(value, bool) else value
        assert f"{field.metadata['help']} (default {shown})" in said, field.name


def test_settings_without_a_value_are_switches(sequence, tmp_path, capsys):
    more = ["--recompute", "--compile"]
    assert "compile: cannot be combined with recompute" in refused(occle(sequence, sequence, tmp_path, *more), capsys)
