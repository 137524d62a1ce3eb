"""The paper recipe of OccLE: every departure is off, and the loss of a batch is that of the paper's equations."""

import math
import shutil
from dataclasses import asdict, fields, replace
from operator import attrgetter
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")
pytest.importorskip("lightning", reason="needs lightning (the train extra)")

from occ_core import IGNORE  # noqa: E402
from occ_data import DataError, Sequence  # noqa: E402
from occ_data.kitti import read_gray  # noqa: E402
from occ_models.augmentation import NONE  # noqa: E402
from occ_models.config import ConfigError, load_config, to_dict  # noqa: E402
from occ_models.data import collate, inputs_of  # noqa: E402
from occ_models.losses import class_weights  # noqa: E402
from occ_models.occle.augmentation import augmentation_of  # noqa: E402
from occ_models.occle.config import OccLEConfig  # noqa: E402
from occ_models.occle.dual_mamba import DualMambaBlock  # noqa: E402
from occ_models.occle.geometry_labels import class_thresholds  # noqa: E402
from occ_models.occle.model import OccLE  # noqa: E402
from occ_models.occle.recipe import OccLERecipe  # noqa: E402
from occ_models.occle.trainer import OccLETraining  # noqa: E402
from occ_models.phases import Phase, TrainingRun, differences, train  # noqa: E402
from occ_models.recipe import load_recipe, network_of  # noqa: E402
from occ_models.training import moving_average  # noqa: E402
from occ_models.weights import load_weights, save_weights  # noqa: E402

from .conftest import PICO  # noqa: E402
from .test_occle import moments  # noqa: E402

PAPER, OURS = load_recipe("paper", OccLERecipe), OccLERecipe()
BASE = OccLEConfig()
ONE_STEP = {f"{phase}_steps": 1 for phase in OccLERecipe.all_phases}
DEPARTURES = {
    # setting: (the paper's, ours)
    "labelled_draws": (0.0, 0.5),
    "semantic_epochs": (40, 0),
    "teacher_epochs": (100, 0),
    "student_epochs": (40, 0),
    "joint_epochs": (40, 0),
    "move_scene": (False, True),
    "augment_sensors": (False, True),
    "jitter": (0.0, 0.01),
    "black_images": (0.0, 0.1),
    "loss_weights.ce": (1.0, 0.0),
    "loss_weights.ce_occupied": (0.0, 3.0),
    "loss_weights.ce_class": (0.0, 1.0),
    "loss_weights.iou": (0.0, 1.0),
    "occupancy_mean": ("all", "labelled"),
    "affinity_mass": (0.0, 0.02),
    "occupied_weight": (1.131, 2.0),
    "projection_scale": ("plain", "root"),
    "lifted_labels": ("centre", "vote"),
    "student_start": ("fresh", "teacher"),
    "pseudo_table": ("paper", ""),
    "keep": (0.0, 0.7),
    "training.average": (0.0, 0.998),
}
OF_THE_NETWORK = {
    # setting: (the paper's, that of the smaller sizes)
    "added_planes": (False, True),
    "head": ("fused", "scan"),
    "semantic_header": ("lidar", "image+lidar"),
    "grid_headers": ("upsampling", "pointwise"),
    "own_voxel_features": (True, False),
    "sparse": (True, False),
    "sparse_layers": (3, 0),
    "frames": (3, 1),
    "fusion.mamba_everywhere": (True, False),
}
SIZES = ("pico", "nano", "small", "base")
DOCS = Path(__file__).parents[2] / "docs" / "train-occle.md"


@pytest.mark.parametrize("name", DEPARTURES)
def test_the_paper_recipe_has_each_departure_off_and_the_default_has_it_on(name):
    assert (attrgetter(name)(PAPER), attrgetter(name)(OURS)) == DEPARTURES[name]


def test_no_setting_of_the_method_differs_that_is_not_a_departure():
    differing = {f.name for f in fields(OccLERecipe) if getattr(PAPER, f.name) != getattr(OURS, f.name)}
    known = {name.partition(".")[0] for name in DEPARTURES}
    assert differing - known == {"size", "network", *(f"{phase}_steps" for phase in OccLERecipe.all_phases)}
    assert {n for n, v in asdict(PAPER.loss_weights).items() if v not in (0.0, 1.0)} == set()


