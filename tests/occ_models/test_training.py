"""Training steps of the smallest network: going on after a stop, what is kept, and stops at what is not finite."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")
pytest.importorskip("lightning", reason="needs lightning (the train extra)")

from safetensors.torch import load_file  # noqa: E402

from occ_data import DataError, Sequence  # noqa: E402
from occ_models.checkpoint import average_of  # noqa: E402
from occ_models.config import load_config  # noqa: E402
from occ_models.data import FrameDataset, collate  # noqa: E402
from occ_models.frames import frames_of  # noqa: E402
from occ_models.occle.config import OccLEConfig  # noqa: E402
from occ_models.occle.model import OccLE  # noqa: E402
from occ_models.occle.recipe import LOSS_WEIGHTS, OccLERecipe  # noqa: E402
from occ_models.occle.tasks import JointLosses, JointTask  # noqa: E402
from occ_models.occle.trainer import OccLETraining  # noqa: E402
from occ_models.phases import TrainingRun  # noqa: E402
from occ_models.phases import train as train_phases  # noqa: E402
from occ_models.recipe import TrainingConfig  # noqa: E402
from occ_models.training import Checkpoints, NotFinite, Task, learning_rate_schedule, moving_average  # noqa: E402

PICO = Path(__file__).parent / "pico.yaml"
QUICK = TrainingConfig(batch=1, warmup=1, validate_every=5, checkpoint_every=2, workers=0, accelerator="cpu")
# One phase with every loss; frames with and without labels take turns.
RECIPE = OccLERecipe(share=0.5, semantic_loss="joint", geometric_loss="joint", joint_steps=5, training=QUICK)


def train(sequence, output: Path, recipe: OccLERecipe = RECIPE) -> Path:
    drives = [Sequence(sequence)]
    run = TrainingRun(load_config(PICO, OccLEConfig), recipe, drives, drives, output)
    return train_phases(run, OccLETraining(run).phases())


class Killed(Exception):
    pass


@pytest.fixture
def steps(monkeypatch):
    """(step, frames) of every training step; raises Killed once, in the step whose number is put into `at`."""

    class Steps(list):
        at = None

    seen, original = Steps(), Task.training_step

    def noted(task, batch, number):
        seen.append((task.global_step, batch["name"]))
        if task.global_step == seen.at:
            seen.at = None
            raise Killed
        return original(task, batch, number)

    monkeypatch.setattr(Task, "training_step", noted)
    return seen


@pytest.fixture
def one_thread():
    """The order in which threads add up gradients changes their last bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_training_goes_on_where_it_stopped_and_ends_in_the_same_weights(sequence, tmp_path, steps, capsys):
    train(sequence, tmp_path / "whole")
    whole = list(steps)
    steps.clear()
    steps.at = 3
    with pytest.raises(Killed):
        train(sequence, tmp_path / "stopped")
    train(sequence, tmp_path / "stopped")
    assert [step for step, _ in steps] == [0, 1, 2, 3, 2, 3, 4]
    assert "goes on at step 2" in capsys.readouterr().out
    assert steps[:3] == whole[:3] and steps[4:] == whole[2:]
    expected = load_file(tmp_path / "whole" / "model.safetensors")
    for name, value in load_file(tmp_path / "stopped" / "model.safetensors").items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=0, msg=name)


@pytest.mark.usefixtures("one_thread")
def test_stop_after_the_last_step_leaves_nothing_to_do_but_to_write_the_weights(sequence, tmp_path, steps, monkeypatch):
    recipe = replace(RECIPE, joint_steps=2, training=replace(QUICK, validate_every=2))
    train(sequence, tmp_path / "whole", recipe)
    steps.clear()

    def killed(task):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Task, "on_validation_epoch_start", killed)
        with pytest.raises(Killed):
            train(sequence, tmp_path / "stopped", recipe)
    train(sequence, tmp_path / "stopped", recipe)
    assert [step for step, _ in steps] == [0, 1]
    expected = load_file(tmp_path / "whole" / "model.safetensors")
    for name, value in load_file(tmp_path / "stopped" / "model.safetensors").items():
        assert torch.equal(value, expected[name]), name


def test_checkpoint_holds_the_average_of_its_own_step(sequence, tmp_path):
    train(sequence, tmp_path, replace(RECIPE, joint_steps=2))
    state = torch.load(tmp_path / "joint" / "last.ckpt", weights_only=True)
    assert state["global_step"] == 2 and state["state_dict"]["average.n_averaged"] == 2
    expected = load_file(tmp_path / "model.safetensors")
    average = average_of(tmp_path / "joint").state_dict()
    assert all(torch.equal(average[name], value) for name, value in expected.items())


def test_interrupted_write_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    path = tmp_path / "last.ckpt"
    Checkpoints().save_checkpoint({"step": 1}, path)

    def half(checkpoint, file):
        Path(file).write_bytes(b"half")
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(torch, "save", half)
        Checkpoints().save_checkpoint({"step": 2}, path)
    assert torch.load(path, weights_only=True) == {"step": 1}


