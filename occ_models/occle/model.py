"""OccLE as a whole."""

from typing import NamedTuple

from torch import Tensor, nn

from ..config import OccLEConfig
from .dual_mamba import DualMambaFusion
from .geometric import GeometricBranch
from .head import FactorisedHead, columns_of_cells, decide, grid_of_cells
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
        inputs = (image, voxels, voxel_counts, voxel_table, occupancy, lifting)
        f_sem, f_image, f_geo, (columns, semantics) = self._features(*inputs)
        return OccLEOutput(
            grid_of_cells(columns),
            semantics,
            self.semantic.header_2d(f_image),
            self.semantic.header_3d(f_sem),
            self.geometric.header(f_geo),
        )

    def _features(self, image, voxels, voxel_counts, voxel_table, occupancy, lifting):
        n = self.config.frames
        # Bytes become numbers first: TensorRT knows uint8 as a tensor of the engine's border alone.
        columns = columns_of_cells(occupancy[::n].to(image.dtype))
        grid = spread(self.voxel_features(voxels, voxel_counts), voxel_table)  # (B*N, X/v, Y/v, Z/v, Cv)
        active = spread((voxel_counts > 0).to(voxels.dtype).unsqueeze(1), voxel_table)  # (B*N, X/v, Y/v, Z/v, 1)
        f_geo = self.geometric(image, grid, active, lifting)
        # The semantic branch looks at the current frame alone, the first of each N.
        f_sem, f_image, half = self.semantic(image[::n], grid[::n], columns, lifting[::n])
        fused = self.fusion(f_sem, f_geo)
        return f_sem, f_image, f_geo, self.head(fused, half, columns)

    def logits(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """What the decision is made from, as `FactorisedHead` gives it."""
        return self._features(*inputs)[3]

    def predict(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Labels 0..19 and confidence 0..255, (B, X, Y, Z) uint8 each: what the engine computes on the robot."""
        return decide(*self.logits(*inputs))