@pytest.mark.parametrize("setting", OF_THE_NETWORK)
def test_the_paper_recipe_has_each_departure_of_the_network_off_at_any_size(setting):
    paper, ours = OF_THE_NETWORK[setting]
    for name in SIZES:
        config = load_config(name, OccLEConfig)
        assert attrgetter(setting)(network_of(config, PAPER)) == paper
        assert network_of(config, OURS) == config
        if name != "base":  # which has the paper's headers and sparse convolutions itself
            assert attrgetter(setting)(config) == ours


def test_the_paper_recipe_changes_no_other_setting_of_the_network():
    for name in SIZES:
        config = load_config(name, OccLEConfig)
        changed = differences(to_dict(config), to_dict(network_of(config, PAPER)))
        assert changed.keys() <= OF_THE_NETWORK.keys()


@pytest.mark.parametrize("setting", (*DEPARTURES, *(f"network.{name}" for name in OF_THE_NETWORK)))
def test_the_docs_have_a_row_for_each_departure(setting):
    assert f"\n| `{setting}` |" in DOCS.read_text()


@pytest.mark.parametrize("name", SIZES)
def test_the_papers_network_fits_the_grid_of_each_size(name):
    config = network_of(load_config(name, OccLEConfig), PAPER)
    with torch.device("meta"):
        model = OccLE(config).eval()
        inputs = [tensor.to("meta") for tensor in moments(config, range(config.frames))]
        output = model(*inputs)
    blocks = (*model.fusion.encoder, *model.fusion.decoder)
    assert len(blocks) == 2 * len(config.fusion.encoder) and all(isinstance(b, DualMambaBlock) for b in blocks)
    fine = tuple(n * 2 // config.preprocess.lifting_factor for n in config.preprocess.grid.shape)
    assert output.geometry.shape == (1, 2, *fine) and output.semantic_3d.shape == (1, 20, *fine)
    assert output.occupancy.shape == (1, *config.preprocess.grid.shape)


def test_base_has_the_width_and_the_headers_of_the_facts():
    base = load_config("base", OccLEConfig)
    assert (base.channels, base.grid_headers) == (64, "upsampling")
    model = OccLE(replace(load_config(PICO, OccLEConfig), grid_headers="upsampling"))
    for header, classes in ((model.geometric.header, 2), (model.semantic.header_3d, 20)):
        (first, *_), last, up = header
        assert (first.in_channels, first.out_channels, first.kernel_size) == (8, 4, (3, 3, 3))
        assert (last.out_channels, last.kernel_size) == (classes, (1, 1, 1))
        assert (up.scale_factor, up.mode) == (2, "trilinear")


def test_every_phase_of_the_paper_recipe_takes_a_step_at_the_smallest_size(sequence, tmp_path):
    run = paper_run(sequence, tmp_path, **{f"{phase}_epochs": 0.0 for phase in OccLERecipe.all_phases}, **ONE_STEP)
    train(run, OccLETraining(run).phases())
    labels = read_gray(next((tmp_path / "teacher" / "labels").rglob("*.png")))
    assert labels.shape == (64, 64 * 8)  # at twice the resolution of the feature grid
    assert load_weights(OccLE(run.config), tmp_path).config.frames == 3


def test_a_recipe_that_names_an_unknown_setting_of_the_network_is_refused():
    with pytest.raises(ConfigError, match=r"network\.plane: unknown key"):
        network_of(BASE, replace(OURS, network={"plane": 1}))


def test_the_paper_recipe_leaves_the_frames_of_phases_one_and_three_as_they_are():
    for phase in ("semantic", "joint"):
        assert augmentation_of(PAPER, phase) == NONE
        ours = augmentation_of(OURS, phase)
        assert (ours.mirror_p, ours.jitter, ours.no_image_p, ours.dropout_p) == (0.5, 0.01, 0.1, 1.0)
    for phase in ("teacher", "student"):
        paper, ours = augmentation_of(PAPER, phase), augmentation_of(OURS, phase)
        assert (paper.mirror_p, paper.turn_p, paper.shift_z) == (0, 0, 0) and ours.mirror_p == 0.5
        assert paper.brightness == ours.brightness > 0  # table 1 stays
    assert augmentation_of(replace(PAPER, black_images=0.2), "joint") == replace(NONE, no_image_p=0.2)


def test_without_a_moving_average_the_last_weights_are_kept():
    average = [torch.zeros(3)]
    for count in range(3):
        moving_average(PAPER.training.average)(average, [torch.full((3,), 1.0 + count)], torch.tensor(count))
        assert torch.equal(average[0], torch.full((3,), 1.0 + count))


def test_one_confidence_counts_for_free_and_occupied_alike():
    histogram = torch.arange(255).numpy()
    assert class_thresholds(histogram, PAPER.tau, PAPER.keep) == (0.95, 0.95)
    assert min(class_thresholds(histogram, OURS.tau, OURS.keep)) < 0.95


@pytest.mark.parametrize(("steps", "epochs"), [(0, 0), (5, 5), (-1, 0), (0, -2)])
def test_a_phase_has_steps_or_epochs(steps, epochs):
    with pytest.raises(ConfigError, match=f"joint_steps {steps}, joint_epochs {epochs}: expected one of them positive"):
        OccLERecipe(joint_steps=steps, joint_epochs=epochs)


def paper_run(sequence, output, **changes) -> TrainingRun:
    recipe = replace(PAPER, **{"share": 0.5, "pseudo_table": "", **changes})
    recipe = replace(recipe, training=replace(recipe.training, accelerator="cpu", workers=0))
    config = network_of(load_config(PICO, OccLEConfig), recipe)
    return TrainingRun(config, recipe, [Sequence(sequence)], [Sequence(sequence)], output)


def phases_of(run: TrainingRun) -> dict[str, Phase]:
    return {phase.name: phase for phase in OccLETraining(run).phases()}


def test_steps_follow_from_frames_batch_and_epochs(sequence, tmp_path):
    phases = phases_of(paper_run(sequence, tmp_path))
    assert {n: (p.frames, p.steps) for n, p in phases.items()} == {
        "semantic": (4, 160), "teacher": (2, 200), "student": (4, 160), "joint": (4, 160)
    }  # fmt: skip
    run = paper_run(sequence, tmp_path)
    together = replace(run.recipe, training=replace(run.recipe.training, batch=3, devices=2))
    assert [p.steps for p in phases_of(replace(run, recipe=together)).values()] == [27, 34, 27, 27]


@pytest.mark.parametrize(("ratio", "drawn"), [(0.0, None), (0.25, 0.25), (0.5, 0.5)])
def test_phases_two_and_three_draw_labelled_frames_by_the_recipes_ratio(sequence, tmp_path, ratio, drawn):
    phases = phases_of(paper_run(sequence, tmp_path, labelled_draws=ratio))
    assert {n: p.labelled_draws for n, p in phases.items()} == {
        "semantic": None, "teacher": None, "student": drawn, "joint": drawn
    }  # fmt: skip


@pytest.mark.parametrize("start", ["fresh", "teacher"])
def test_the_student_starts_fresh_or_from_the_teacher(sequence, tmp_path, start):
    run = paper_run(sequence, tmp_path, student_start=start)
    networks = {}
    for seed, phase in enumerate(("semantic", "teacher")):
        torch.manual_seed(seed)
        networks[phase] = OccLE(run.config)
        save_weights(networks[phase], tmp_path / phase)
    student = phases_of(run)["student"].task().model
    expected = networks["teacher" if start == "teacher" else "semantic"].state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in student.state_dict().items())