def poison(monkeypatch, step: int, change) -> None:
    """Apply `change` to the losses of that step."""
    original = JointTask.losses

    def losses(task, batch):
        result = original(task, batch)
        return change(task, result) if task.global_step == step else result

    monkeypatch.setattr(JointTask, "losses", losses)


def not_a_number(task, losses):
    return losses | {"projection": losses["projection"] * float("nan")}


def infinite_slope(task, losses):
    weight = next(task.model.fusion.parameters())
    return losses | {"projection": losses["projection"] + (weight - weight.detach()).abs().sum().sqrt()}


@pytest.mark.parametrize(
    ("change", "said"),
    [(not_a_number, r"loss nan \(.*projection nan.*\), gradient nan"), (infinite_slope, "gradient (nan|inf)")],
)
def test_step_that_is_not_finite_stops_and_keeps_the_checkpoint_before(change, said, sequence, tmp_path, monkeypatch):
    poison(monkeypatch, 3, change)
    with pytest.raises(NotFinite, match=rf"^step 3: .*{said}.* frames 00/00000\d.*last good checkpoint is .*last.ckpt"):
        train(sequence, tmp_path)
    state = torch.load(tmp_path / "joint" / "last.ckpt", weights_only=True)
    assert state["global_step"] == 2
    assert all(value.isfinite().all() for value in state["state_dict"].values())
    assert not (tmp_path / "joint" / "model.safetensors").exists()


def test_first_step_that_is_not_finite_says_that_there_is_no_checkpoint(sequence, tmp_path, monkeypatch):
    poison(monkeypatch, 0, not_a_number)
    with pytest.raises(NotFinite, match="no checkpoint was written before"):
        train(sequence, tmp_path)


def test_gradient_is_clipped_to_the_norm(sequence, tmp_path, monkeypatch):
    norms, original = [], Task.configure_gradient_clipping

    def noted(task, *arguments, **named):
        def norm():
            return torch.stack([p.grad.norm() for p in task.learning()]).norm().item()

        before = norm()
        original(task, *arguments, **named)
        norms.append((before, norm()))

    monkeypatch.setattr(Task, "configure_gradient_clipping", noted)
    train(sequence, tmp_path, replace(RECIPE, joint_steps=2, training=replace(QUICK, clip=0.25, validate_every=2)))
    for before, after in norms:
        assert before > 0.25 and after == pytest.approx(0.25, rel=1e-3)


def test_broken_image_in_the_middle_is_one_line_that_names_it(sequence, tmp_path):
    copy = shutil.copytree(sequence, tmp_path / "00")
    (copy / "image_2" / "000002.png").write_bytes(b"not a picture")
    with pytest.raises(DataError) as caught:
        train(copy, tmp_path / "out", RECIPE)
    assert "000002.png" in str(caught.value) and "\n" not in str(caught.value)


def test_loss_falls_on_one_frame(sequence):
    torch.manual_seed(0)
    config = load_config(PICO, OccLEConfig)
    data = FrameDataset(frames_of([Sequence(sequence)]), config)
    training = replace(QUICK, learning_rate=5e-3, warmup=0)
    task = JointTask(OccLE(config), training, 100, JointLosses(geometric=True))
    optimizer = task.configure_optimizers()["optimizer"]
    batch, history = collate([data[0]]), []
    for _ in range(6):
        loss = sum(task.weighted_losses(batch).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    assert history[-1] < 0.9 * history[0]


def test_a_loss_without_a_weight_stops_the_training(sequence, tmp_path, monkeypatch):
    poison(monkeypatch, 0, lambda task, losses: losses | {"smoothness": losses["projection"]})
    with pytest.raises(ValueError, match="no weight for the loss smoothness; there are weights for ce_occupied, "):
        train(sequence, tmp_path)


def test_the_weights_of_the_losses_are_printed_and_kept(sequence, tmp_path, capsys):
    train(sequence, tmp_path, replace(RECIPE, joint_steps=1, projection="none"))
    kept = yaml.safe_load((tmp_path / "joint" / "loss_weights.yaml").read_text())
    assert kept == {name: weight for name, weight in LOSS_WEIGHTS.items() if name != "projection"}
    assert kept["ce_occupied"] == 3
    assert "joint: loss weights: ce_occupied 3, ce_class 1, scal_geo 1, iou 1, scal_sem 1" in capsys.readouterr().out


def test_learning_rate_rises_then_falls():
    factor = learning_rate_schedule(10, 100)
    assert [factor(0), factor(10), factor(55), factor(100)] == pytest.approx([1 / 3, 1, 0.5005, 1e-3])


def test_moving_average_forgets_its_start():
    average, weight = [torch.zeros(1)], [torch.ones(1)]
    for count in range(200):
        moving_average(0.998)(average, weight, torch.tensor(count))
    assert average[0] > 0.999
    counts = [torch.tensor([3])]
    moving_average(0.998)(counts, [torch.tensor([7])], torch.tensor(5))
    assert counts[0] == 7
