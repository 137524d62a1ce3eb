import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from occ_models.monoocc.cross_view import (  # noqa: E402
    CrossViewTransformer,
    WindowAttention,
    join_windows,
    split_windows,
    window_mask,
    window_positions,
)


def plain_attention(layer: WindowAttention, source, target, shifted: bool):
    """`WindowAttention` for one image (h, w, C) of any size, pixel by pixel, without padding, shift or mask.

    The borders of the windows are where the shift leaves them: unshifted in the middle, shifted at half a window and
    again a window further.
    """
    height, width, channels = source.shape
    message = torch.zeros_like(source)

    def part(at: int, size: int) -> int:
        window = (size + 1) // 2
        return (at >= window // 2) + (at >= window // 2 + window) if shifted and window > 1 else at // window

    for y in range(height):
        for x in range(width):
            rows = [j for j in range(height) if part(j, height) == part(y, height)]
            columns = [i for i in range(width) if part(i, width) == part(x, width)]
            seen = torch.stack([target[j, i] for j in rows for i in columns])
            scores = layer.key(seen) @ layer.query(source[y, x]) / channels**0.5
            message[y, x] = scores.softmax(0) @ layer.value(seen)
    return layer.norm(layer.merge(message))


def plain_transformer(model: CrossViewTransformer, features):
    """`CrossViewTransformer` for one sequence (V, C, h, w), on `plain_attention`."""
    height, width = features.shape[2:]
    even = height + height % 2, width + width % 2
    position = window_positions(*even, features.shape[1])[:height, :width].to(features.dtype)
    views = list(features.permute(0, 2, 3, 1))
    for n in range(len(views) - 1):
        pair = [views[n] + position, views[n + 1] + position]
        for index, block in enumerate(model.blocks):
            after = []
            for source, target in (pair, pair[::-1]):
                source = source + plain_attention(block.self_attention, source, source, index % 2 == 1)
                message = plain_attention(block.cross_attention, source, target, index % 2 == 1)
                after.append(source + block.norm(block.ffn(torch.cat([source, message], -1))))
            pair = after
        views[n : n + 2] = pair
    return torch.stack(views).permute(0, 3, 1, 2)


@pytest.mark.parametrize(("height", "width"), [(4, 6), (8, 10), (5, 6), (4, 7), (7, 5), (3, 3), (1, 5), (2, 1)])
def test_windows_shift_mask_and_padding_equal_the_plain_loop(height, width):
    torch.manual_seed(height * 100 + width)
    model = CrossViewTransformer(8, blocks=2).double()
    features = torch.randn(1, 3, 8, height, width, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(model(features)[0], plain_transformer(model, features[0]))


@pytest.mark.parametrize("shifted", [False, True])
def test_what_stands_in_the_padding_changes_nothing(shifted):
    torch.manual_seed(0)
    layer, mask = WindowAttention(8), window_mask(5, 7, shifted)
    source, target = torch.randn(2, 1, 6, 8, 8)
    other = target.clone()
    other[:, 5:], other[:, :, 7:] = 1e3, -1e3
    with torch.no_grad():
        a, b = layer(source, target, mask, shifted), layer(source, other, mask, shifted)
    torch.testing.assert_close(a[:, :5, :7], b[:, :5, :7], rtol=0, atol=0)
    assert not torch.allclose(a[:, 5:], b[:, 5:])


def test_windows_are_quarters_and_join_again():
    x = torch.arange(2 * 4 * 6 * 3).reshape(2, 4, 6, 3)
    windows = split_windows(x)
    assert torch.equal(windows[:, 1], x[:, :2, 3:].flatten(1, 2))
    assert torch.equal(join_windows(windows, 4, 6), x)


def test_every_window_has_the_same_positions_y_first():
    position = window_positions(4, 6, 8)
    assert torch.equal(position[:2, :3], position[2:, 3:])
    torch.testing.assert_close(position[1, 2], torch.tensor([0.0, 1, 0, 1, 0, 1, 0, 1]), atol=0.07, rtol=0)  # 2 pi
    assert torch.equal(position[0, 0, :4], position[0, 1, :4]) and not torch.equal(position[0, 0], position[0, 1])


def test_neighbours_meet_in_order():
    torch.manual_seed(0)
    model = CrossViewTransformer(8, blocks=1)
    features = torch.randn(1, 4, 8, 4, 4)
    with torch.no_grad():
        before = model(features)
        for view, changed in ((0, [0, 1, 2, 3]), (3, [2, 3])):
            other = features.clone()
            other[:, view] += torch.randn(8, 4, 4)
            after = model(other)
            assert [n for n in range(4) if not torch.equal(after[:, n], before[:, n])] == changed


def test_a_single_view_comes_back_unchanged():
    features = torch.randn(2, 1, 8, 5, 7)
    assert torch.equal(CrossViewTransformer(8)(features), features)


def test_the_wide_form_keeps_the_shape_and_every_parameter_learns():
    torch.manual_seed(0)
    model = CrossViewTransformer(128, blocks=2)
    assert [tuple(p.shape) for p in model.blocks[0].ffn.parameters()] == [(1024, 256), (128, 1024)]
    features = torch.randn(1, 3, 128, 5, 6)
    output = model(features)
    assert output.shape == features.shape
    (output * torch.randn_like(output)).sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


def test_channels_that_cannot_be_split_are_refused():
    with pytest.raises(ValueError, match="6 channels; expected a multiple of 4"):
        CrossViewTransformer(6)
