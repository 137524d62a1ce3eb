"""ESPNetv2 at scale 2.0 (Mehta et al. 2019), with names for the ImageNet files that its authors publish."""

from collections import OrderedDict
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .backbone import ImageBackbone

BRANCHES = 4
# Of each level: channels, units after the strided one, and the dilations of the branches of the strided unit and of the
# others: 1, 2, 3, 4, where those that see more than the level's limit (13, 11, 9, 7, 5 pixels) are 1 instead.
_LEVELS = (
    (128, 0, (1, 2, 3, 4), ()),
    (256, 3, (1, 2, 3, 4), (1, 2, 3, 4)),
    (512, 7, (1, 2, 3, 4), (1, 1, 2, 3)),
    (1024, 3, (1, 1, 2, 3), (1, 1, 1, 2)),
)


class SpatialPyramid(nn.Module):
    """An EESP unit without its shortcut: a grouped 1x1 convolution to a quarter of the width, depthwise dilated 3x3
    convolutions of the result, each added to the sum of those before it (hierarchical fusion), and a grouped 1x1
    convolution of all sums.
    """

    def __init__(self, inputs: int, outputs: int, dilations: tuple[int, ...], stride: int = 1):
        super().__init__()
        width = outputs // BRANCHES
        self.reduce = _conv(inputs, width, groups=BRANCHES)
        self.branches = nn.ModuleList(
            nn.Conv2d(width, width, 3, stride, dilation, dilation, groups=width, bias=False) for dilation in dilations
        )
        self.joined = nn.Sequential(OrderedDict(bn=nn.BatchNorm2d(outputs), act=nn.PReLU(outputs)))
        self.expand = _conv(outputs, outputs, groups=BRANCHES, activation=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.reduce(x)
        return self.expand(self.joined(torch.cat(list(accumulate(branch(x) for branch in self.branches)), 1)))


class Unit(nn.Module):
    """An EESP unit: the pyramid and a shortcut."""

    def __init__(self, channels: int, dilations: tuple[int, ...]):
        super().__init__()
        self.pyramid, self.activation = SpatialPyramid(channels, channels, dilations), nn.PReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(x + self.pyramid(x))


class StridedUnit(nn.Module):
    """A strided EESP unit: the features' average beside their pyramid, both at half the resolution; and, where
    `reinforced`, two convolutions of the image at that resolution added.
    """

    def __init__(self, inputs: int, outputs: int, dilations: tuple[int, ...], reinforced: bool):
        super().__init__()
        self.pyramid = SpatialPyramid(inputs, outputs - inputs, dilations, 2)
        self.image = nn.Sequential(_conv(3, 3, 3), _conv(3, outputs, activation=False)) if reinforced else None
        self.activation = nn.PReLU(outputs)

    def forward(self, x: Tensor, image: Tensor) -> Tensor:
        x = torch.cat([_halved(x), self.pyramid(x)], 1)
        return self.activation(x if self.image is None else x + self.image(image))


class Stage(nn.Module):
    """A strided unit, then others."""

    def __init__(self, strided: StridedUnit, units: list[Unit]):
        super().__init__()
        self.strided, self.units = strided, nn.Sequential(*units)

    def forward(self, x: Tensor, image: Tensor) -> Tensor:
        return self.units(self.strided(x, image))


class ESPNetV2(ImageBackbone):
    """Image -> features at the first `stages` of the strides 4, 8, 16, 32: 128, 256, 512, 1024 channels.

    As the published network, the last stage does not see the image again. The two convolutions between it and the
    classifier are left out.
    """

    def __init__(self, stages: int = 4):
        super().__init__()
        self.stem = _conv(3, 32, 3, 2)
        self.stages, inputs = nn.ModuleList(), 32
        for n, (channels, count, strided, others) in enumerate(_LEVELS[:stages]):
            first = StridedUnit(inputs, channels, strided, reinforced=n < 3)
            self.stages.append(Stage(first, [Unit(channels, others) for _ in range(count)]))
            inputs = channels
        self.channels = [channels for channels, *_ in _LEVELS[:stages]]

    def forward(self, image: Tensor) -> list[Tensor]:
        x, image, features = self.stem(image), _halved(image), []
        for stage in self.stages:
            image = _halved(image)
            x = stage(x, image)
            features.append(x)
        return features

    def parts(self) -> list[nn.Module]:
        return [self.stem, *self.stages]

    def public_name(self, name: str) -> str:
        """The authors' name of a tensor: stages.1.units.0.pyramid.reduce.conv.weight is level3.0.proj_1x1.conv.weight,
        stages.1.strided.pyramid.reduce.conv.weight level3_0.eesp.proj_1x1.conv.weight.
        """
        part, *words = name.split(".")
        if part == "stem":
            return ".".join(["level1", *words])
        level, kind, *words = words
        if kind == "strided":
            place, names = f"level{int(level) + 2}_0", _NAMES | {"pyramid": "eesp", "activation": "act"}
        else:
            place, names = f"level{int(level) + 2}.{words.pop(0)}", _NAMES | {"pyramid": "", "activation": "module_act"}
        if "branches" in words:
            words.insert(-1, "conv")
        return ".".join([place, *filter(None, (names.get(word, word) for word in words))])


_NAMES = {
    "reduce": "proj_1x1", "branches": "spp_dw", "joined": "br_after_cat", "expand": "conv_1x1_exp",
    "image": "inp_reinf",
}  # fmt: skip


def _conv(
    inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1, activation: bool = True
) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv=nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        bn=nn.BatchNorm2d(outputs),
    )
    if activation:
        layers["act"] = nn.PReLU(outputs)
    return nn.Sequential(layers)


def _halved(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, 2, 1)
