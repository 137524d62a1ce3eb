"""Image backbones that take public files: torchvision's, and ESPNetv2's. Their names and shapes are written here."""

import os

import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from safetensors.torch import save_file  # noqa: E402

from occ_core.errors import InputError  # noqa: E402
from occ_models.config import ConfigError, ImageEncoderConfig, from_dict  # noqa: E402
from occ_models.layers.espnet import SpatialPyramid  # noqa: E402
from occ_models.layers.image import image_backbone  # noqa: E402
from occ_models.pretrained import load_public  # noqa: E402

Shapes = dict[str, tuple[int, ...]]

# Depths, blocks of three convolutions, and parameters of the classifiers as torchvision's documentation has them.
RESNETS = {
    "resnet18": ((2, 2, 2, 2), False, 11_689_512),
    "resnet34": ((3, 4, 6, 3), False, 21_797_672),
    "resnet50": ((3, 4, 6, 3), True, 25_557_032),
    "resnet101": ((3, 4, 23, 3), True, 44_549_160),
}
MOBILENETV2 = 3_504_872
ESPNETV2 = 3.49e6  # at scale 2.0, as its authors give it


def normalisation(name: str, channels: int) -> Shapes:
    tensors = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{tensor}": (channels,) for tensor in tensors} | {f"{name}.num_batches_tracked": ()}


def resnet(name: str) -> Shapes:
    """Names and shapes of torchvision's file of a ResNet."""
    depths, three, _ = RESNETS[name]
    shapes = {"conv1.weight": (64, 3, 7, 7)} | normalisation("bn1", 64)
    inputs = 64
    for level, depth in enumerate(depths):
        width = 64 * 2**level
        outputs = 4 * width if three else width
        for n in range(depth):
            block = f"layer{level + 1}.{n}"
            sizes = [(width, inputs, 1), (width, width, 3), (outputs, width, 1)]
            for k, (o, i, kernel) in enumerate(sizes if three else [(width, inputs, 3), (width, width, 3)], 1):
                shapes[f"{block}.conv{k}.weight"] = (o, i, kernel, kernel)
                shapes |= normalisation(f"{block}.bn{k}", o)
            if n == 0 and inputs != outputs:
                shapes[f"{block}.downsample.0.weight"] = (outputs, inputs, 1, 1)
                shapes |= normalisation(f"{block}.downsample.1", outputs)
            inputs = outputs
    return shapes | {"fc.weight": (1000, inputs), "fc.bias": (1000,)}


def mobilenet() -> Shapes:
    """Names and shapes of torchvision's file of MobileNetV2."""
    shapes = {"features.0.0.weight": (32, 3, 3, 3)} | normalisation("features.0.1", 32)
    outputs = [16, 24, 24, 32, 32, 32, 64, 64, 64, 64, 96, 96, 96, 160, 160, 160, 320]
    for n, (i, o) in enumerate(zip([32, *outputs], outputs, strict=False), 1):
        width, block = (i if n == 1 else 6 * i), f"features.{n}.conv"
        if n > 1:
            shapes[f"{block}.0.0.weight"] = (width, i, 1, 1)
            shapes |= normalisation(f"{block}.0.1", width)
        k = 0 if n == 1 else 1
        shapes[f"{block}.{k}.0.weight"] = (width, 1, 3, 3)
        shapes |= normalisation(f"{block}.{k}.1", width)
        shapes[f"{block}.{k + 1}.weight"] = (o, width, 1, 1)
        shapes |= normalisation(f"{block}.{k + 2}", o)
    shapes |= {"features.18.0.weight": (1280, 320, 1, 1)} | normalisation("features.18.1", 1280)
    return shapes | {"classifier.1.weight": (1000, 1280), "classifier.1.bias": (1000,)}