@pytest.mark.parametrize(("found", "words"), [("sane", "the table sane"), (None, "the table that is not known")])
def test_pseudo_labels_of_another_table_are_refused_before_the_start(sequence, tmp_path, found, words):
    copy = shutil.copytree(sequence, tmp_path / "00")
    if found:
        (copy / "pseudo_labels" / "recipe.yaml").write_text(f"table: {found}\n")
    with pytest.raises(DataError, match=rf"recipe\.yaml: pseudo labels made with {words}; expected paper"):
        OccLETraining(paper_run(copy, tmp_path / "out", pseudo_table="paper"))
    (copy / "pseudo_labels" / "recipe.yaml").write_text("table: paper\n")
    OccLETraining(paper_run(copy, tmp_path / "out", pseudo_table="paper"))


# Eq. 6, term by term on all twenty classes, in float64: rounding of single precision alone exceeds 1e-6.


def weighted_ce(probabilities, labels, weights):
    """Mean of -log p of the label, each voxel or pixel counting as its class does. (N, C), (N,) with IGNORE."""
    known = labels != IGNORE
    p, y = probabilities[known], labels[known].long()
    return -(weights[y] * p.gather(1, y[:, None])[:, 0].log()).sum() / weights[y].sum()


def affinity(p, t):
    """-log of precision, recall and specificity of one class: probabilities and truth of all known voxels."""
    inter, free = (p * t).sum(), ((1 - p) * (1 - t)).sum()
    return -((inter / p.sum()).log() + (inter / t.sum()).log() + (free / (1 - t).sum()).log())


