"""MobileNetV2 (Sandler et al. 2018), named as in torchvision's files."""

from torch import Tensor, nn

from .backbone import ImageBackbone

# The paper's table 2, without its last convolution: how much wider the block is inside, channels, blocks, stride of the
# first.
_BLOCKS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


class InvertedResidual(nn.Module):
    """1x1 convolution to `factor` times the width, depthwise 3x3, 1x1 back; added where the shapes agree."""

    def __init__(self, inputs: int, outputs: int, stride: int, factor: int):
        super().__init__()
        width = factor * inputs
        layers = [_conv(inputs, width, 1)] if factor > 1 else []
        layers += [
            _conv(width, width, 3, stride, groups=width), nn.Conv2d(width, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        ]  # fmt: skip
        self.conv = nn.Sequential(*layers)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.adds else self.conv(x)


class MobileNetV2(ImageBackbone):
    """Image -> features at the first `stages` of the strides 4, 8, 16, 32: 24, 32, 96, 320 channels."""

    def __init__(self, stages: int = 4):
        super().__init__()
        layers: list[nn.Module] = [_conv(3, 32, 3, 2)]
        starts, inputs = [], 32
        for factor, outputs, blocks, stride in _BLOCKS:
            if stride > 1:
                starts.append(len(layers))
            for n in range(blocks):
                layers.append(InvertedResidual(inputs, outputs, stride if n == 0 else 1, factor))
                inputs = outputs
        ends = [*starts[1:], len(layers)][:stages]
        self.features = nn.Sequential(*layers[: ends[-1]])
        self.slices = list(zip([0, starts[0], *ends[:-1]], [starts[0], *ends], strict=True))
        self.channels = [24, 32, 96, 320][:stages]

    def forward(self, image: Tensor) -> list[Tensor]:
        stem, *stages = self.parts()
        x, features = stem(image), []
        for stage in stages:
            x = stage(x)
            features.append(x)
        return features

    def parts(self) -> list[nn.Module]:
        return [self.features[start:end] for start, end in self.slices]


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(outputs),
        nn.ReLU6(inplace=True),
    )  # fmt: skip
