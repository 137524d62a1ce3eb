"""MonoOcc as a whole, its configurations and its checkpoints."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from occ_core import Calibration, FramePreprocessor  # noqa: E402
from occ_core.lifting import OUT_OF_VIEW  # noqa: E402
from occ_models.checkpoint import load_checkpoint  # noqa: E402
from occ_models.config import (  # noqa: E402
    ConfigError,
    from_dict,
    load_config,
    save_config,
    shipped_names,
    to_dict,
)
from occ_models.layers.head import decide, grid_of_cells  # noqa: E402
from occ_models.monoocc.config import INTERN_SIZES, MonoOccConfig  # noqa: E402
from occ_models.monoocc.internimage import SIZES  # noqa: E402
from occ_models.monoocc.model import MonoOcc, VoxelEmbedding  # noqa: E402
from occ_models.occle.config import OccLEConfig  # noqa: E402
from occ_models.occle.model import OccLE  # noqa: E402
from occ_models.weights import load_weights, save_weights  # noqa: E402

from .conftest import PICO  # noqa: E402

MONO, MONO_L = (Path(__file__).parent / f"{name}.yaml" for name in ("mono_pico", "mono_pico_l"))
SHIPPED = shipped_names(MonoOccConfig)
P = np.array([[700.0, 0, 600, 45], [0, 700, 180, 0], [0, 0, 1, 0.003]])
T = np.array([[0.0, -1, 0, 0], [0, 0, -1, -0.07], [1, 0, 0, -0.3], [0, 0, 0, 1]])


def frame(config, seed=0, ahead=0.0, depth=None):
    """Inputs of one frame by name; `ahead`: metres that the camera still had to go."""
    image = np.random.default_rng(seed).integers(0, 255, (370, 1220, 3), np.uint8)
    forward = np.eye(4)
    forward[0, 3] = ahead
    made = FramePreprocessor(config.preprocess)(image, None, Calibration(P, T @ forward, (1220, 370)), depth)
    return {name: torch.from_numpy(made[name]) for name in config.inputs}


def inputs(config, seed=0):
    """The network's arguments, one frame for each of its views."""
    seen = [frame(config, seed + n, back) for n, back in enumerate(config.views)]
    return [torch.cat([one[name] for one in seen]) for name in config.inputs]


def network(path=MONO, **changed):
    torch.manual_seed(0)
    return MonoOcc(replace(load_config(path, MonoOccConfig), **changed)).eval()


@pytest.fixture(scope="module")
def pico():
    return network()


@pytest.mark.parametrize("path", [MONO, MONO_L])
def test_outputs_have_the_promised_shapes(path):
    model = network(path)
    with torch.no_grad():
        output = model(*inputs(model.config))
        labels, confidence = model.predict(*inputs(model.config))
    assert output.occupancy.shape == (1, 128, 128, 16)
    assert output.semantics.shape == (1, 64, 64, 19, 8)
    assert output.voxels.shape == (1, 8, 32, 32, 4) and output.proposals.shape == (1, 32, 32, 4)
    assert output.depth.shape == (len(model.config.views), 16, 6, 19) and output.semantic_2d.shape == (1, 20, 6, 19)
    assert labels.shape == confidence.shape == (1, 128, 128, 16)
    assert labels.dtype == confidence.dtype == torch.uint8


