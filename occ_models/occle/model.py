"""OccLE as a whole."""

from typing import NamedTuple

from torch import Tensor

from ..layers.backbone import ImageBackbone
from ..layers.conv import use_group_norm
from ..layers.head import OccupancyNetwork, ScanHead, columns_of_cells, grid_of_cells
from ..layers.sparse import MaskedConv3d
from .config import OccLEConfig
from .dual_mamba import DualMambaFusion
from .geometric import GeometricBranch
from .lidar import VoxelFeatureEncoder, spread
from .semantic import SemanticBranch


class OccLEOutput(NamedTuple):
    """occupancy : (B, X, Y, Z) logits of being occupied, full resolution
    semantics : (B, X/2, Y/2, 19, Z/2) logits of classes 1..19 given occupied; heights innermost, where reductions over
        the classes are vectorised
    fused : (B, C, X/f, Y/f, Z/f), both branches fused by Dual Mamba
    semantic_2d : (B, 20, h, w) and semantic_3d : (B, 20, X/f, Y/f, Z/f), the semantic branch's own headers
    geometry : (B, 2, X/f, Y/f, Z/f), the geometric branch's own header: free, occupied
    """

    occupancy: Tensor
    semantics: Tensor
    fused: Tensor
    semantic_2d: Tensor
    semantic_3d: Tensor
    geometry: Tensor


class OccLE(OccupancyNetwork):
    """Camera and LiDAR to semantic occupancy; inputs as `occ_core.FramePreprocessor` makes them.

    In a batch the voxel rows of all samples stand one after another and the tables point into them.
    """

    def __init__(self, config: OccLEConfig):
        super().__init__()
        self.config = config
        pre, c = config.preprocess, config.channels
        x, y, z = pre.grid.coarsen(pre.lifting_factor).shape
        self.voxel_features = VoxelFeatureEncoder(config.voxel_channels, pre.grid)
        self.semantic = SemanticBranch(config)
        self.geometric = GeometricBranch(config)
        self.fusion = DualMambaFusion(c, (x, y, z), config.fusion)
        self.head = ScanHead(c, z, config.lidar_widths[0], pre.grid.shape[2], pre.lifting_factor, config.head_width)
        if config.norm == "group":
            # A sparse convolution's statistics are those of its active sites: thousands in each frame.
            sparse = [module for module in self.modules() if isinstance(module, MaskedConv3d)]
            use_group_norm(self, kept=(*self.backbones.values(), *sparse))

    @property
    def backbones(self) -> dict[str, ImageBackbone]:
        """The image backbone of each branch."""
        return {"semantic": self.semantic.image.encoder, "geometric": self.geometric.image}

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
        columns, f_sem, f_image, half, f_geo = self._branches(*inputs)
        fused = self.fusion(f_sem, f_geo)
        logits, semantics = self.head(fused, half, columns)
        headers = self.semantic.header_2d(f_image), self.semantic.header_3d(f_sem), self.geometric.header(f_geo)
        return OccLEOutput(grid_of_cells(logits), semantics, fused, *headers)

    def semantic_maps(self, image, voxels, voxel_counts, voxel_table, occupancy, lifting) -> tuple[Tensor, Tensor]:
        """Only the semantic branch: `semantic_2d` and `semantic_3d` of `OccLEOutput`."""
        columns, grid, _ = self._voxels(voxels, voxel_counts, voxel_table, occupancy)
        f_sem, f_image, _ = self._semantic_features(image, grid, columns, lifting)
        return self.semantic.header_2d(f_image), self.semantic.header_3d(f_sem)

    def geometry(self, image, voxels, voxel_counts, voxel_table, occupancy, lifting) -> Tensor:
        """Only the geometric branch: `geometry` of `OccLEOutput`."""
        _, grid, active = self._voxels(voxels, voxel_counts, voxel_table, occupancy)
        return self.geometric.header(self.geometric(image, grid, active, lifting))

    def _branches(self, image, voxels, voxel_counts, voxel_table, occupancy, lifting) -> tuple[Tensor, ...]:
        columns, grid, active = self._voxels(voxels, voxel_counts, voxel_table, occupancy)
        return (
            columns,
            *self._semantic_features(image, grid, columns, lifting),
            self.geometric(image, grid, active, lifting),
        )

    def _voxels(self, voxels, voxel_counts, voxel_table, occupancy) -> tuple[Tensor, Tensor, Tensor]:
        """The scan's occupancy in columns of cells, learned features on the voxel grid, and where there are points."""
        # Bytes become floats first: TensorRT takes uint8 only for an engine's inputs and outputs.
        columns = columns_of_cells(occupancy[:: self.config.frames].to(voxels.dtype))
        grid = spread(self.voxel_features(voxels, voxel_counts), voxel_table)  # (B*N, X/v, Y/v, Z/v, Cv)
        active = spread((voxel_counts > 0).to(voxels.dtype).unsqueeze(1), voxel_table)  # (B*N, X/v, Y/v, Z/v, 1)
        return columns, grid, active

    def _semantic_features(self, image, grid, columns, lifting) -> tuple[Tensor, Tensor, Tensor]:
        # The semantic branch takes the current frame only, the first of each N.
        n = self.config.frames
        return self.semantic(image[::n], grid[::n], columns, lifting[::n])

    def logits(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Occupancy and class logits as `ScanHead` returns them."""
        columns, f_sem, _, half, f_geo = self._branches(*inputs)
        return self.head(self.fusion(f_sem, f_geo), half, columns)
