"""The paper's MonoOcc: its recipe departs nowhere, its networks have the paper's parts, its loss is eq. 10."""

from dataclasses import replace
from math import ceil
from operator import attrgetter
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")
pytest.importorskip("lightning", reason="needs lightning (the train extra)")

from occ_core import IGNORE  # noqa: E402
from occ_models.augmentation import NONE  # noqa: E402
from occ_models.config import ConfigError, from_dict, label_shape, load_config, map_shape  # noqa: E402
from occ_models.losses import CLASS_FREQUENCIES  # noqa: E402
from occ_models.monoocc.config import MonoOccConfig  # noqa: E402
from occ_models.monoocc.model import MonoOcc  # noqa: E402
from occ_models.monoocc.recipe import MonoOccRecipe  # noqa: E402
from occ_models.monoocc.tasks import OccupancyLosses, OccupancyTask  # noqa: E402
from occ_models.phases import TrainingRun  # noqa: E402
from occ_models.plan import departures, plan_of  # noqa: E402
from occ_models.recipe import TrainingConfig, load_recipe, steps_of  # noqa: E402

from .test_monoocc import MONO, MONO_L, inputs, network  # noqa: E402
from .test_monoocc_trainer import QUICK, TAUGHT, another, parts_that_differ, phases_of, run_of, start, weights  # noqa: E402

PAPER = load_recipe("monoocc-paper", MonoOccRecipe)
NETWORKS = ("paper-s", "paper-l", "paper-teacher-s", "paper-teacher-l")
# setting: the paper's value
OF_THE_RECIPE = {
    "voxel_loss": "ssc",
    "affinity_mass": 0.0,
    "image_labels": "points",
    "image_class_weights": "none",
    "unseen": 0.0,
    "temperature": 1.0,
    "first_stage": "frozen",
    "occupied_weight": 0.54 / 0.46,
    "augment": "none",
    "share": 1.0,
    "training.average": 0.0,
    "training.weight_decay": 1e-2,
    "training.learning_rate": 2e-4,
    "training.warmup": 500,
    "training.clip": 35.0,
    "depth_epochs": 24.0,
    "teacher_epochs": 20.0,
    "student_epochs": 20.0,
}
OF_THE_NETWORK = {
    "header_upsampling": 4,
    "proposals": 0,
    "proposal_rule": "threshold",
    "self_attention": "sheet",
    "embedding": "full",
    "position": "sheet",
    "depth_encoder": "own",
    "image_stride": 16,
    "channels": 128,
    "cross_layers": 3,
    "self_layers": 2,
    "conditioned_layers": 3,
    "heads": 8,
    "points": 8,
    "dropout": 0.1,
}
DOCS = Path(__file__).parents[2] / "docs" / "train-monoocc.md"


# The recipe and the networks


@pytest.mark.parametrize("setting", OF_THE_RECIPE)
def test_the_papers_recipe_has_each_departure_off(setting):
    assert attrgetter(setting)(PAPER) == OF_THE_RECIPE[setting]


@pytest.mark.parametrize("setting", OF_THE_NETWORK)
@pytest.mark.parametrize("name", NETWORKS)
def test_the_papers_networks_have_each_departure_off(name, setting):
    assert attrgetter(setting)(load_config(name, MonoOccConfig)) == OF_THE_NETWORK[setting]


@pytest.mark.parametrize("setting", (*OF_THE_RECIPE, *OF_THE_NETWORK))
def test_the_docs_have_a_row_for_each_departure(setting):
    assert f"| `{setting}` |" in DOCS.read_text()


def test_the_papers_recipe_takes_the_papers_networks(sequence, tmp_path):
    configs = [load_config(name, MonoOccConfig) for name in (PAPER.size, PAPER.teacher)]
    assert configs[0].views == (0,) and configs[1].views == (0, 3, 6, 9, 12)
    assert departures(TrainingRun(configs[0], PAPER, [], [], tmp_path)) == ["every setting is the paper's"]


def test_a_departure_is_named_with_both_values(tmp_path):
    config = replace(load_config("paper-s", MonoOccConfig), proposals=256)
    run = TrainingRun(config, replace(PAPER, temperature=2.0), [], [], tmp_path)
    assert departures(run) == [
        "recipe, other than the paper's (its values in brackets): temperature 2.0 (1.0)",
        "network, other than the paper's (its values in brackets): proposals 256 (0)",
    ]