@pytest.mark.parametrize("path", [MONO, MONO_L])
def test_each_part_alone_gives_what_it_gives_within_the_whole(path):
    model = network(path)
    seen = inputs(model.config)
    with torch.no_grad():
        output = model(*seen)
        occupancy, semantics = model.logits(*seen)
        depth, proposals = model.depth_and_proposals(*seen)
        labels, confidence = model.predict(*seen)
        torch.testing.assert_close(model.voxels(*seen), output.voxels)
    torch.testing.assert_close(grid_of_cells(occupancy), output.occupancy)
    torch.testing.assert_close(semantics, output.semantics)
    torch.testing.assert_close(depth, output.depth)
    torch.testing.assert_close(proposals, output.proposals)
    for found, expected in zip((labels, confidence), decide(occupancy, semantics), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("path", [MONO, MONO_L])
def test_a_batch_gives_what_its_samples_give_alone(path):
    model = network(path)
    samples = [inputs(model.config, seed) for seed in (1, 7)]
    with torch.no_grad():
        alone = [model(*sample) for sample in samples]
        together = model(*(torch.cat(parts) for parts in zip(*samples, strict=True)))
    for name, value in together._asdict().items():
        expected = torch.cat([getattr(one, name) for one in alone])
        torch.testing.assert_close(value, expected, atol=1e-4, rtol=1e-4, msg=name)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_sizes_build_and_run_on_meta_tensors(name):
    config = load_config(name, MonoOccConfig)
    with torch.device("meta"):
        model = MonoOcc(config).eval()
        output = model(*(torch.empty(a.shape) for a in inputs(config)))
    coarse = config.preprocess.grid.coarsen(config.preprocess.lifting_factor).shape
    assert output.occupancy.shape == (1, *config.preprocess.grid.shape)
    assert output.voxels.shape == (1, config.channels, *coarse)


def test_every_shipped_size_has_a_teacher_whose_features_fit():
    assert {"pico", "nano", "small", "base"} <= set(SHIPPED)
    for name in ("pico", "nano", "small", "base"):
        student, teacher = (load_config(n, MonoOccConfig) for n in (name, f"{name}-l"))
        assert (student.channels, student.preprocess) == (teacher.channels, teacher.preprocess)
        assert student.views == (0,) and teacher.views == (0, 3, 6, 9, 12)


def test_a_factorised_embedding_is_a_sum_and_hardly_costs_parameters():
    factorised, full = (VoxelEmbedding((128, 128, 16), 128, kind) for kind in ("factorised", "full"))
    assert sum(p.numel() for p in factorised.parameters()) == (128 + 128 + 16) * 128
    assert sum(p.numel() for p in full.parameters()) == 262144 * 128
    x, y, z = factorised.parts
    assert factorised().shape == full().shape == (128, 128, 16, 128)
    torch.testing.assert_close(factorised()[5, 9, 3], x[5, 0, 0] + y[0, 9, 0] + z[0, 0, 3])


@pytest.mark.parametrize(
    "changed",
    [
        {"conditioned_layers": 0}, {"self_attention": "sheet"}, {"embedding": "full"}, {"proposals": 10**6},
        {"cross_layers": 2, "self_layers": 2, "conditioned_layers": 2},
    ],
    ids=str,
)  # fmt: skip
def test_variant_gives_an_answer_and_learns_in_every_part(changed):
    model = network(**changed).train()
    output = model(*inputs(model.config))
    assert output.occupancy.shape == (1, 128, 128, 16)
    sum(value.square().mean() for value in output).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []


def test_a_prior_counts_by_place_and_learns_from_the_occupancy():
    """A logit of a voxel of the feature grid counts for all voxels in it, and starts at nothing."""
    plain, prior = network(), network(voxel_prior=True)
    assert not any("prior" in name for name in plain.state_dict())
    prior.load_state_dict(plain.state_dict(), strict=False)
    given, where = inputs(plain.config), (slice(8, 12), slice(20, 24), slice(4, 8))
    before = grid_of_cells(plain.logits(*given)[0])
    torch.testing.assert_close(grid_of_cells(prior.logits(*given)[0]), before)
    assert prior.head.prior.shape == prior.shape
    with torch.no_grad():
        prior.head.prior[2, 5, 1] = 3.0
    change = grid_of_cells(prior.logits(*given)[0]) - before
    torch.testing.assert_close(change[0][where], torch.full((4, 4, 4), 3.0))
    change[0][where] = 0
    torch.testing.assert_close(change, torch.zeros_like(change))
    prior.logits(*given)[0].sum().backward()
    assert (prior.head.prior.grad == 64).all()


def test_a_voxel_is_conditioned_on_the_image_once_more(pico):
    without = network(conditioned_layers=0)
    state = {name: value for name, value in pico.state_dict().items() if not name.startswith("conditioned")}
    without.load_state_dict(state)
    seen = inputs(pico.config)
    with torch.no_grad():
        features, _, _ = pico.encode(seen[0], seen[3])
        voxels = without.voxels(*seen).flatten(2).transpose(1, 2)
        expected = pico.conditioned[0](voxels, features, seen[1].reshape(1, -1, 2))
        torch.testing.assert_close(pico.voxels(*seen).flatten(2).transpose(1, 2), expected)


def test_voxels_that_are_not_proposed_start_as_the_mask_token():
    model = network(self_layers=0, conditioned_layers=0)
    image, lifting, _, depth = inputs(model.config)
    proposals = torch.full((1, *model.shape), -5.0)
    proposals[0, 7, 20, 1] = 5.0
    with torch.no_grad():
        features, _, _ = model.encode(image, depth)
        voxels = model.attend(features, lifting, proposals)[0].permute(1, 2, 3, 0)
    others = torch.ones(model.shape, dtype=torch.bool)
    others[7, 20, 1] = False
    assert torch.equal(voxels[others], model.mask_token.expand_as(voxels[others]))
    assert (voxels[7, 20, 1] - model.mask_token).abs().max() > 0.1


# Depth images


def test_a_depth_image_takes_the_place_of_the_networks_own_depth(pico):
    other = network()
    torch.nn.init.normal_(other.depth.out[-1].weight)
    metres = np.random.default_rng(0).uniform(3, 40, (370, 1220)).astype(np.float32)
    blind, told = (list(frame(pico.config, depth=d).values()) for d in (None, metres))
    assert (told[3] > 0).all()
    with torch.no_grad():
        torch.testing.assert_close(other.depth_and_proposals(*told)[1], pico.depth_and_proposals(*told)[1])
        assert not torch.equal(other.depth_and_proposals(*blind)[1], pico.depth_and_proposals(*blind)[1])
        assert not torch.equal(pico(*told).occupancy, pico(*blind).occupancy)


# Several views


def test_views_that_are_alike_give_what_one_of_them_gives(pico):
    several = network(views=(0, 1, 2))
    several.load_state_dict(pico.state_dict())
    one = inputs(pico.config)
    with torch.no_grad():
        expected, found = pico(*one), several(*(torch.cat([tensor] * 3) for tensor in one))
    for name in ("occupancy", "semantics", "voxels", "proposals", "semantic_2d"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), atol=1e-4, rtol=1e-4, msg=name)


