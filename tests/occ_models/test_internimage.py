import dataclasses

import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from safetensors.torch import save_file  # noqa: E402

from occ_models.monoocc.internimage import SIZES, Block, InternImage, InternImageSize  # noqa: E402
from occ_models.pretrained import load_public  # noqa: E402

MINI = InternImageSize(16, (1, 1, 2, 1), offset_scale=2.0, drop_path=0.0)

# Groups a stage and parameters in millions of the classifiers as they are published.
PUBLIC = {
    "tiny": ((4, 8, 16, 32), 30),
    "small": ((5, 10, 20, 40), 50),
    "base": ((7, 14, 28, 56), 97),
    "large": ((10, 20, 40, 80), 223),
    "xlarge": ((12, 24, 48, 96), 335),
}


def public_shapes(size: InternImageSize, groups: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors in a public checkpoint of a detector or segmenter, only of its backbone."""
    c = size.channels
    shapes = {
        "patch_embed.conv1": (c // 2, 3, 3, 3),
        "patch_embed.norm1.1": (c // 2,),
        "patch_embed.conv2": (c, c // 2, 3, 3),
        "patch_embed.norm2.1": (c,),
    }
    gammas = {}
    for i, (depth, g) in enumerate(zip(size.depths, groups, strict=True)):
        for n in range(depth):
            block = f"levels.{i}.blocks.{n}"
            shapes |= {
                f"{block}.norm1.0": (c,),
                f"{block}.dcn.dw_conv.0": (c, 1, 3, 3),
                f"{block}.dcn.dw_conv.1.1": (c,),
                f"{block}.dcn.offset": (18 * g, c),
                f"{block}.dcn.mask": (9 * g, c),
                f"{block}.dcn.input_proj": (c, c),
                f"{block}.dcn.output_proj": (c, c),
                f"{block}.norm2.0": (c,),
                f"{block}.mlp.fc1": (4 * c, c),
                f"{block}.mlp.fc2": (c, 4 * c),
            }
            gammas |= {f"{block}.gamma1": (c,), f"{block}.gamma2": (c,)}
        if not size.post_norm:
            shapes[f"levels.{i}.norm.0"] = (c,)
        if i < 3:
            gammas[f"levels.{i}.downsample.conv.weight"] = (2 * c, c, 3, 3)  # without a bias
            shapes[f"levels.{i}.downsample.norm.1"] = (2 * c,)
        c *= 2
    weights = {f"{name}.weight": shape for name, shape in shapes.items()}
    return weights | {f"{name}.bias": shape[:1] for name, shape in shapes.items()} | gammas


@pytest.mark.parametrize("name", PUBLIC)
def test_sizes_have_the_tensors_and_the_parameter_counts_that_are_public(name):
    size, (groups, millions) = SIZES[name], PUBLIC[name]
    with torch.device("meta"):
        model = InternImage(size)
    assert {key: tuple(value.shape) for key, value in model.state_dict().items()} == public_shapes(size, groups)
    width = model.channels[-1]
    wide = width * 3 // 2
    head = width * wide + 2 * wide + (wide + 1) * 1000  # 1x1 convolution, its batch norm, 1000 classes
    assert sum(p.numel() for p in model.parameters()) + head == pytest.approx(millions * 1e6, rel=0.01)


def test_fewer_stages_are_the_same_network_cut_short():
    torch.manual_seed(0)
    whole = InternImage(MINI).eval()
    short = InternImage(MINI, stages=3).eval()
    load = short.load_state_dict(whole.state_dict(), strict=False)
    assert not load.missing_keys and short.channels == [16, 32, 64]
    image = torch.randn(2, 3, 74, 122)
    with torch.no_grad():
        features = whole(image)
        torch.testing.assert_close(short(image), features[:3])
    assert [tuple(f.shape) for f in features] == [(2, 16, 19, 31), (2, 32, 10, 16), (2, 64, 5, 8), (2, 128, 3, 4)]


@pytest.mark.parametrize("post_norm", [True, False])
def test_every_parameter_learns(post_norm):
    torch.manual_seed(0)
    model = InternImage(MINI._replace(post_norm=post_norm))
    for name, parameter in model.named_parameters():
        if ".offset." in name:  # on the grid itself a bilinear sample has no slope to speak of
            torch.nn.init.normal_(parameter, std=0.1)
    sum(f.square().mean() for f in model(torch.randn(1, 3, 64, 64))).backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not silent


@pytest.mark.parametrize(
    ("post_norm", "offset_scale", "expected"),
    [(True, 2.0, [0.261187, 0.281498, 0.319565, 0.283751]), (False, 1.0, [0.361588, 0.259045, 0.255616, 0.250298])],
)
def test_made_up_weights_give_what_the_public_implementation_gives(post_norm, offset_scale, expected):
    """Mean magnitude of each stage, from the authors' implementation with the same weights and image."""

    def wave(count: int, step: float, start: float = 0):
        return torch.sin(step * torch.arange(count, dtype=torch.float64) + start)

    model = InternImage(MINI._replace(post_norm=post_norm, offset_scale=offset_scale)).double()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(0.3 * wave(parameter.numel(), 0.7, len(name)).reshape(parameter.shape))
        features = model(wave(3 * 74 * 122, 0.1).reshape(1, 3, 74, 122))
    assert [f.abs().mean().item() for f in features] == pytest.approx(expected, abs=2e-6)


def test_stochastic_depth_drops_branches_sample_by_sample_in_training_alone():
    torch.manual_seed(0)
    block = Block(16, 0.75, MINI._replace(layer_scale=1.0))
    torch.nn.init.zeros_(block.gamma2)
    x = torch.randn(1, 4, 4, 16).expand(64, -1, -1, -1)
    with torch.no_grad():
        whole = block.eval()(x) - x
        assert len(whole.unique(dim=0)) == 1
        shares = (block.train()(x) - x).flatten(1).norm(dim=1) / whole.flatten(1).norm(dim=1)
    assert shares.unique().tolist() == pytest.approx([0, 4]) and 8 <= (shares > 0).sum() <= 24


def test_a_public_classifier_loads_and_the_report_names_what_did_not(tmp_path):
    torch.manual_seed(0)
    shapes = public_shapes(MINI, (1, 2, 4, 8)) | {"conv_head.0.weight": (192, 128, 1, 1), "head.weight": (5, 192)}
    del shapes["levels.1.blocks.0.gamma1"]
    shapes["levels.0.blocks.0.dcn.mask.bias"] = (36,)
    values = {f"module.{name}": torch.randn(shape) for name, shape in shapes.items()}
    torch.save({"model": values, "epoch": 300}, tmp_path / "public.pth")
    model = InternImage(MINI, stages=3)
    report = load_public(model, tmp_path / "public.pth")
    own = model.state_dict()
    assert sorted(report.loaded) == sorted(set(own) - set(report.missing) - {"levels.0.blocks.0.dcn.mask.bias"})
    assert all(torch.equal(own[name], values[f"module.{name}"]) for name in report.loaded)
    assert report.missing == ["levels.1.blocks.0.gamma1"]
    assert report.mismatched == ["levels.0.blocks.0.dcn.mask.bias (file (36,), network (9,))"]
    assert {name.rpartition("levels.")[2][:4] for name in report.unexpected} == {"2.do", "3.bl", "conv", "head"}
    text = str(report)
    assert "\n" not in text and text.startswith(f"{len(report.loaded)} tensors loaded.")
    for part in ("levels.1.blocks.0.gamma1", "levels.3 (22)", "head.weight (1)", "network (9,)"):
        assert part in text


@pytest.mark.parametrize("prefix", ["", "backbone.", "img_backbone.", "module.model."])
def test_safetensors_load_whatever_wrapper_named_them(tmp_path, prefix):
    source, model = InternImage(MINI), InternImage(MINI)
    values = {f"{prefix}{name}": value + 1 for name, value in source.state_dict().items()}
    save_file(values, tmp_path / "public.safetensors")
    report = load_public(model, tmp_path / "public.safetensors")
    assert len(report.loaded) == len(values) and report[1:] == ([], [], [])
    torch.testing.assert_close(model.levels[0].blocks[0].gamma1, source.levels[0].blocks[0].gamma1 + 1)


@dataclasses.dataclass
class Settings:
    """What a training script may put beside its weights."""

    epochs: int = 1


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ({"model": {"patch_embed.conv1.bias": torch.zeros(8)}, "config": Settings()}, "x.pth", "never run"),
        (b"no checkpoint", "x.pth", "damaged"),
        (b"", "x.pth", "damaged"),
        (b"no checkpoint", "x.safetensors", "not a safetensors file"),
        ([torch.zeros(3)], "x.pth", "expected a dictionary of tensors, got list"),
        ({"state_dict": {"layer1.0.conv1.weight": torch.zeros(3)}}, "x.pth", "nothing in it fits InternImage"),
        ({}, "x.pth", "it holds none"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_clear_line(tmp_path, content, name, message):
    path = tmp_path / name
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(ValueError, match=message) as error:
        load_public(InternImage(MINI), path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["absent.pth", "absent.safetensors"])
def test_an_absent_file_is_said_to_be_absent(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=name):
        load_public(InternImage(MINI), tmp_path / name)
