"""OccLE as a whole."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..config import OccLEConfig
from .dual_mamba import DualMambaFusion
from .geometric import GeometricBranch
from .head import FactorisedHead
from .lidar import VoxelFeatureEncoder, spread
from .semantic import SemanticBranch


class OccLEOutput(NamedTuple):
    """Grids are kept height first, (Z, X, Y), as the network computes them.

    occupancy : (B, Z, X, Y) logits of being occupied, full resolution
    semantics : (B, 19, Z/2, X/2, Y/2) logits of classes 1..19 given occupied
    semantic_2d : (B, 20, h, w) and semantic_3d : (B, 20, Z/f, X/f, Y/f), the semantic branch's own headers
    geometry : (B, 2, Z/f, X/f, Y/f), the geometric branch's own header: free, occupied
    """

    occupancy: Tensor
    semantics: Tensor
    semantic_2d: Tensor
    semantic_3d: Tensor
    geometry: Tensor


class OccLE(nn.Module):
    """Camera and LiDAR to semantic occupancy; inputs as `occ_node.perception.FramePreprocessor` makes them.

    In a batch the voxel rows of all samples stand one after another and the tables point into them.
    """

    def __init__(self, config: OccLEConfig):
        super().__init__()
        self.config = config
        pre, c = config.preprocess, config.channels
        x, y, z = pre.grid.coarsen(pre.lifting_factor).shape
        self.voxel_features = VoxelFeatureEncoder(config.voxel_channels)
        self.semantic = SemanticBranch(config)
        self.geometric = GeometricBranch(config)
        self.fusion = DualMambaFusion(c, (z, x, y), config.fusion)
        self.head = FactorisedHead(
            c, z, config.lidar_widths[0], pre.grid.shape[2], pre.lifting_factor, config.head_width
        )

    def forward(
        self,
        image: Tensor,
        voxels: Tensor,
        voxel_counts: Tensor,
        voxel_table: Tensor,
        occupancy: Tensor,
        lifting: Tensor,
    ) -> OccLEOutput:
        f_sem, f_image, f_geo, (occupied, semantics) = self._features(
            image, voxels, voxel_counts, voxel_table, occupancy, lifting
        )
        return OccLEOutput(
            occupied,
            semantics,
            self.semantic.header_2d(f_image),
            self.semantic.header_3d(f_sem),
            self.geometric.header(f_geo),
        )

    def _features(self, image, voxels, voxel_counts, voxel_table, occupancy, lifting):
        n = self.config.frames
        occupancy = occupancy.to(image.dtype)
        grid = spread(self.voxel_features(voxels, voxel_counts), voxel_table)  # (B*N, Cv, Z/v, X/v, Y/v)
        f_geo = self.geometric(image, grid, lifting)
        # The semantic branch looks at the current frame alone, the first of each N.
        f_sem, f_image, half = self.semantic(image[::n], grid[::n], occupancy[::n], lifting[::n])
        fused = self.fusion(f_sem, f_geo)
        return f_sem, f_image, f_geo, self.head(fused, half, occupancy[::n])

    def predict(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Labels 0..19 and confidence 0..255, (B, X, Y, Z) uint8 each: what the engine computes on the robot."""
        return decide(*self._features(*inputs)[3])


def decide(occupancy: Tensor, semantics: Tensor) -> tuple[Tensor, Tensor]:
    """Logits -> labels and confidence; class ids only leave the graph, never the 19 channels."""
    best, index = semantics.max(1)  # (B, Z/2, X/2, Y/2)
    share = 1 / (semantics - best.unsqueeze(1)).exp().sum(1)  # softmax of the winner
    classes = _double((index + 1).to(torch.uint8))
    occupied = occupancy > 0
    labels = torch.where(occupied, classes, torch.zeros_like(classes))
    probability = occupancy.sigmoid()
    confidence = torch.where(occupied, probability * _double(share), 1 - probability)
    confidence = (confidence * 255 + 0.5).to(torch.uint8)
    return labels.permute(0, 2, 3, 1).contiguous(), confidence.permute(0, 2, 3, 1).contiguous()


def _double(x: Tensor) -> Tensor:
    """(B, Z, X, Y) -> (B, 2Z, 2X, 2Y), nearest."""
    b, z, i, j = x.shape
    return x.reshape(b, z, 1, i, 1, j, 1).expand(b, z, 2, i, 2, j, 2).reshape(b, 2 * z, 2 * i, 2 * j)
