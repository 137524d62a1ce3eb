"""Steps with less memory: the same weights with activations computed again, and with batches added up."""

from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")
pytest.importorskip("lightning", reason="needs lightning (the train extra)")

from safetensors.torch import load_file  # noqa: E402

from occ_data import Sequence  # noqa: E402
from occ_models.config import ConfigError, load_config  # noqa: E402
from occ_models.data import FrameDataset, collate  # noqa: E402
from occ_models.frames import frames_of  # noqa: E402
from occ_models.memory import recompute_activations  # noqa: E402
from occ_models.monoocc.config import MonoOccConfig  # noqa: E402
from occ_models.monoocc.model import MonoOcc  # noqa: E402
from occ_models.monoocc.recipe import MonoOccRecipe  # noqa: E402
from occ_models.monoocc.tasks import OccupancyLosses, OccupancyTask  # noqa: E402
from occ_models.monoocc.trainer import MonoOccTraining  # noqa: E402
from occ_models.occle.config import OccLEConfig  # noqa: E402
from occ_models.occle.model import OccLE  # noqa: E402
from occ_models.occle.tasks import JointLosses, JointTask  # noqa: E402
from occ_models.phases import TrainingRun  # noqa: E402
from occ_models.phases import train as train_phases  # noqa: E402
from occ_models.recipe import TrainingConfig  # noqa: E402

HERE = Path(__file__).parent
QUICK = TrainingConfig(batch=1, warmup=1, validate_every=9, checkpoint_every=1, workers=0, accelerator="cpu")
OCCLE, MONO = load_config(HERE / "pico.yaml", OccLEConfig), load_config(HERE / "mono_pico.yaml", MonoOccConfig)


def occle_task(training: TrainingConfig) -> JointTask:
    return JointTask(OccLE(OCCLE), training, 2, JointLosses(geometric=True))


def mono_task(training: TrainingConfig) -> OccupancyTask:
    return OccupancyTask(MonoOcc(MONO), training, 2, OccupancyLosses())


def kept_bytes(task, batch) -> int:
    """What a forward pass keeps for the backward pass, weights left out."""
    weights = {value.untyped_storage().data_ptr() for value in task.model.state_dict().values()}
    kept = {}

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        task.weighted_losses(batch)
    return sum(size for place, size in kept.items() if place not in weights)


@pytest.mark.parametrize(("config", "make"), [(OCCLE, occle_task), (MONO, mono_task)], ids=["occle", "monoocc"])
def test_activations_computed_again_give_the_same_gradients_and_statistics(config, make, sequence):
    batch = collate([FrameDataset(frames_of([Sequence(sequence)]), config)[0]])
    results = []
    for recompute in (False, True):
        torch.manual_seed(0)
        task = make(replace(QUICK, recompute=recompute))
        for _ in range(2):
            sum(task.weighted_losses(batch).values()).backward()
        gradients = {name: p.grad for name, p in task.model.named_parameters() if p.grad is not None}
        results.append((gradients, task.model.state_dict(), kept_bytes(task, batch)))
    (wanted, state, size), (found, other, smaller) = results
    assert found.keys() == wanted.keys() and len(found) > 50
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-6, msg=name)
    assert state.keys() == other.keys() and all(torch.equal(other[name], value) for name, value in state.items())
    assert smaller < 0.7 * size


def test_every_layer_of_a_network_is_in_a_part():
    model = OccLE(OCCLE)
    assert 10 < recompute_activations(model) < sum(1 for _ in model.modules())


def train(sequence, output: Path, training: TrainingConfig) -> dict[str, torch.Tensor]:
    recipe = MonoOccRecipe(depth_steps=1, student_steps=2, training=training)
    drives = [Sequence(sequence)]
    run = TrainingRun(MONO, recipe, drives, drives, output)
    train_phases(run, MonoOccTraining(run).phases(), ("depth",))
    return load_file(output / "depth" / "model.safetensors")


def test_batches_added_up_draw_the_frames_of_one_large_batch(sequence, tmp_path, monkeypatch):
    names, original = {}, OccupancyTask.weighted_losses
    from occ_models.monoocc.tasks import DepthTask

    def noted(task, batch):
        names.setdefault(task.training_config.accumulate, []).extend(batch["name"])
        return original(task, batch)

    monkeypatch.setattr(DepthTask, "weighted_losses", noted)
    once = train(sequence, tmp_path / "a", replace(QUICK, batch=2))
    added = train(sequence, tmp_path / "b", replace(QUICK, accumulate=2))
    assert names[1] == names[2] and len(names[1]) == 2
    state = torch.load(tmp_path / "b" / "depth" / "last.ckpt", weights_only=True)
    assert state["global_step"] == 1
    # Batch statistics are of two batches, so the weights are near each other and not the same.
    for name, value in once.items():
        if value.is_floating_point() and "running" not in name:
            assert (added[name] - value).abs().max() < 5e-3, name


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"accumulate": 0}, "accumulate: expected 1 or more, got 0"),
        ({"workers": -2}, "workers: expected -1 or more, got -2"),
        ({"recompute": True, "compile": True}, "compile: cannot be combined with recompute"),
    ],
)
def test_settings_that_cannot_be_are_refused(values, said):
    with pytest.raises(ConfigError, match=said):
        TrainingConfig(**values)


def test_each_part_is_compiled(monkeypatch):
    """Without the compiler itself, which takes minutes: which modules are given to it."""
    compiled = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module: compiled.append(module))
    task = mono_task(replace(QUICK, compile=True))
    assert task.model.encoder in compiled and task.model.head in compiled
    assert all(layer in compiled for layer in task.model.cross)
