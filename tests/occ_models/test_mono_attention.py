"""Deformable attention against loops in float64, and which voxels it samples."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

import torch.nn.functional as F  # noqa: E402

from occ_models.layers.deformable import deformable_attention, deformable_attention_ref  # noqa: E402
from occ_models.monoocc.attention import CrossAttention, SheetAttention, SpaceAttention  # noqa: E402

OUTSIDE = -2.0


def drawn(shape, seed=0, scale=1.0):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def trained(layer, scale=0.5):
    """The layer in float64 with weights as after a training: those that start at zero have other values."""
    generator = torch.Generator().manual_seed(1)
    for value in layer.double().parameters():
        value.data += scale * torch.randn(value.shape, generator=generator, dtype=torch.float64)
    return layer.eval()


def norm(x, layer):
    x = (x - x.mean()) / np.sqrt(x.var() + 1e-5)
    return x * layer.weight.detach().numpy() + layer.bias.detach().numpy()


def linear(x, layer):
    return layer.weight.detach().numpy() @ x + layer.bias.detach().numpy()


def test_weighted_samples_equal_the_reference():
    values, weights = drawn((2, 3, 4, 5, 7)), drawn((2, 3, 6, 4), 1)  # six points of four queries
    positions = drawn((2, 3, 6, 4, 2), 2, 0.8)
    positions[0, 0, 0] = torch.tensor([[1.0, -1.0], [-1.0, 1.0], [1.2, 0.0], [-9.0, 0.3]])
    found = deformable_attention(values, positions, weights)
    assert found.shape == (2, 4, 12)
    torch.testing.assert_close(found, deformable_attention_ref(values, positions, weights))


def test_one_sample_at_a_pixels_centre_is_that_pixel():
    values = torch.arange(24.0).reshape(1, 2, 1, 3, 4)
    centre = torch.tensor([2 * (3 + 0.5) / 4 - 1, 2 * (1 + 0.5) / 3 - 1])  # column 3, row 1
    found = deformable_attention(values, centre.expand(1, 2, 1, 1, 2), torch.ones(1, 2, 1, 1))
    torch.testing.assert_close(found.flatten(), torch.tensor([7.0, 19.0]))


def cross_attention_of(layer, query, maps, pixels):
    """Eq. 1 and 2 for one voxel in plain numpy: `maps` (V, C, h, w), `pixels` (V, 2) in [-1, 1]."""
    heads, points = layer.heads, layer.points
    offsets = linear(query, layer.offsets).reshape(heads, points, 2)
    weights = np.exp(linear(query, layer.weights).reshape(heads, points))
    weights /= weights.sum(1, keepdims=True)
    share = len(query) // heads
    total, number = np.zeros(len(query)), 0
    for features, (x, y) in zip(maps, pixels, strict=True):
        if abs(x) > 1:
            continue
        number += 1
        height, width = features.shape[1:]
        for h in range(heads):
            own = slice(h * share, (h + 1) * share)
            for m in range(points):
                u = (x + 1) / 2 * width - 0.5 + offsets[h, m, 0]
                v = (y + 1) / 2 * height - 0.5 + offsets[h, m, 1]
                for column in (math.floor(u), math.floor(u) + 1):
                    for row in (math.floor(v), math.floor(v) + 1):
                        if 0 <= column < width and 0 <= row < height:
                            near = (1 - abs(u - column)) * (1 - abs(v - row))
                            value = linear(features[:, row, column], layer.values)[own]
                            total[own] += weights[h, m] * near * value
    attended = linear(total / max(number, 1), layer.out)
    x = norm(query + attended, layer.norm_1)
    return norm(x + linear(np.maximum(linear(x, layer.feed[0]), 0), layer.feed[3]), layer.norm_2)


@pytest.mark.parametrize("views", [1, 3])
def test_cross_attention_equals_a_loop_over_the_equations(views):
    batch, queries, channels = 2, 7, 8
    layer = trained(CrossAttention(channels, 2, 3))
    asked, features = drawn((batch, queries, channels)), drawn((batch * views, channels, 5, 6), 1)
    reference = drawn((batch * views, queries, 2), 2, 0.5).clamp(-1, 1)
    reference[:, 0] = OUTSIDE  # in no view
    reference[0, 1] = OUTSIDE  # and in some of several
    with torch.no_grad():
        found = layer(asked, features, reference).numpy()
    maps = features.numpy().reshape(batch, views, channels, 5, 6)
    pixels = reference.numpy().reshape(batch, views, queries, 2)
    for b, q in np.ndindex(batch, queries):
        expected = cross_attention_of(layer, asked[b, q].numpy(), maps[b], pixels[b, :, q])
        np.testing.assert_allclose(found[b, q], expected, atol=1e-9, err_msg=f"sample {b}, query {q}")


def test_a_voxel_that_is_not_in_view_takes_nothing_from_the_image():
    layer = trained(CrossAttention(8, 2, 2))
    asked, outside = drawn((1, 3, 8)), torch.full((1, 3, 2), OUTSIDE, dtype=torch.float64)
    one, other = (layer(asked, drawn((1, 8, 4, 4), seed), outside) for seed in (1, 2))
    assert torch.equal(one, other)


def space_attention_of(layer, voxels, position):
    """Eq. 3 with a 5-D grid_sample, before the norms."""
    batch, number, _ = voxels.shape
    heads, points, shape = layer.heads, layer.points, layer.shape
    queries = voxels + position
    offsets = layer.offsets(queries).reshape(batch, number, heads, points, 3)
    weights = layer.weights(queries).reshape(batch, number, heads, points).softmax(3)
    values = layer.values(voxels).reshape(batch, *shape, heads, -1)
    places = torch.tensor(list(np.ndindex(*shape)), dtype=torch.float64).reshape(1, number, 1, 1, 3)
    size = torch.tensor(shape, dtype=torch.float64)
    grid = ((places + offsets) * 2 / (size - 1).clamp(min=1) - 1).flip(4)  # z, y, x
    attended = [
        F.grid_sample(
            values[..., h, :].permute(0, 4, 1, 2, 3), grid[:, :, h].unsqueeze(2), padding_mode="border",
            align_corners=True,
        ).squeeze(3) * weights[:, None, :, h]
        for h in range(heads)
    ]  # fmt: skip
    return layer.out(torch.cat(attended, 1).sum(3).transpose(1, 2))


@pytest.mark.parametrize("shape", [(4, 5, 3), (3, 4, 2), (4, 4, 1)])
def test_space_attention_is_trilinear_in_all_three_directions(shape):
    layer = trained(SpaceAttention(8, 2, 4, shape))
    number = math.prod(shape)
    voxels, position = drawn((2, number, 8)), drawn((number, 8), 1)
    with torch.no_grad():
        torch.testing.assert_close(layer.attend(voxels, position), space_attention_of(layer, voxels, position))


def sampled_by(layer, shape, voxel, offset):
    """Which voxels a voxel samples where every point has this offset, and their weights."""
    number = math.prod(shape)
    layer = layer.double().eval()
    torch.nn.init.zeros_(layer.offsets.weight)
    layer.offsets.bias.data.copy_(torch.tensor(offset).repeat(layer.heads * layer.points))
    for part in (layer.values, layer.out):
        torch.nn.init.eye_(part.weight)
    voxels = torch.zeros(1, number, 8, dtype=torch.float64, requires_grad=True)
    attended = layer.attend(voxels, torch.zeros(number, 8, dtype=torch.float64)).reshape(*shape, 8)[voxel].sum()
    (slope,) = torch.autograd.grad(attended, voxels)
    share = slope[0].sum(1).reshape(shape) / 8
    return {tuple(place): round(share[tuple(place)].item(), 6) for place in (share.abs() > 1e-5).nonzero().tolist()}


def test_space_attention_steps_along_x_y_and_z():
    shape = (4, 5, 3)
    for offset, expected in {
        (1.0, 0.0, 0.0): {(2, 2, 1): 1.0},
        (0.0, -1.0, 0.0): {(1, 1, 1): 1.0},
        (0.0, 0.0, 1.0): {(1, 2, 2): 1.0},
        (0.0, 0.0, -0.25): {(1, 2, 0): 0.25, (1, 2, 1): 0.75},
        (0.0, 0.0, 9.0): {(1, 2, 2): 1.0},  # beyond its borders the grid continues with its outermost values
    }.items():
        assert sampled_by(SpaceAttention(8, 2, 2, shape), shape, (1, 2, 1), offset) == expected, offset


def test_a_column_of_the_released_fold_is_a_height_and_four_rows_are_a_step_in_x():
    shape = (128, 128, 16)
    layer = SheetAttention(8, 1, 1, shape)
    assert layer.sheet == (512, 512)
    flat = torch.arange(math.prod(shape)).reshape(layer.sheet)
    for i, j, k in ((0, 0, 0), (5, 31, 15), (5, 32, 0), (127, 127, 15)):
        assert flat[4 * i + j // 32, 16 * (j % 32) + k] == (i * 128 + j) * 16 + k
    steps = {(1.0, 0.0): (6, 40, 8), (0.0, 4.0): (7, 40, 7), (0.0, 1.0): (6, 72, 7), (-8.0, 0.0): (6, 39, 15)}
    for offset, expected in steps.items():
        assert list(sampled_by(layer, shape, (6, 40, 7), offset)) == [expected], offset


@pytest.mark.parametrize("shape", [(8, 8, 4), (32, 32, 4), (64, 64, 8), (3, 5, 2)])
def test_a_sheet_holds_every_voxel_once_whatever_the_grid(shape):
    layer = SheetAttention(8, 2, 2, shape)
    assert math.prod(layer.sheet) == math.prod(shape)
    sampled = sampled_by(layer, shape, (1, 2, 1), (0.0, 0.0))
    assert sampled == {(1, 2, 1): 1.0}


@pytest.mark.parametrize(
    ("layer", "axes"),
    [(CrossAttention(16, 8, 4), 2), (SheetAttention(16, 8, 4, (4, 4, 2)), 2), (SpaceAttention(16, 8, 4, (4, 4, 2)), 3)],
)
def test_heads_start_in_different_directions(layer, axes):
    offsets = layer.offsets.bias.detach().reshape(8, 4, axes)
    assert (layer.offsets.weight == 0).all() and (layer.weights.weight == 0).all() and (layer.weights.bias == 0).all()
    for head in range(8):
        angle = torch.atan2(offsets[head, :, 1], offsets[head, :, 0])
        torch.testing.assert_close(angle.cos(), torch.full((4,), math.cos(2 * math.pi * head / 8)), atol=1e-5, rtol=0)
        torch.testing.assert_close(angle.sin(), torch.full((4,), math.sin(2 * math.pi * head / 8)), atol=1e-5, rtol=0)
    torch.testing.assert_close(offsets[..., :2].abs().amax(2), torch.arange(1.0, 5).expand(8, 4))
    if axes == 3:  # down, level, up
        assert offsets[:3, 0, 2].tolist() == [-1, 0, 1]
