"""Training that starts with public image backbones: what is frozen, what learns slower, and what replaces what."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")
pytest.importorskip("lightning", reason="needs lightning (the train extra)")

from export.onnx import LOGITS, to_onnx, without_outputs  # noqa: E402
from export.operators import check_operators  # noqa: E402
from export.parity import check_parity, random_inputs  # noqa: E402
from occ_data import Sequence  # noqa: E402
from occ_models.config import ConfigError, ImageEncoderConfig, load_config, save_config  # noqa: E402
from occ_models.data import collate  # noqa: E402
from occ_models.monoocc.config import MonoOccConfig  # noqa: E402
from occ_models.monoocc.model import MonoOcc  # noqa: E402
from occ_models.monoocc.recipe import MonoOccRecipe  # noqa: E402
from occ_models.monoocc.trainer import MonoOccTraining  # noqa: E402
from occ_models.occle.config import OccLEConfig  # noqa: E402
from occ_models.occle.model import OccLE  # noqa: E402
from occ_models.occle.recipe import OccLERecipe  # noqa: E402
from occ_models.occle.trainer import OccLETraining  # noqa: E402
from occ_models.phases import TrainingRun, train  # noqa: E402
from occ_models.recipe import TrainingConfig  # noqa: E402

from .conftest import PICO  # noqa: E402
from .test_backbones import resnet, values_of  # noqa: E402

SHORT = ImageEncoderConfig(64, (1, 1))  # the beginning of a ResNet-18
QUICK = TrainingConfig(
    batch=1, warmup=1, average=0.5, validate_every=1, checkpoint_every=1, workers=0, accelerator="cpu"
)  # fmt: skip
FROZEN = replace(QUICK, backbone_frozen="first_stage", backbone_norm="frozen", backbone_learning_rate=0.1)


@pytest.fixture(scope="module")
def public(tmp_path_factory):
    """Two files of a ResNet-18 with other values."""
    folder, files = tmp_path_factory.mktemp("public"), []
    for n in range(2):
        values = {name: value + n for name, value in values_of(resnet("resnet18")).items()}
        torch.save(values, folder / f"resnet18_{n}.pth")
        files.append(folder / f"resnet18_{n}.pth")
    return files


def occle_run(sequence, output, recipe, initial=None) -> TrainingRun:
    config = replace(load_config(PICO, OccLEConfig), semantic_image=SHORT)
    recipe = replace(recipe, share=0.5, image_labels="points", semantic_steps=1)
    return TrainingRun(config, recipe, [Sequence(sequence)], [Sequence(sequence)], output, initial)


def semantic_phase(run: TrainingRun):
    return next(phase for phase in OccLETraining(run).phases() if phase.name == "semantic")


def test_frozen_parts_get_no_gradient_and_statistics_stay(sequence, tmp_path, public, capsys):
    run = occle_run(sequence, tmp_path, OccLERecipe(semantic_backbone=str(public[0]), training=FROZEN))
    phase = semantic_phase(run)
    data, task = phase.data(), phase.task()
    assert "semantic_backbone: " in capsys.readouterr().out
    backbone = task.model.backbones["semantic"]
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    file = values_of(resnet("resnet18"))
    assert all(torch.equal(value, file[backbone.public_name(name)]) for name, value in before.items())

    optimizer = task.configure_optimizers()["optimizer"]
    sum(task.train().weighted_losses(collate([data[0]])).values()).backward()
    optimizer.step()
    learned = {name for name, p in backbone.named_parameters() if p.grad is not None}
    assert learned == {name for name, p in backbone.stages[1].named_parameters("stages.1") if p.ndim == 4}
    changed = {name for name, value in backbone.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == learned

    rates = {id(p): group["initial_lr"] for group in optimizer.param_groups for p in group["params"]}
    own = {id(p) for p in backbone.parameters()}
    assert [rate for p, rate in rates.items() if p in own] == pytest.approx([1e-4] * len(learned))
    assert {rate for p, rate in rates.items() if p not in own} == {1e-3}


@pytest.mark.parametrize(
    ("frozen", "count"), [("none", 0), ("stem", 1), ("first_stage", 2), ("all", 3)]
)  # fmt: skip
def test_frozen_is_what_is_named(sequence, tmp_path, public, frozen, count):
    training = replace(QUICK, backbone_frozen=frozen)
    run = occle_run(sequence, tmp_path, OccLERecipe(semantic_backbone=str(public[0]), training=training))
    parts = semantic_phase(run).task().model.backbones["semantic"].parts()
    assert [any(p.requires_grad for p in part.parameters()) for part in parts] == [n >= count for n in range(3)]
    assert [part.training for part in parts] == [n >= count for n in range(3)]


def test_a_backbone_with_fresh_weights_is_trained_whole(sequence, tmp_path):
    task = semantic_phase(occle_run(sequence, tmp_path, OccLERecipe(training=FROZEN))).task()
    backbone = task.model.backbones["semantic"]
    assert all(p.requires_grad for p in backbone.parameters()) and all(m.training for m in backbone.modules())
    assert len(task.configure_optimizers()["optimizer"].param_groups) == 2


def test_it_trains_and_resumes(sequence, tmp_path, public):
    recipe = OccLERecipe(semantic_backbone=str(public[0]), training=FROZEN)
    run = occle_run(sequence, tmp_path, recipe)
    train(run, OccLETraining(run).phases(), ("semantic",))
    assert (tmp_path / "semantic" / "model.safetensors").is_file()


def test_files_that_are_missing_or_of_no_use_are_refused(sequence, tmp_path, public):
    for recipe in (OccLERecipe(geometric_backbone="absent.pth"), OccLERecipe(semantic_backbone="absent.pth")):
        with pytest.raises(ConfigError, match=r"_backbone: absent.pth: no such file"):
            OccLETraining(occle_run(sequence, tmp_path, recipe))
    with pytest.raises(ConfigError, match="does not go with weights to start from"):
        OccLETraining(occle_run(sequence, tmp_path, OccLERecipe(semantic_backbone=str(public[0])), initial=tmp_path))
    for changed, words in (
        ({"backbone_frozen": "half"}, "backbone_frozen: expected one of"),
        ({"backbone_learning_rate": 0.0}, "expected a positive factor"),
    ):
        with pytest.raises(ConfigError, match=words):
            replace(QUICK, **changed)


def test_the_first_stage_does_not_replace_a_teachers_public_weights(sequence, tmp_path, public, capsys):
    mono = replace(load_config(PICO.with_name("mono_pico.yaml"), MonoOccConfig), image=SHORT)
    save_config(mono, tmp_path / "teacher.yaml")
    recipe = MonoOccRecipe(
        teacher=str(tmp_path / "teacher.yaml"), teacher_features="cached", backbone=str(public[0]),
        teacher_backbone=str(public[1]), depth_steps=1, training=FROZEN,
    )  # fmt: skip
    run = TrainingRun(mono, recipe, [Sequence(sequence)], [Sequence(sequence)], tmp_path / "out")
    phases = MonoOccTraining(run).phases()
    train(run, phases, ("depth",))
    said = capsys.readouterr().out
    assert "\nbackbone: " in f"\n{said}" and "tensors loaded" in said
    student, teacher = (phase.task().model.encoder for phase in (phases[2], phases[1]))
    said = capsys.readouterr().out
    assert f"encoder: pico keeps the weights of {public[1]}, and takes none of {tmp_path / 'out' / 'depth'}" in said
    for encoder, file in ((student, public[0]), (teacher, public[1])):
        values = torch.load(file, weights_only=True)
        assert torch.equal(encoder.state_dict()["stem.0.0.weight"], values["conv1.weight"])
        assert not encoder.stem[0][0].weight.requires_grad


@pytest.mark.parametrize(
    ("name", "norm"), [("resnet18", "batch"), ("resnet18", "group"), ("espnetv2", "batch")]
)  # fmt: skip
def test_a_network_with_a_named_backbone_is_deployable(name, norm):
    torch.manual_seed(0)
    config = replace(
        load_config(PICO.with_name("mono_pico.yaml"), MonoOccConfig),
        image=ImageEncoderConfig(name=name, stages=3), norm=norm,
    )  # fmt: skip
    model = MonoOcc(config).eval()
    whole = to_onnx(model)
    shipped = without_outputs(whole, LOGITS)
    assert check_operators(shipped) == []
    results = check_parity(model, shipped, whole, {"noise": random_inputs(config.preprocess, 1)})
    assert max(result.logit_deviation for result in results) < 1e-2


def test_group_normalisation_leaves_backbones_and_sparse_convolutions():
    config = replace(load_config(PICO, OccLEConfig), norm="group", sparse=True)
    model = OccLE(config)
    kept = {
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.BatchNorm3d)
    }
    assert kept and all(
        name.startswith(("semantic.image.encoder", "geometric.image", "geometric.lidar")) for name in kept
    )
    assert any(isinstance(module, torch.nn.GroupNorm) for module in model.head.modules())
    with pytest.raises(ValueError, match="norm: expected batch or group"):
        replace(config, norm="layer")
