import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

import torch.nn.functional as F  # noqa: E402

from occ_models.layers.dcnv3 import DCNv3, dcnv3, dcnv3_ref  # noqa: E402


def one_point(height: int, width: int, k: int):
    """Offsets of zero and the whole weight on point k, one group."""
    weight = torch.zeros(1, height, width, 1, 9)
    weight[..., k] = 1
    return torch.zeros(1, height, width, 1, 9, 2), weight


@pytest.mark.parametrize(("side", "offset_scale"), [(3, 1.0), (3, 2.0), (5, 1.0)])
def test_one_sampling_call_equals_the_loop_and_so_do_its_gradients(side, offset_scale):
    torch.manual_seed(0)
    value, offset, weight = (
        torch.randn(shape, dtype=torch.float64, requires_grad=True)
        for shape in ((2, 4, 5, 6), (2, 4, 5, 2, side * side, 2), (2, 4, 5, 2, side * side))
    )
    into = torch.randn(2, 4, 5, 6, dtype=torch.float64)
    results = []
    for form in (dcnv3, dcnv3_ref):
        output = form(value, 1.5 * offset, weight, offset_scale)
        results.append((output, *torch.autograd.grad((output * into).sum(), (value, offset, weight))))
    torch.testing.assert_close(*results)


@pytest.mark.parametrize("form", [dcnv3, dcnv3_ref])
@pytest.mark.parametrize(("k", "dx", "dy"), [(0, -1, -1), (1, -1, 0), (3, 0, -1), (4, 0, 0), (5, 0, 1), (8, 1, 1)])
def test_points_go_down_the_columns_of_the_kernel(form, k, dx, dy):
    value = torch.rand(1, 6, 7, 1)
    output = form(value, *one_point(6, 7, k))
    torch.testing.assert_close(output[:, 1:5, 1:6], value[:, 1 + dy : 5 + dy, 1 + dx : 6 + dx])


@pytest.mark.parametrize("form", [dcnv3, dcnv3_ref])
def test_offsets_are_x_then_y_and_their_scale_stretches_the_kernel_too(form):
    value = torch.rand(1, 8, 9, 1)
    offset, weight = one_point(8, 9, 3)  # one above
    offset[..., 0] = 1
    torch.testing.assert_close(form(value, offset, weight)[:, 1:, :-1], value[:, :-1, 1:])
    torch.testing.assert_close(form(value, offset, weight, 2.0)[:, 2:, :-2], value[:, :-2, 2:])


def test_outside_the_image_is_zero():
    offset, weight = one_point(4, 4, 4)
    offset[..., 0] = -0.5
    output = dcnv3(torch.ones(1, 4, 4, 1), offset, weight)
    torch.testing.assert_close(output[0, 0, :, 0], torch.tensor([0.5, 1, 1, 1]))


def test_half_precision_finds_the_pixels_of_a_wide_image():
    value = torch.rand(1, 2, 1220, 1).bfloat16()
    offset, weight = one_point(2, 1220, 4)
    torch.testing.assert_close(dcnv3(value, offset.bfloat16(), weight.bfloat16()), value)


def test_a_fresh_layer_is_the_mean_over_the_neighbourhood():
    torch.manual_seed(0)
    layer, x = DCNv3(8, 2), torch.randn(1, 5, 6, 8)
    mean = F.avg_pool2d(layer.input_proj(x).permute(0, 3, 1, 2), 3, 1, 1).permute(0, 2, 3, 1)
    torch.testing.assert_close(layer(x), layer.output_proj(mean))


def test_groups_must_divide_the_channels():
    with pytest.raises(ValueError, match="3 groups do not divide 8 channels"):
        DCNv3(8, 3)