def rows(logits):
    """Softmax over the classes of (1, C, ...) logits: (N, C)."""
    return logits[0].double().flatten(1).T.softmax(1)


def twenty_classes(output):
    """P of the 20 classes at every voxel of the grid, (X*Y*Z, 20): eq. 6's Y from the network's two factors."""
    occupied = output.occupancy[0].double().sigmoid()
    share = output.semantics[0].double().softmax(2).transpose(2, 3)  # (X/2, Y/2, Z/2, 19)
    for axis in range(3):
        share = share.repeat_interleave(2, axis)
    return torch.cat([1 - occupied.unsqueeze(-1), occupied.unsqueeze(-1) * share], -1).flatten(0, 2)


def projected(fused, lifting, shape):
    """Eq. 5: the plain sum of the features of the voxels on each cell (1, C, h, w), and the cells with any."""
    height, width = shape
    sums, hit = fused.new_zeros(1, fused.shape[1], height, width), torch.zeros(shape, dtype=torch.bool)
    features = fused[0].flatten(1)
    for voxel, (u, v) in enumerate(lifting[0].flatten(0, 1).tolist()):
        if abs(u) < 1 and abs(v) < 1:
            row, column = int((v + 1) / 2 * height), int((u + 1) / 2 * width)
            sums[0, :, row, column] += features[:, voxel]
            hit[row, column] = True
    return sums, hit


def equation_6(task, batch):
    """L_sem + L_fus of one frame, from the network's outputs."""
    output = task.model(*inputs_of(batch, task.model.config))
    weights, labels = class_weights().double(), batch["labels"].flatten()
    losses = {
        "sem_2d": weighted_ce(rows(output.semantic_2d), batch["labels_2d"].flatten(), weights),
        "sem_3d": weighted_ce(rows(output.semantic_3d), batch["labels_3d"].flatten(), weights),
    }
    sums, hit = projected(output.fused, batch["lifting"], task.projection.shape)
    seen = torch.where(hit, batch["labels_2d"][0], IGNORE).flatten()
    losses["projection"] = weighted_ce(rows(task.projection.header(sums)), seen, weights)
    if batch["labelled"].item():
        p, known = twenty_classes(output), labels != IGNORE
        losses["ce"] = weighted_ce(p, labels, weights)
        losses["scal_geo"] = affinity(1 - p[known, 0], (labels[known] > 0).double())
        classes = labels[known].unique().tolist()
        each = [affinity(p[known, c], (labels[known] == c).double()) for c in classes]
        losses["scal_sem"] = torch.stack(each).mean()
    return losses


@pytest.mark.parametrize("labelled", [True, False])
def test_the_loss_of_a_batch_is_equation_6(sequence, tmp_path, labelled):
    run = paper_run(sequence, tmp_path, semantic_loss="joint", geometric_loss="none")
    joint = phases_of(run)["joint"]
    torch.manual_seed(0)
    task, data = joint.task().double().eval(), joint.data()
    assert task.loss_weights == joint.loss_weights  # those that are printed before the start are those that are used
    batch = collate([data[next(n for n, frame in enumerate(data.frames) if frame.labelled == labelled)]])
    batch = {name: v.double() if name in ("image", "voxels", "lifting") else v for name, v in batch.items()}
    with torch.no_grad():
        terms, expected = task.weighted_losses(batch), equation_6(task, batch)
    assert set(terms) == {"sem_2d", "sem_3d", "projection", "ce", "scal_geo", "scal_sem"}
    for name, value in terms.items():
        assert value.item() == pytest.approx(float(expected.get(name, 0)), rel=1e-6, abs=1e-9), name
    total = sum(value.item() for value in expected.values())
    assert sum(terms.values()).item() == pytest.approx(total, rel=1e-6) and math.isfinite(total)


def test_the_geometric_loss_is_weighted_cross_entropy_of_free_and_occupied(sequence, tmp_path):
    torch.manual_seed(0)
    run = paper_run(sequence, tmp_path, semantic_loss="joint", geometric_loss="pretrain")
    phase = phases_of(run)["teacher"]
    task, data = phase.task().eval(), phase.data()
    batch = collate([data[0]])
    with torch.no_grad():
        (found,) = task.weighted_losses(batch).values()
        logits = task.model.geometry(*inputs_of(batch, task.model.config))
    weights = torch.tensor([1.0, 1.131], dtype=torch.float64)
    expected = weighted_ce(rows(logits), batch["geometry"].flatten(), weights)
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