def test_a_view_counts_for_the_voxels_that_it_sees_alone(pico):
    several = network(views=(0, 1))
    several.load_state_dict(pico.state_dict())
    now, then = (list(frame(pico.config, n, depth=np.full((370, 1220), 9.0 + n)).values()) for n in range(2))
    blind = [then[0], torch.full_like(then[1], OUT_OF_VIEW), *then[2:]]
    with torch.no_grad():
        one = pico(*now)
        beside_blind, beside = (
            several(*(torch.cat(parts) for parts in zip(now, other, strict=True))) for other in (blind, then)
        )
    torch.testing.assert_close(beside_blind.proposals, one.proposals)
    torch.testing.assert_close(beside_blind.occupancy, one.occupancy, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(beside.voxels, one.voxels, atol=1e-3)
    assert not torch.allclose(beside.proposals, one.proposals, atol=1e-3)
    torch.testing.assert_close(beside.semantic_2d, one.semantic_2d)  # of the current image


# Bad input


@pytest.mark.parametrize("path", [MONO, MONO_L])
def test_a_black_image_and_voxels_outside_every_view_still_get_an_answer(path):
    model = network(path)
    image, lifting, voxel_depth, depth = inputs(model.config)
    black = -torch.tensor(model.config.preprocess.mean) / torch.tensor(model.config.preprocess.std)
    with torch.no_grad():
        for seen in (
            (black.reshape(1, 3, 1, 1).expand_as(image), lifting, voxel_depth, depth),
            (image, torch.full_like(lifting, OUT_OF_VIEW), -voxel_depth, depth),
        ):
            for name, value in model(*seen)._asdict().items():
                assert value.isfinite().all(), name


# Configurations


def test_configuration_survives_a_round_trip():
    for name in SHIPPED:
        config = load_config(name, MonoOccConfig)
        assert from_dict(MonoOccConfig, to_dict(config)) == config


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"self_attention": "2d"}, "self_attention: expected 3d or sheet, got '2d'"),
        ({"embedding": "none"}, "embedding: expected factorised or full, got 'none'"),
        ({"views": [3, 0]}, r"views: expected 0, the current frame, and then numbers of scans, got \(3, 0\)"),
        ({"views": []}, "views: expected 0"),
        ({"views": [0, -1]}, "views: expected 0"),
        ({"channels": 30, "heads": 8}, "channels: 30 cannot be shared by 8 heads"),
        ({"intern": "huge"}, "intern: expected one of tiny, small, base, large, xlarge, or nothing, got 'huge'"),
        ({"chanels": 8}, "chanels: unknown key"),
        ({"lidar_widths": [8]}, "lidar_widths: unknown key"),
    ],
)
def test_wrong_configuration_is_refused_by_name(values, words):
    with pytest.raises(ConfigError, match=words):
        from_dict(MonoOccConfig, values)


