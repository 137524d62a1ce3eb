"""ResNet (He et al. 2016), with the 3x3 convolution of a bottleneck block taking the stride, as torchvision has it."""

import torch.nn.functional as F
from torch import Tensor, nn

from .backbone import ImageBackbone
from .conv import conv_bn_relu


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int = 1):
        super().__init__()
        self.body = nn.Sequential(
            conv_bn_relu(inputs, width, 3, stride), nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        )
        self.shortcut = _shortcut(inputs, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.shortcut(x))


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions and a shortcut; output width is four times `width`."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int = 1):
        super().__init__()
        self.body = nn.Sequential(
            conv_bn_relu(inputs, width, 1),
            conv_bn_relu(width, width, 3, stride),
            nn.Conv2d(width, 4 * width, 1, bias=False),
            nn.BatchNorm2d(4 * width),
        )
        self.shortcut = _shortcut(inputs, 4 * width, stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.shortcut(x))


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    if inputs == outputs and stride == 1:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class ResNet(ImageBackbone):
    """Image -> features at strides 4, 8, 16 (and 32 where `depths` has four entries), narrowest stage `width` wide.

    With width 64 and the depths of a published size it takes torchvision's files.
    """

    def __init__(self, width: int, depths: tuple[int, ...], bottleneck: bool = False):
        super().__init__()
        block = Bottleneck if bottleneck else BasicBlock
        self.stem = nn.Sequential(conv_bn_relu(3, width, 7, 2), nn.MaxPool2d(3, 2, 1))
        self.stages, self.channels = nn.ModuleList(), []
        inputs = width
        for level, depth in enumerate(depths):
            stage = []
            for n in range(depth):
                stage.append(block(inputs, width << level, 2 if level and n == 0 else 1))
                inputs = (width << level) * block.expansion
            self.stages.append(nn.Sequential(*stage))
            self.channels.append(inputs)

    def forward(self, image: Tensor) -> list[Tensor]:
        x, features = self.stem(image), []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features

    def parts(self) -> list[nn.Module]:
        return [self.stem, *self.stages]

    def public_name(self, name: str) -> str:
        """torchvision's name of a tensor: stages.0.1.body.0.0.weight is its layer1.1.conv1.weight."""
        part, _, rest = name.partition(".")
        if part == "stem":
            return rest.replace("0.0.", "conv1.", 1).replace("0.1.", "bn1.", 1)
        level, block, kind, *place, tensor = rest.split(".")
        if kind == "shortcut":
            layer = f"downsample.{place[0]}"
        elif len(place) == 2:  # of a convolution with its normalisation: its number, then which of the two
            layer = f"{('conv', 'bn')[int(place[1])]}{int(place[0]) + 1}"
        else:  # the last convolution and its normalisation, without a ReLU
            last = len(self.stages[int(level)][int(block)].body) - 1
            layer = f"{'conv' if int(place[0]) < last else 'bn'}{last}"
        return f"layer{int(level) + 1}.{block}.{layer}.{tensor}"