def test_the_papers_epochs_are_counted_in_frames():
    assert steps_of(PAPER, "student", 3834) == 20 * 3834
    four = replace(PAPER, training=replace(PAPER.training, devices=4))
    assert [steps_of(four, phase, 3834) for phase in PAPER.all_phases] == [24 * 3834 // 4, 19170, 19170]
    assert steps_of(replace(four, student_epochs=0.5), "student", 7) == ceil(0.5 * 7 / 4)
    assert steps_of(MonoOccRecipe(), "student", 3834) == MonoOccRecipe().student_steps


def test_monoocc_l_is_one_view_of_the_largest_backbone():
    config = load_config("paper-l", MonoOccConfig)
    assert (config.views, config.cross_view, config.intern) == ((0,), 0, "xlarge")
    with torch.device("meta"):
        sizes = {name: sum(p.numel() for p in part.parameters()) for name, part in MonoOcc(config).named_children()}
    # Without its fourth stage, which nothing reads at stride 16.
    assert sizes["encoder"] == pytest.approx(180.3e6, rel=1e-3)
    assert sizes["queries"] == 128 * 128 * 16 * 128 and sizes["position"] == 2 * 512 * 64


# Parts of the network

OWN = {
    "depth_encoder": "own",
    "proposals": 0,
    "proposal_rule": "threshold",
    "header_upsampling": 4,
    "position": "sheet",
}


def paper_network(path=MONO, **changed):
    return network(path, self_attention="sheet", embedding="full", **OWN, **changed)


def test_the_header_is_four_times_as_fine_and_so_are_its_labels():
    model = paper_network()
    assert label_shape(model.config) == tuple(4 * n for n in map_shape(model.config)) == (24, 76)
    with torch.no_grad():
        assert model(*inputs(model.config)).semantic_2d.shape == (1, 20, 24, 76)


def test_a_header_of_a_size_that_is_no_power_of_two_is_refused():
    with pytest.raises(ConfigError, match="header_upsampling: expected a power of two, got 3"):
        from_dict(MonoOccConfig, {"header_upsampling": 3})
    with pytest.raises(ConfigError, match="proposals: expected a number of voxels, or 0 for no limit, got -1"):
        from_dict(MonoOccConfig, {"proposals": -1})


def test_depth_of_its_own_does_not_depend_on_the_backbone():
    model = paper_network()
    seen = inputs(model.config)
    with torch.no_grad():
        before = model.depth_and_proposals(*seen)
        for parameter in model.encoder.parameters():
            parameter.zero_()
        torch.testing.assert_close(model.depth_and_proposals(*seen), before)


def test_a_row_and_a_column_of_the_sheet_say_where_a_voxel_is():
    model = paper_network()
    position = model.position()
    assert position.shape == (64, 64, 8)  # 32 x 32 x 4 voxels
    assert torch.equal(position[3, 5], torch.cat([model.position.columns[0, 5], model.position.rows[3, 0]]))


# Eq. 10


def eq_10(output, batch, teacher) -> float:
    """The sum of section IV-B: 4 L_sem + 3 L_distill + 2 L_ssc + L_scal_sem + 0.5 L_scal_geo, voxel by voxel."""
    occupied = output.occupancy[0].sigmoid()
    classes = output.semantics[0].permute(0, 1, 3, 2)  # (X/2, Y/2, Z/2, 19)
    for axis in range(3):
        classes = classes.repeat_interleave(2, axis)
    P = torch.cat([1 - occupied.unsqueeze(3), occupied.unsqueeze(3) * classes.softmax(3)], 3)
    known = batch["labels"][0] != IGNORE
    P, y = P[known], batch["labels"][0][known].long()
    w = 10 / torch.log(CLASS_FREQUENCIES + 0.001)
    right = P.gather(1, y.unsqueeze(1)).squeeze(1)
    l_ssc = (w[y] * -right.log()).sum() / len(y)

    terms = []
    for c in y.unique():
        p, t = P[:, c], (y == c).to(P)
        precision, recall = (p * t).sum() / p.sum(), (p * t).sum() / t.sum()
        specificity = ((1 - p) * (1 - t)).sum() / (1 - t).sum()
        terms.append(-precision.log() - recall.log() - specificity.log())
    l_scal_sem = torch.stack(terms).mean()

    o, e, t = 1 - P[:, 0], P[:, 0], (y > 0).to(P)
    l_scal_geo = -((o * t).sum() / o.sum()).log() - ((o * t).sum() / t.sum()).log()
    l_scal_geo -= ((e * (1 - t)).sum() / (1 - t).sum()).log()

    pixels = batch["labels_2d"][0] != IGNORE
    log_p = output.semantic_2d[0].log_softmax(0).permute(1, 2, 0)[pixels]
    l_sem = -log_p.gather(1, batch["labels_2d"][0][pixels].long().unsqueeze(1)).mean()

    where = batch["geometry"][0] == 1
    t, s = (f[0].permute(1, 2, 3, 0)[where].softmax(1) for f in (teacher, output.voxels))
    l_distill = (t * (t / s).log()).sum(1).mean()
    return (4.0 * l_sem + 3.0 * l_distill + 2.0 * l_ssc + 1.0 * l_scal_sem + 0.5 * l_scal_geo).item()


def test_the_sum_of_the_losses_of_one_batch_is_eq_10():
    model, teacher = paper_network().double(), paper_network(MONO_L, image=load_config(MONO, MonoOccConfig).image)
    used = OccupancyLosses(
        distill=True, temperature=1.0, voxels="ssc", affinity_mass=0.0, image_class_weights="none", first_stage=False
    )
    task = OccupancyTask(model, TrainingConfig(), 1, used).double().eval()
    assert task.loss_weights == {"semantic_2d": 4, "distill": 3, "ssc": 2, "scal_sem": 1, "scal_geo": 0.5, "iou": 0}
    names, tensors = model.config.inputs, inputs(model.config)
    batch = {name: tensor.double() for name, tensor in zip(names, tensors, strict=True)}
    drawn = torch.Generator().manual_seed(1)

    def labels(*shape, most):
        values = torch.randint(0, most, shape, generator=drawn)
        return torch.where(torch.rand(shape, generator=drawn) < 0.2, IGNORE, values).to(torch.uint8)

    batch |= {
        "labels": labels(1, *model.config.preprocess.grid.shape, most=20), "geometry": labels(1, *model.shape, most=2),
        "labels_2d": labels(1, *label_shape(model.config), most=20), "labelled": torch.tensor([True]), "name": ["one"],
    }  # fmt: skip
    with torch.no_grad():
        batch["features"] = teacher.voxels(*inputs(teacher.config)).double()
        found = sum(task.weighted_losses(batch).values()).item()
        expected = eq_10(model(*(batch[name] for name in names)), batch, batch["features"])
    assert found == pytest.approx(expected, rel=1e-6)


# Training


def taught(folder, **changed):
    """The paper's recipe at the smallest size, with a teacher that fits."""
    alike = load_config(MONO, MonoOccConfig).image
    teacher = another(folder, image=alike, self_attention="sheet", embedding="full", **OWN)
    quick = replace(PAPER.training, **{name: getattr(QUICK, name) for name in ("workers", "accelerator")})
    epochs = {f"{phase}_epochs": 0.5 for phase in PAPER.all_phases}  # of four frames
    return replace(PAPER, teacher=teacher, training=replace(quick, validate_every=2), **epochs, **changed)


def test_the_papers_recipe_trains_every_phase_and_freezes_the_first_stage(sequence, tmp_path, capsys):
    start(sequence, tmp_path / "out", taught(tmp_path), self_attention="sheet", embedding="full", **OWN)
    said = capsys.readouterr().out
    assert "student: 2 steps on 4 frames" in said
    weights_used = "ssc 2, scal_geo 0.5, scal_sem 1, semantic_2d 4, distill 3; left out, weight 0: iou"
    assert f"student: loss weights: {weights_used}\n" in said
    depth, student = (weights(tmp_path / "out" / phase) for phase in ("depth", "student"))
    changed = parts_that_differ(depth, student)
    assert "encoder" in changed and not {"depth_encoder", "depth", "proposals"} & changed
    teacher = weights(tmp_path / "out" / "teacher")
    assert all(torch.equal(value, teacher[name]) for name, value in depth.items() if name.startswith("depth"))


def test_the_plan_has_the_network_of_each_phase(sequence, tmp_path):
    run = run_of(sequence, tmp_path, taught(tmp_path), self_attention="sheet", embedding="full", **OWN)
    lines = plan_of(run, list(phases_of(run).values()), MonoOcc).splitlines()
    by_phase = {line.split(":")[0] for line in lines}
    sizes = [sum(p.numel() for p in MonoOcc(c).parameters()) for c in (run.config, phases_of(run)["teacher"].config)]
    assert lines[0] == f"network pico: {sizes[0] / 1e6:.1f} M parameters"
    assert {"depth", f"teacher (pico-l, {sizes[1] / 1e6:.1f} M parameters)", "student"} <= by_phase


def test_the_papers_recipe_leaves_frames_as_they_are(sequence, tmp_path):
    phases = phases_of(run_of(sequence, tmp_path / "out", taught(tmp_path), self_attention="sheet", **OWN))
    assert phases["depth"].data().augmentation == phases["teacher"].data().augmentation == NONE


def test_a_frozen_first_stage_needs_depth_of_its_own(sequence, tmp_path):
    with pytest.raises(ConfigError, match="first_stage: frozen needs depth_encoder: own; pico has shared"):
        phases_of(run_of(sequence, tmp_path, replace(TAUGHT, first_stage="frozen")))
    recipe = replace(taught(tmp_path), teacher=another(tmp_path, **OWN))
    with pytest.raises(ConfigError, match="the same in teacher and student; image of pico-l is"):
        phases_of(run_of(sequence, tmp_path, recipe, **OWN))


def test_validation_tells_what_the_limit_of_proposals_cuts_off(sequence, tmp_path):
    phases = phases_of(run_of(sequence, tmp_path, proposals=3))
    task = phases["depth"].task()
    task.on_validation_epoch_start()
    proposals, geometry = torch.full((1, 2, 2, 2), -1.0), torch.zeros(1, 2, 2, 2, dtype=torch.uint8)
    proposals[0, 0], geometry[0, 0] = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), 1
    geometry[0, 1, 0, 0] = 1  # not proposed: nothing was cut off there
    logged = {}
    task.count_cut_off(proposals, geometry)
    task.log, task.log_dict = (lambda name, value, **_: logged.update({name: value})), lambda *_, **__: None
    task.trainer = type("Trainer", (), {"world_size": 1, "global_step": 0})()
    task.on_validation_epoch_end()
    assert logged["cut_off"].item() == pytest.approx(100 / 5)
