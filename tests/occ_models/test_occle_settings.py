"""Settings of OccLE's structure: what each changes, and one training step of it."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")
pytest.importorskip("lightning", reason="needs lightning (the train extra)")

from occ_core import IGNORE, Grid  # noqa: E402
from occ_core.labels import downscale_labels  # noqa: E402
from occ_core.lifting import lifting_table  # noqa: E402
from occ_data.kitti import Sequence  # noqa: E402
from occ_models.augmentation import NONE  # noqa: E402
from occ_models.config import load_config, map_shape  # noqa: E402
from occ_models.data import FrameDataset, collate, resized  # noqa: E402
from occ_models.frames import frames_of  # noqa: E402
from occ_models.occle.config import OccLEConfig  # noqa: E402
from occ_models.occle.dual_mamba import DualMambaBlock  # noqa: E402
from occ_models.occle.model import OccLE  # noqa: E402
from occ_models.occle.projection import Projection  # noqa: E402
from occ_models.occle.tasks import GeometricTask, JointLosses, JointTask, SemanticTask  # noqa: E402
from occ_models.recipe import TrainingConfig  # noqa: E402
from occ_models.targets import lift_labels  # noqa: E402

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


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("head", ["scan", "fused"])
def test_the_sparse_u_net_trains_with_both_heads(layers, head, step):
    settings = {"sparse_layers": layers, "head": head, "semantic_header": "lidar"}
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


SHALLOW = replace(CONFIG.preprocess, grid=Grid((256, 256, 16), 0.2, (0, -25.6, -2)))


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_layer_of_the_sparse_u_net_is_twice_as_wide_as_the_one_before(layers):
    config = replace(CONFIG, sparse_layers=layers)
    assert config.sparse_widths == (8, 16, 32)[:layers]
    assert [level.conv.out_channels for level in OccLE(config).semantic.lidar.levels] == [8, 16, 32][:layers]


def upsampled(sequence, **named) -> FrameDataset:
    config = replace(CONFIG, grid_headers="upsampling")
    return FrameDataset(frames_of([Sequence(sequence)]), config, image_labels="pseudo_labels", **named)


def test_upsampling_headers_and_their_labels_are_twice_as_fine(sequence):
    inputs = tensors(frame(CONFIG))
    with torch.no_grad():
        output = fresh(grid_headers="upsampling").eval()(*inputs)
    assert output.semantic_3d.shape == (1, 20, 64, 64, 8) and output.geometry.shape == (1, 2, 64, 64, 8)
    assert output.occupancy.shape == (1, 256, 256, 32) and output.fused.shape == (1, 8, 32, 32, 4)
    sample = upsampled(sequence)[0]
    assert sample["labels_3d"].shape == sample["geometry"].shape == (1, 64, 64, 8)
    coarse = downscale_labels(sample["labels"][0].numpy(), 4)
    expected = np.where(coarse == IGNORE, IGNORE, np.minimum(coarse, 1))
    assert (sample["geometry"][0].numpy() == expected).all()


@pytest.mark.parametrize("lift_pixels", [False, True])
def test_finer_labels_of_a_mirrored_scene_are_the_mirrored_labels(sequence, lift_pixels):
    mirror = replace(NONE, mirror_p=1.0)
    plain, flipped = (upsampled(sequence, augmentation=a, lift_pixels=lift_pixels)[0] for a in (NONE, mirror))
    for name in ("labels_3d", "geometry"):
        a, b = plain[name].flip(2), flipped[name]
        assert (a != IGNORE).any() and (a == b).float().mean() > 0.995, name


def test_lifted_labels_of_the_finer_grid_are_those_of_their_own_centres(sequence):
    data = upsampled(sequence, lift_pixels=True)
    found = data[0]["labels_3d"][0].numpy()
    drive = Sequence(sequence)
    calibration = resized(drive.calibration.in_grid, CONFIG.preprocess.image_size)
    grid = CONFIG.preprocess.grid.coarsen(4)
    table = lifting_table(grid, calibration).coordinates[None]
    expected = lift_labels(drive.pseudo_labels("000000"), table, drive.calibration.to_grid(drive.scan("000000")), grid)
    assert (found != IGNORE).any() and (found == expected).all()


def test_phases_1_and_2_train_through_upsampling_headers(step):
    semantic = SemanticTask(fresh(grid_headers="upsampling"), TrainingConfig(), 1)
    geometric = GeometricTask(fresh(grid_headers="upsampling"), TrainingConfig(), 1, freeze_voxel_features=True)
    for task in (semantic, geometric):
        step(task)
        assert not idle(task)


def test_mamba_at_every_level_takes_the_place_of_other_blocks(step):
    everywhere = replace(CONFIG.fusion, mamba_everywhere=True)
    task = joint_task(fresh(fusion=everywhere))
    fusion = task.model.fusion
    assert all(isinstance(block, DualMambaBlock) for block in (*fusion.encoder, *fusion.decoder))
    named = replace(CONFIG.fusion, encoder=("mamba", "mamba"), decoder=("mamba", "mamba"))
    assert {n: p.shape for n, p in fusion.named_parameters()} == {
        n: p.shape for n, p in fresh(fusion=named).fusion.named_parameters()
    }
    step(task)
    assert not idle(task)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"semantic_header": "image"}, r"semantic_header: expected image\+lidar or lidar, got 'image'"),
        ({"sparse_layers": 4}, "sparse_layers: expected 0 to 3, got 4"),
        (
            {"sparse_layers": 3, "preprocess": SHALLOW},
            r"sparse_layers: a grid of \(32, 32, 2\) cannot be halved 2 times",
        ),
        ({"grid_headers": "fine"}, "grid_headers: expected pointwise or upsampling, got 'fine'"),
        (
            {"grid_headers": "upsampling", "preprocess": replace(CONFIG.preprocess, lifting_factor=1)},
            "grid_headers: upsampling expects an even lifting_factor, got 1",
        ),
        ({"head": "both"}, "head: expected scan or fused, got 'both'"),
    ],
)
def test_an_unknown_choice_is_refused_by_name(settings, message):
    with pytest.raises(ValueError, match=message):
        fresh(**settings)