def test_configurations_name_the_internimages_that_there_are():
    assert set(INTERN_SIZES) == set(SIZES)


def test_unknown_size_lists_the_shipped_ones():
    with pytest.raises(ConfigError, match=r"base, base-l, nano, nano-l, paper-l, paper-s, .*, small, small-l"):
        load_config("huge", MonoOccConfig)


@pytest.mark.parametrize(("written", "wanted"), [(OccLEConfig, MonoOccConfig), (MonoOccConfig, OccLEConfig)])
def test_a_configuration_of_the_other_network_is_refused(written, wanted, tmp_path):
    path = tmp_path / "config.yaml"
    save_config(written(), path)
    with pytest.raises(ConfigError, match=f"model: a configuration of {written.model}; expected one of {wanted.model}"):
        load_config(path, wanted)


# Checkpoints


def test_a_checkpoint_of_either_network_is_that_network(pico, tmp_path):
    save_weights(pico, tmp_path / "mono")
    save_weights(OccLE(load_config(PICO, OccLEConfig)), tmp_path / "occle")
    mono, occle = load_checkpoint(tmp_path / "mono"), load_checkpoint(tmp_path / "occle")
    assert isinstance(mono, MonoOcc) and isinstance(occle, OccLE)
    assert mono.config == pico.config and occle.config == load_config(PICO, OccLEConfig)
    for name, value in mono.state_dict().items():
        assert torch.equal(value, pico.state_dict()[name]), name


def test_a_checkpoint_that_names_no_network_is_occles(tmp_path):
    save_weights(OccLE(load_config(PICO, OccLEConfig)), tmp_path)
    path = tmp_path / "config.yaml"
    values = yaml.safe_load(path.read_text())
    assert values.pop("model") == "occle"
    path.write_text(yaml.safe_dump(values))
    assert isinstance(load_checkpoint(tmp_path), OccLE)


def test_a_checkpoint_of_an_unknown_network_lists_the_known_ones(pico, tmp_path):
    save_weights(pico, tmp_path)
    path = tmp_path / "config.yaml"
    path.write_text(path.read_text().replace("model: monoocc", "model: stereo"))
    with pytest.raises(ConfigError, match=r"config\.yaml: model: expected occle or monoocc.*, got 'stereo'"):
        load_checkpoint(tmp_path)


def test_weights_of_the_other_network_or_of_another_size_are_refused_in_one_line(pico, tmp_path):
    save_weights(pico, tmp_path / "mono")
    with pytest.raises(ConfigError, match=r"config\.yaml: model: a configuration of monoocc; expected one of occle"):
        load_weights(OccLE(load_config(PICO, OccLEConfig)), tmp_path / "mono")
    with pytest.raises(ConfigError, match=r"model\.safetensors: does not fit the configuration pico") as caught:
        load_weights(MonoOcc(replace(pico.config, channels=16)), tmp_path / "mono")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500
    shutil.copy(tmp_path / "mono" / "model.safetensors", tmp_path)
    with pytest.raises(ConfigError, match=r"config\.yaml: missing; the folder must hold model\.safetensors and config"):
        load_checkpoint(tmp_path)


def test_what_is_computed_anew_for_the_backward_pass_gives_the_same_gradients(monkeypatch):
    model, calls = network(MONO_L), []

    def gradients():
        output = model(*inputs(model.config))
        loss = output.voxels.square().mean() + output.occupancy.square().mean()
        learning = [
            p for name, p in model.named_parameters() if name.startswith(("cross", "conditioned", "self_", "neck"))
        ]
        return torch.autograd.grad(loss, learning, allow_unused=True)

    kept = gradients()
    for module in ("occ_models.monoocc.model", "occ_models.layers.deformable"):
        monkeypatch.setattr(f"{module}._KEPT", 1)
        monkeypatch.setattr(f"{module}.checkpoint", counted(calls, module))
    for one, other in zip(kept, gradients(), strict=True):
        if one is not None:
            torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-6)
    assert set(calls) == {"occ_models.monoocc.model", "occ_models.layers.deformable"}


def counted(calls, name):
    from torch.utils.checkpoint import checkpoint

    def call(*arguments, **named):
        calls.append(name)
        return checkpoint(*arguments, **named)

    return call
