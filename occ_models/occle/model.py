"""OccLE as a whole."""

from typing import NamedTuple

from torch import Tensor, nn

from ..layers.backbone import ImageBackbone
from ..layers.conv import use_group_norm
from ..layers.head import FactorisedHead, OccupancyNetwork, ScanHead, columns_of_cells, grid_of_cells
from ..layers.sparse import MaskedConv3d
from .config import OccLEConfig
from .dense_synergy import DenseSynergy
from .dual_mamba import DualMambaFusion
from .geometric import GeometricBranch
from .lidar import VoxelFeatureEncoder, spread
from .semantic import SemanticBranch, SemanticFeatures

BRANCHES = {"cross-plane": GeometricBranch, "dense": DenseSynergy}
"""The geometric branch by the network's `synergy`."""


class OccLEOutput(NamedTuple):
    """occupancy : (B, X, Y, Z) logits of being occupied, full resolution
    semantics : (B, X/2, Y/2, 19, Z/2) logits of classes 1..19 given occupied; heights innermost, where reductions over
        the classes are vectorised
    fused : (B, C, X/f, Y/f, Z/f), both branches fused by Dual Mamba
    semantic_2d : (B, 20, h, w) and semantic_3d : (B, 20, x, y, z), the semantic branch's own headers
    geometry : (B, 2, x, y, z), the geometric branch's own header: free, occupied. (x, y, z) is (X/f, Y/f, Z/f) times
        `config.grid_upsampling`
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
        own = config.own_voxel_features
        self.voxel_features = None if own else VoxelFeatureEncoder(config.voxel_channels, pre.grid)
        self.semantic = SemanticBranch(config)
        self.geometric = BRANCHES[config.synergy](config)
        self.fusion = DualMambaFusion(c, (x, y, z), config.fusion)
        cells = pre.grid.shape[2], pre.lifting_factor, config.head_width
        if config.head == "fused":
            self.head = FactorisedHead(c, z, *cells)
        else:
            half = 0 if config.sparse_layers else config.lidar_widths[0]
            self.head = ScanHead(c, z, half, *cells)
        if config.norm == "group":
            # A sparse convolution's statistics are those of its active sites: thousands in each frame.
            sparse = [module for module in self.modules() if isinstance(module, MaskedConv3d)]
            use_group_norm(self, kept=(*self.backbones.values(), *sparse))

    @property
    def shared(self) -> tuple[nn.Module, ...]:
        """Parts that belong to both branches."""
        return () if self.voxel_features is None else (self.voxel_features,)

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
        columns, f_sem, f_geo = self._branches(*inputs)
        fused = self.fusion(f_sem.grid, f_geo)
        logits, semantics = self._decision(fused, f_sem, columns)
        headers = *self.semantic.maps(f_sem), self.geometric.header(f_geo)
        return OccLEOutput(grid_of_cells(logits), semantics, fused, *headers)

    def semantic_maps(self, image, voxels, voxel_counts, voxel_table, occupancy, lifting) -> tuple[Tensor, Tensor]:
        """Only the semantic branch: `semantic_2d` and `semantic_3d` of `OccLEOutput`."""
        grid = self._voxel_grid(self.semantic, voxels, voxel_counts, voxel_table)
        active, columns = _active(voxel_counts, voxel_table, image), self._columns(occupancy, image)
        return self.semantic.maps(self._semantic_features(image, grid, active, columns, lifting))

    def geometry(self, image, voxels, voxel_counts, voxel_table, occupancy, lifting) -> Tensor:
        """Only the geometric branch: `geometry` of `OccLEOutput`."""
        grid = self._voxel_grid(self.geometric, voxels, voxel_counts, voxel_table)
        return self.geometric.header(self.geometric(image, grid, _active(voxel_counts, voxel_table, image), lifting))

    def _branches(
        self, image, voxels, voxel_counts, voxel_table, occupancy, lifting
    ) -> tuple[Tensor, SemanticFeatures, Tensor]:
        cloud, columns = (voxels, voxel_counts, voxel_table), self._columns(occupancy, image)
        grid, active = self._voxel_grid(self.semantic, *cloud), _active(voxel_counts, voxel_table, image)
        f_sem = self._semantic_features(image, grid, active, columns, lifting)
        if not self.shared:
            grid = self._voxel_grid(self.geometric, *cloud)
        return columns, f_sem, self.geometric(image, grid, active, lifting)

    def _columns(self, occupancy, image) -> Tensor:
        """The scan's occupancy in columns of cells."""
        # Bytes become floats first: TensorRT takes uint8 only for an engine's inputs and outputs.
        return columns_of_cells(occupancy[:: self.config.frames].to(image.dtype))

    def _voxel_grid(self, branch, voxels, voxel_counts, voxel_table) -> Tensor:
        """A branch's learned features on the voxel grid, (B*N, X/v, Y/v, Z/v, Cv)."""
        encoder = self.voxel_features or branch.voxel_features
        return spread(encoder(voxels, voxel_counts), voxel_table)

    def _semantic_features(self, image, grid, active, columns, lifting) -> SemanticFeatures:
        # The semantic branch takes the current frame only, the first of each N.
        n = self.config.frames
        return self.semantic(image[::n], grid[::n], active[::n], columns, lifting[::n])

    def logits(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Occupancy and class logits as `FactorisedHead` returns them."""
        columns, f_sem, f_geo = self._branches(*inputs)
        return self._decision(self.fusion(f_sem.grid, f_geo), f_sem, columns)

    def _decision(self, fused, f_sem, columns) -> tuple[Tensor, Tensor]:
        return self.head(fused) if self.config.head == "fused" else self.head(fused, columns, *f_sem.half)


def _active(voxel_counts, voxel_table, image) -> Tensor:
    """Where there are points, (B*N, X/v, Y/v, Z/v, 1)."""
    return spread((voxel_counts > 0).to(image.dtype).unsqueeze(1), voxel_table)
