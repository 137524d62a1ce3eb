"""3-D headers of the branches: what L_sem and L_geo are computed from."""

from torch import nn

from ..layers.conv import conv_bn_relu


def grid_header(kind: str, channels: int, width: int, classes: int) -> nn.Module:
    """Features (B, C, x, y, z) -> class logits, on the same grid or at twice its resolution (`OccLEConfig`).

    width : of the hidden layer of the "pointwise" header; that of the "upsampling" one has half the channels
    """
    if kind == "pointwise":
        return nn.Sequential(conv_bn_relu(channels, width, 1, dims=3), nn.Conv3d(width, classes, 1))
    hidden = channels // 2
    upsample = nn.Upsample(scale_factor=2, mode="trilinear")
    return nn.Sequential(conv_bn_relu(channels, hidden, dims=3), nn.Conv3d(hidden, classes, 1), upsample)
