"""Settings of OccLE's structure: what each changes, and one training step of it."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")
pytest.importorskip("lightning", reason="needs lightning (the train extra)")

from occ_data.kitti import Sequence  # noqa: E402
from occ_models.config import load_config, map_shape  # noqa: E402
from occ_models.data import FrameDataset, collate  # noqa: E402
from occ_models.frames import frames_of  # noqa: E402
from occ_models.occle.config import OccLEConfig  # noqa: E402
from occ_models.occle.model import OccLE  # noqa: E402
from occ_models.occle.projection import Projection  # noqa: E402
from occ_models.occle.tasks import GeometricTask, JointLosses, JointTask, SemanticTask  # noqa: E402
from occ_models.recipe import TrainingConfig  # noqa: E402

from .conftest import PICO  # noqa: E402
from .test_occle import frame, tensors  # noqa: E402

CONFIG = load_config(PICO, OccLEConfig)


@pytest.fixture
def step(sequence):
    """Losses of one training step, after it; gradients of some of them, or of all, are in the task."""

    def one(task, *terms: str) -> dict[str, torch.Tensor]:
        data = FrameDataset(frames_of([Sequence(sequence)]), task.model.config, image_labels="pseudo_labels")
        losses = task.weighted_losses(collate([data[0], data[1]]))
        sum(losses[name] for name in terms or losses).backward()
        assert all(value.isfinite() for value in losses.values())
        return losses

    return one


def fresh(**settings) -> OccLE:
    torch.manual_seed(0)
    return OccLE(replace(CONFIG, **settings))


def reached(task, depth: int = 1) -> set[str]:
    """Parts of the network with a gradient that is not zero: first words of their parameters' names."""
    return {
        ".".join(name.split(".")[:depth])
        for name, p in task.model.named_parameters()
        if p.grad is not None and p.grad.any()
    }


def idle(task) -> list[str]:
    """What should learn and has no gradient: processes that train together would wait for it."""
    return [name for name, p in task.named_parameters() if p.requires_grad and p.grad is None]


@pytest.mark.parametrize(("header", "sees_image"), [("image+lidar", True), ("lidar", False)])
def test_the_3d_header_on_lidar_features_takes_no_shortcut_through_the_image(header, sees_image, step):
    task = SemanticTask(fresh(semantic_header=header), TrainingConfig(), 1)
    step(task, "sem_3d")
    assert ("semantic.image" in reached(task, 2)) == sees_image
    assert {"voxel_features.first", "semantic.lidar", "semantic.header_3d"} <= reached(task, 2)


@pytest.mark.parametrize("header", ["image+lidar", "lidar"])
def test_phase_1_trains_what_the_headers_see(header, step):
    task = SemanticTask(fresh(semantic_header=header), TrainingConfig(), 1)
    assert set(step(task)) == {"sem_2d", "sem_3d"}
    assert reached(task) == {"voxel_features", "semantic"} and not idle(task)
    assert ("semantic.combine" in reached(task, 2)) == (header == "image+lidar")


@pytest.mark.parametrize(("head", "sees_scan"), [("scan", True), ("fused", False)])
def test_the_fused_head_decides_from_the_fused_grid_alone(head, sees_scan):
    model = fresh(head=head).eval()
    inputs = tensors(frame(CONFIG))
    with torch.no_grad():
        model.fusion.fuse[1].weight.zero_()  # the fused grid says nothing
        here, elsewhere = (model.logits(*inputs[:4], hits, inputs[5])[0] for hits in (inputs[4], inputs[4].flip(2)))
    assert torch.equal(here, elsewhere) != sees_scan


@pytest.mark.parametrize("head", ["scan", "fused"])
def test_phase_3_trains_everything_but_the_geometric_branch(head, step):
    task = joint_task(fresh(head=head))
    names = {"ce_occupied", "ce_class", "scal_geo", "iou", "scal_sem", "sem_2d", "sem_3d", "projection"}
    assert set(step(task)) == names
    assert reached(task) == {"semantic", "fusion", "head"} and not idle(task)


def test_each_branch_learns_its_own_voxel_features(step):
    """Each encoder is trained and frozen with its branch."""
    model = fresh(own_voxel_features=True)
    encoder = sum(p.numel() for p in model.semantic.voxel_features.parameters())
    assert count(model) - count(fresh()) == encoder

    semantic = SemanticTask(model, TrainingConfig(), 1)
    step(semantic)
    assert reached(semantic) == {"semantic"} and "semantic.voxel_features" in reached(semantic, 2)
    geometric = GeometricTask(fresh(own_voxel_features=True), TrainingConfig(), 1, freeze_voxel_features=True)
    step(geometric)
    assert reached(geometric) == {"geometric"} and "geometric.voxel_features" in reached(geometric, 2)
    joint = joint_task(fresh(own_voxel_features=True))
    step(joint)
    assert reached(joint) == {"semantic", "fusion", "head"} and "semantic.voxel_features" in reached(joint, 2)
    assert not idle(semantic) + idle(geometric) + idle(joint)


def test_one_encoder_stays_as_phase_1_left_it(step):
    task = GeometricTask(fresh(), TrainingConfig(), 1, freeze_voxel_features=True)
    step(task)
    assert reached(task) == {"geometric"} and not idle(task)


def count(model: OccLE) -> int:
    return sum(p.numel() for p in model.parameters())


def test_a_branch_alone_gives_what_it_gives_within_the_whole_with_its_own_features():
    model = fresh(own_voxel_features=True).eval()
    inputs = tensors(frame(CONFIG))
    with torch.no_grad():
        output, maps, geometry = model(*inputs), model.semantic_maps(*inputs), model.geometry(*inputs)
    for found, expected in zip((*maps, geometry), output[3:], strict=True):
        torch.testing.assert_close(found, expected)


SPARSE = {1: (8,), 2: (8, 12), 3: (8, 12, 16)}


@pytest.mark.parametrize("layers", SPARSE)
@pytest.mark.parametrize("head", ["scan", "fused"])
def test_the_sparse_u_net_trains_with_both_heads(layers, head, step):
    settings = {"sparse_widths": SPARSE[layers], "head": head, "semantic_header": "lidar"}
    semantic, joint = SemanticTask(fresh(**settings), TrainingConfig(), 1), joint_task(fresh(**settings))
    for task in (semantic, joint):
        step(task)
        assert not idle(task)
        trained = {n for n, p in task.model.semantic.lidar.named_parameters() if p.grad is not None and p.grad.any()}
        assert trained == {n for n, _ in task.model.semantic.lidar.named_parameters()}


def joint_task(model: OccLE) -> JointTask:
    """Phase III of the paper."""
    grid = model.config.preprocess.grid.coarsen(model.config.preprocess.lifting_factor)
    projection = Projection(model.config.channels, grid, map_shape(model.config))
    return JointTask(model, TrainingConfig(), 1, JointLosses(projection=projection, freeze_geometric=True))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"semantic_header": "image"}, r"semantic_header: expected image\+lidar or lidar, got 'image'"),
        ({"sparse_widths": (8, 8, 8, 8)}, r"sparse_widths: a grid of \(32, 32, 4\) cannot be halved 3 times"),
        ({"head": "both"}, "head: expected scan or fused, got 'both'"),
    ],
)
def test_an_unknown_choice_is_refused_by_name(settings, message):
    with pytest.raises(ValueError, match=message):
        fresh(**settings)
