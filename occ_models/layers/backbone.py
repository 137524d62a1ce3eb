"""What every image backbone is: features at several strides, parts that can be frozen, tensors with public names."""

from torch import Tensor, nn


class ImageBackbone(nn.Module):
    """Image (B, 3, H, W) -> features at strides 4, 8, 16, ..., `channels` wide."""

    channels: list[int]

    def forward(self, image: Tensor) -> list[Tensor]:
        raise NotImplementedError

    def parts(self) -> list[nn.Module]:
        """The stem, up to stride 4 at most, then the stages, one for each of the features."""
        raise NotImplementedError

    def public_name(self, name: str) -> str:
        """The name that a tensor of this network has in public files."""
        return name
