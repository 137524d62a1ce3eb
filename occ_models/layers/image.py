"""From images to features, classes and voxels."""

import torch.nn.functional as F
from torch import Tensor, nn

from occ_core import NUM_CLASSES

from ..config import NAMED_BACKBONES, ImageEncoderConfig
from .backbone import ImageBackbone
from .conv import UNetDecoder, conv_bn_relu, use_group_norm
from .espnet import ESPNetV2
from .mobilenet import MobileNetV2
from .resnet import ResNet


def image_backbone(config: ImageEncoderConfig) -> ImageBackbone:
    """The backbone that a configuration describes, with fresh weights."""
    if config.name == "mobilenetv2":
        backbone = MobileNetV2(config.stages)
    elif config.name == "espnetv2":
        backbone = ESPNetV2(config.stages)
    elif config.name:
        depths, bottleneck = NAMED_BACKBONES[config.name]
        backbone = ResNet(64, depths[: config.stages], bottleneck)
    else:
        backbone = ResNet(config.width, config.depths, config.bottleneck)
    if config.norm == "group":
        use_group_norm(backbone)
    return backbone


def lift(features: Tensor, lifting: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """OccLE eq. 2: image features (B, C, h, w) onto the voxels of an (X, Y, Z) grid, zero out of view.

    lifting : (B, X*Y, Z, 2) normalised image coordinates. One 4-D GridSample, bilinear.
    """
    sampled = F.grid_sample(features, lifting, padding_mode="zeros", align_corners=False)
    return sampled.reshape(*sampled.shape[:2], *shape)


class ImageUNet(nn.Module):
    """G_s2d of OccLE's eq. 1: image -> (B, C, H/stride, W/stride)."""

    def __init__(self, encoder: ImageBackbone, stride: int, channels: int):
        super().__init__()
        self.encoder = encoder
        self.first = (stride // 4).bit_length() - 1
        widths = self.encoder.channels[self.first :]
        self.decoder = UNetDecoder(widths)
        self.out = nn.Conv2d(widths[0], channels, 1)

    def forward(self, image: Tensor) -> Tensor:
        return self.out(self.decoder(self.encoder(image)[self.first :]))


def image_header(channels: int) -> nn.Module:
    """Features of an image (B, C, h, w) -> class logits (B, 20, h, w)."""
    return nn.Sequential(conv_bn_relu(channels, channels), nn.Conv2d(channels, NUM_CLASSES, 1))


def upsampling_header(channels: int, factor: int, dropout: float = 0.1) -> nn.Module:
    """`image_header` of MonoOcc's section III-B: features (B, C, h, w) -> class logits (B, 20, factor*h, factor*w).

    For each doubling a depthwise transposed convolution of one element and a pointwise one, as in the released code.
    """
    doubling = [
        nn.Sequential(
            nn.ConvTranspose2d(channels, channels, 1, 2, output_padding=1, groups=channels),
            conv_bn_relu(channels, channels, 1),
            nn.Dropout(dropout),
        )
        for _ in range(factor.bit_length() - 1)
    ]
    last = conv_bn_relu(channels, channels), nn.Dropout(dropout), nn.Conv2d(channels, NUM_CLASSES, 1)
    return nn.Sequential(*doubling, *last)