def espnet() -> Shapes:
    """Names and shapes of the authors' ImageNet file of ESPNetv2 at scale 2.0."""

    def conv(name: str, inputs: int, outputs: int, kernel: int = 1, groups: int = 1, act: bool = True) -> Shapes:
        shapes = {f"{name}.conv.weight": (outputs, inputs // groups, kernel, kernel)}
        shapes |= normalisation(f"{name}.bn", outputs)
        return shapes | ({f"{name}.act.weight": (outputs,)} if act else {})

    def unit(name: str, inputs: int, outputs: int) -> Shapes:
        shapes = conv(f"{name}.proj_1x1", inputs, outputs // 4, groups=4)
        shapes |= {f"{name}.spp_dw.{k}.conv.weight": (outputs // 4, 1, 3, 3) for k in range(4)}
        shapes |= conv(f"{name}.conv_1x1_exp", outputs, outputs, groups=4, act=False)
        shapes |= normalisation(f"{name}.br_after_cat.bn", outputs) | {f"{name}.br_after_cat.act.weight": (outputs,)}
        return shapes | {f"{name}.module_act.weight": (outputs,)}

    shapes, inputs = conv("level1", 3, 32, 3), 32
    for level, (outputs, units) in enumerate(((128, 0), (256, 3), (512, 7), (1024, 3)), 2):
        strided = f"level{level}_0"
        shapes |= unit(f"{strided}.eesp", inputs, outputs - inputs) | {f"{strided}.act.weight": (outputs,)}
        shapes |= conv(f"{strided}.inp_reinf.0", 3, 3, 3) | conv(f"{strided}.inp_reinf.1", 3, outputs, act=False)
        for n in range(units):
            shapes |= unit(f"level{level}.{n}", outputs, outputs)
        inputs = outputs
    shapes |= conv("level5.3", 1024, 1024, 3, groups=1024) | conv("level5.4", 1024, 1280, groups=4)
    return shapes | {"classifier.weight": (1000, 1280), "classifier.bias": (1000,)}


def values_of(shapes: Shapes) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.rand(shape, generator=generator) if shape else torch.tensor(7) for name, shape in shapes.items()
    }


def learned(shapes: Shapes) -> int:
    """Parameters, without the statistics of normalisations."""
    return sum(
        torch.Size(shape).numel()
        for name, shape in shapes.items()
        if not name.rpartition(".")[2].startswith(("run", "num"))
    )


@pytest.mark.parametrize("name", RESNETS)
def test_the_tables_here_are_torchvisions(name):
    assert learned(resnet(name)) == RESNETS[name][2]
    assert learned(mobilenet()) == MOBILENETV2


def test_the_table_of_espnetv2_has_its_parameters():
    assert learned(espnet()) == pytest.approx(ESPNETV2, rel=0.01)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_a_torchvision_resnet_loads_whole(tmp_path, name, suffix):
    values, path = values_of(resnet(name)), tmp_path / f"file{suffix}"
    save_file(values, path) if suffix == ".safetensors" else torch.save(values, path)
    backbone = image_backbone(ImageEncoderConfig(name=name))
    report = load_public(backbone, path)
    assert set(report.loaded) == set(values) - {"fc.weight", "fc.bias"}
    assert report.missing == report.mismatched == [] and sorted(report.unexpected) == ["fc.bias", "fc.weight"]
    for own, value in backbone.state_dict().items():
        torch.testing.assert_close(value, values[backbone.public_name(own)])


@pytest.mark.parametrize("name", RESNETS)
def test_every_tensor_of_every_resnet_has_its_place(name):
    with torch.device("meta"):
        own = image_backbone(ImageEncoderConfig(name=name))
    found = {own.public_name(key): tuple(value.shape) for key, value in own.state_dict().items()}
    assert found == {key: shape for key, shape in resnet(name).items() if not key.startswith("fc.")}


def test_a_resnet_50_with_two_tensors_renamed_says_which(tmp_path):
    values = values_of(resnet("resnet50"))
    values["layer2.0.convolution1.weight"] = values.pop("layer2.0.conv1.weight")
    values["layer3.5.bn3.gamma"] = values.pop("layer3.5.bn3.weight")
    values["layer1.0.conv2.weight"] = torch.zeros(64, 64, 5, 5)
    torch.save({"state_dict": values}, tmp_path / "renamed.pth")
    report = load_public(image_backbone(ImageEncoderConfig(name="resnet50")), tmp_path / "renamed.pth")
    assert report.missing == ["layer2.0.conv1.weight", "layer3.5.bn3.weight"]
    assert {"layer2.0.convolution1.weight", "layer3.5.bn3.gamma"} < set(report.unexpected)
    assert report.mismatched == ["layer1.0.conv2.weight (file (64, 64, 5, 5), network (64, 64, 3, 3))"]
    for part in (
        "layer2.0.conv1.weight, layer3.5.bn3.weight",
        "layer2.0 (1)",
        "layer3.5 (1)",
        "network (64, 64, 3, 3)",
    ):
        assert part in str(report)


def test_files_from_before_batches_were_counted_lack_nothing(tmp_path):
    values = {name: value for name, value in values_of(resnet("resnet18")).items() if "num_batches" not in name}
    torch.save(values, tmp_path / "old.pth")
    assert load_public(image_backbone(ImageEncoderConfig(name="resnet18")), tmp_path / "old.pth").missing == []


def test_fewer_stages_leave_the_others_of_the_file_out(tmp_path):
    torch.save(values_of(resnet("resnet18")), tmp_path / "resnet18.pth")
    # As the shipped configurations describe it: by width and depths.
    report = load_public(image_backbone(ImageEncoderConfig(64, (2, 2, 2))), tmp_path / "resnet18.pth")
    assert report.missing == report.mismatched == []
    assert {name.partition(".")[0] for name in report.unexpected} == {"layer4", "fc"}


def test_a_torchvision_mobilenet_loads_whole(tmp_path):
    torch.save(values_of(mobilenet()), tmp_path / "mobilenet_v2.pth")
    report = load_public(image_backbone(ImageEncoderConfig(name="mobilenetv2")), tmp_path / "mobilenet_v2.pth")
    assert report.missing == report.mismatched == [] and len(report.loaded) == len(mobilenet()) - 8
    assert {name.rpartition(".")[0] for name in report.unexpected} == {"features.18.0", "features.18.1", "classifier.1"}


def test_an_espnetv2_of_its_authors_loads_whole(tmp_path):
    values = values_of(espnet())
    torch.save({f"module.{name}": value for name, value in values.items()}, tmp_path / "espnetv2_s_2.0.pth")
    backbone = image_backbone(ImageEncoderConfig(name="espnetv2"))
    report = load_public(backbone, tmp_path / "espnetv2_s_2.0.pth")
    assert report.missing == report.mismatched == []
    for own, value in backbone.state_dict().items():
        torch.testing.assert_close(value, values[backbone.public_name(own)])
    # What the file has and the published network computes nothing with, and the layers before the classifier.
    unused = [f"level{level}_0.eesp.module_act.weight" for level in (2, 3, 4, 5)]
    beyond = ("level5_0.inp_reinf.", "level5.3.", "level5.4.", "classifier.")
    assert set(report.unexpected) == {*unused, *(name for name in values if name.startswith(beyond))}


def test_espnetv2_has_its_published_parameters_but_for_the_classifier():
    own = sum(p.numel() for p in image_backbone(ImageEncoderConfig(name="espnetv2")).parameters())
    classifier = 1024 * 9 + 3 * 1024 + 1024 * 1280 // 4 + 3 * 1280 + 1280 * 1000 + 1000
    assert own + classifier == pytest.approx(ESPNETV2, rel=0.05)


def test_an_espnetv2_with_a_tensor_renamed_and_one_reshaped_says_which(tmp_path):
    values = values_of(espnet())
    values["level3.0.spp.conv.weight"] = values.pop("level3.0.spp_dw.2.conv.weight")
    values["level4_0.act.weight"] = torch.zeros(1)
    torch.save(values, tmp_path / "renamed.pth")
    report = load_public(image_backbone(ImageEncoderConfig(name="espnetv2")), tmp_path / "renamed.pth")
    assert report.missing == ["level3.0.spp_dw.2.conv.weight"] and "level3.0.spp.conv.weight" in report.unexpected
    assert report.mismatched == ["level4_0.act.weight (file (1,), network (512,))"]


def test_the_branches_of_espnetv2_are_sums_of_those_before_them():
    torch.manual_seed(0)
    pyramid, x = SpatialPyramid(16, 32, (1, 1, 2, 3)).eval(), torch.randn(1, 16, 12, 12)
    joined = []
    pyramid.joined.register_forward_pre_hook(lambda _, arguments: joined.append(arguments[0]))
    with torch.no_grad():
        pyramid(x)
        parts = [branch(pyramid.reduce(x)) for branch in pyramid.branches]
    for n, found in enumerate(joined[0].chunk(4, 1)):
        torch.testing.assert_close(found, sum(parts[: n + 1]))


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("resnet18", [64, 128, 256, 512]),
        ("resnet34", [64, 128, 256, 512]),
        ("resnet50", [256, 512, 1024, 2048]),
        ("mobilenetv2", [24, 32, 96, 320]),
        ("espnetv2", [128, 256, 512, 1024]),
    ],
)
@pytest.mark.parametrize("stages", [3, 4])
def test_features_come_at_strides_4_8_16_and_32(name, channels, stages):
    backbone = image_backbone(ImageEncoderConfig(name=name, stages=stages)).eval()
    with torch.no_grad():
        features = backbone(torch.zeros(1, 3, 64, 96))
    assert backbone.channels == channels[:stages] and len(backbone.parts()) == 1 + stages
    assert [tuple(f.shape) for f in features] == [
        (1, c, 64 >> n, 96 >> n) for n, c in enumerate(backbone.channels, 2)
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv2", "espnetv2"])
def test_odd_sizes_are_rounded_up_at_every_stride(name):
    with torch.no_grad():
        features = image_backbone(ImageEncoderConfig(name=name)).eval()(torch.zeros(1, 3, 93, 305))
    assert [tuple(f.shape[2:]) for f in features] == [(24, 77), (12, 39), (6, 20), (3, 10)]


def test_what_describes_no_backbone_is_refused():
    for values, words in (
        ({"name": "resnet51"}, "name: expected one of resnet18"),
        ({"name": "resnet18", "width": 32}, "do not go with a name"),
        ({"stages": 3}, "stages: goes with a name"),
        ({"name": "resnet18", "stages": 5}, "stages: expected 1 to 4"),
        ({"norm": "layer"}, "norm: expected batch or group"),
    ):
        with pytest.raises(ConfigError, match=words):
            from_dict(ImageEncoderConfig, values)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.pth")
    with pytest.raises(InputError, match="not a file with weights"):
        load_public(image_backbone(ImageEncoderConfig(8, (1,))), tmp_path / "pipe.pth")


def test_group_normalisation_does_not_see_the_rest_of_the_batch():
    torch.manual_seed(0)
    backbone = image_backbone(ImageEncoderConfig(8, (1, 1), norm="group")).train()
    images = torch.randn(2, 3, 32, 32)
    alone, together = backbone(images[:1]), backbone(images)
    for a, b in zip(alone, together, strict=True):
        torch.testing.assert_close(a, b[:1])
    torch.testing.assert_close(backbone.eval()(images[:1]), alone)
