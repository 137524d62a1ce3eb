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
    """occupancy : (B, X, Y, Z) logits of being occupied, full resolution
    semantics : (B, X/2, Y/2, 19, Z/2) logits of classes 1..19 given occupied; heights innermost, where reductions over
        the classes are vectorised
    semantic_2d : (B, 20, h, w) and semantic_3d : (B, 20, X/f, Y/f, Z/f), the semantic branch's own headers
    geometry : (B, 2, X/f, Y/f, Z/f), the geometric branch's own header: free, occupied
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
        self.fusion = DualMambaFusion(c, (x, y, z), config.fusion)
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
        grid = spread(self.voxel_features(voxels, voxel_counts), voxel_table)  # (B*N, Cv, X/v, Y/v, Z/v)
        f_geo = self.geometric(image, grid, lifting)
        # The semantic branch looks at the current frame alone, the first of each N.
        f_sem, f_image, half = self.semantic(image[::n], grid[::n], occupancy[::n], lifting[::n])
        fused = self.fusion(f_sem, f_geo)
        return f_sem, f_image, f_geo, self.head(fused, half, occupancy[::n])

    def predict(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Labels 0..19 and confidence 0..255, (B, X, Y, Z) uint8 each: what the engine computes on the robot."""
        return decide(*self._features(*inputs)[3])


def decide(occupancy: Tensor, semantics: Tensor) -> tuple[Tensor, Tensor]:
    """Logits -> labels and confidence; class ids only leave the graph, never the 19 channels.

    Confidence is the probability of the decision between free and occupied; a softmax over the classes at every voxel
    would cost a tenth of the whole network. The winner is found by comparison with the maximum: runtimes on a CPU take
    ten times as long over ArgMax.
    """
    best = semantics.amax(3, keepdim=True)  # (B, X/2, Y/2, 1, Z/2)
    ids = torch.arange(1, semantics.shape[3] + 1, device=semantics.device, dtype=semantics.dtype).unsqueeze(1)
    classes = ((semantics >= best).to(semantics.dtype) * ids).amax(3)
    occupied = occupancy > 0
    labels = torch.where(occupied, _double(classes), torch.zeros_like(occupancy)).to(torch.uint8)
    confidence = occupancy.abs().sigmoid()
    return labels, (confidence * 255 + 0.5).to(torch.uint8)


def _double(x: Tensor) -> Tensor:
    """(B, X, Y, Z) -> (B, 2X, 2Y, 2Z), nearest; rows are copied whole."""
    _, i, j, _ = x.shape
    x = torch.stack([x, x], -1).flatten(3)
    x = x.index_select(2, torch.arange(2 * j, device=x.device) // 2)
    return x.index_select(1, torch.arange(2 * i, device=x.device) // 2)
