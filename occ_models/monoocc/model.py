"""MonoOcc as a whole: S and L take one frame, the privileged teachers several."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..layers.backbone import ImageBackbone
from ..layers.conv import UNetDecoder, use_group_norm
from ..layers.head import FactorisedHead, OccupancyNetwork, grid_of_cells
from ..layers.image import image_backbone, image_header, upsampling_header
from .attention import CrossAttention, SheetAttention, SheetPosition, SpaceAttention
from .config import MonoOccConfig
from .cross_view import CrossViewTransformer
from .depth import DepthHead, distribution, voxel_evidence
from .internimage import SIZES, InternImage
from .proposals import ProposalNetwork, choose, gather_rows, spread_rows

_KEPT = 16_000_000
"""Size of a layer's queries from which on its activations are not kept but computed again in the backward pass."""


class MonoOccOutput(NamedTuple):
    """occupancy : (B, X, Y, Z) logits of being occupied, full resolution
    semantics : (B, X/2, Y/2, 19, Z/2) logits of classes 1..19 given occupied
    voxels : (B, C, X/f, Y/f, Z/f), the final voxel features, what distillation compares (eq. 9)
    depth : (B*V, D, H/8, W/8) logits over distances
    proposals : (B, X/f, Y/f, Z/f) logits of being occupied
    semantic_2d : (B, 20, h, w) times `header_upsampling`, the auxiliary head on the current image (eq. 7)
    """

    occupancy: Tensor
    semantics: Tensor
    voxels: Tensor
    depth: Tensor
    proposals: Tensor
    semantic_2d: Tensor


class VoxelEmbedding(nn.Module):
    """A learned vector for each voxel: the sum of one for its x, its y and its z, or ("full") a vector per voxel."""

    def __init__(self, shape: tuple[int, int, int], channels: int, kind: str = "factorised"):
        super().__init__()
        x, y, z = shape
        sizes = {"factorised": ((x, 1, 1), (1, y, 1), (1, 1, z)), "full": (shape,)}[kind]
        self.parts = nn.ParameterList(nn.Parameter(torch.randn(*size, channels)) for size in sizes)

    def forward(self) -> Tensor:
        """(X, Y, Z, C)"""
        return sum(self.parts)


class MonoOcc(OccupancyNetwork):
    """Camera to semantic occupancy; inputs as `occ_core.FramePreprocessor` makes them.

    Where a frame has several views, they stand one after another along the batch axis, the current one first.
    """

    def __init__(self, config: MonoOccConfig):
        super().__init__()
        self.config = config
        pre, c = config.preprocess, config.channels
        grid = pre.grid.coarsen(pre.lifting_factor)
        self.shape, self.thickness = grid.shape, grid.voxel_size
        encoder = _encoder(config)
        self.encoder = encoder
        widths = encoder.channels[(config.image_stride // 4).bit_length() - 1 :]
        # With one level left, as the paper has it, this is the one-level FPN: 1x1 and 3x3.
        self.decoder = UNetDecoder(widths)
        self.neck = nn.Sequential(nn.Conv2d(widths[0], c, 1), nn.Conv2d(c, c, 3, 1, 1))
        widths = encoder.channels
        if config.depth_encoder == "own":
            self.depth_encoder = image_backbone(config.image)
            widths = self.depth_encoder.channels
        self.depth = DepthHead(widths, config.depth_width, config.depth_bins)
        self.proposals = ProposalNetwork(self.shape[2], config.proposal_widths)
        if config.cross_view:
            self.cross_view = CrossViewTransformer(c, config.cross_view)

        self.queries = VoxelEmbedding(self.shape, c, config.embedding)
        self.mask_token = nn.Parameter(torch.randn(c) * 0.02)
        attention = c, config.heads, config.points
        self.cross = nn.ModuleList(CrossAttention(*attention, config.dropout) for _ in range(config.cross_layers))
        kind = {"3d": SpaceAttention, "sheet": SheetAttention}[config.self_attention]
        position = {"factorised": VoxelEmbedding, "sheet": SheetPosition}[config.position]
        self.position = position(self.shape, c)
        self.self_attention = nn.ModuleList(
            kind(*attention, self.shape, config.dropout) for _ in range(config.self_layers)
        )
        self.conditioned = nn.ModuleList(
            CrossAttention(*attention, config.dropout) for _ in range(config.conditioned_layers)
        )
        self.header_2d = (
            image_header(c)
            if config.header_upsampling == 1
            else upsampling_header(c, config.header_upsampling, config.dropout)
        )
        prior = self.shape if config.voxel_prior else None
        self.head = FactorisedHead(c, self.shape[2], pre.grid.shape[2], pre.lifting_factor, config.head_width, prior)
        if config.norm == "group":
            use_group_norm(self, kept=(encoder,))

    def forward(self, image: Tensor, lifting: Tensor, voxel_depth: Tensor, depth: Tensor) -> MonoOccOutput:
        features, probabilities, logits = self.encode(image, depth)
        proposals = self.propose(probabilities, lifting, voxel_depth)
        voxels = self.attend(features, lifting, proposals)
        occupancy, semantics = self.head(voxels)
        header = self.header_2d(features[:: len(self.config.views)])
        return MonoOccOutput(grid_of_cells(occupancy), semantics, voxels, logits, proposals, header)

    def depth_and_proposals(self, image: Tensor, lifting: Tensor, voxel_depth: Tensor, depth: Tensor):
        """Only the first stage: `depth` and `proposals` of `MonoOccOutput`."""
        encoder = self.depth_encoder if self.config.depth_encoder == "own" else self.encoder
        logits = self.depth(encoder(image))
        return logits, self.propose(distribution(logits, depth), lifting, voxel_depth)

    def voxels(self, image: Tensor, lifting: Tensor, voxel_depth: Tensor, depth: Tensor) -> Tensor:
        """Only `voxels` of `MonoOccOutput`."""
        return self.proposals_and_voxels(image, lifting, voxel_depth, depth)[1]

    def proposals_and_voxels(self, image: Tensor, lifting: Tensor, voxel_depth: Tensor, depth: Tensor):
        """Only `proposals` and `voxels` of `MonoOccOutput`."""
        features, probabilities, _ = self.encode(image, depth)
        proposals = self.propose(probabilities, lifting, voxel_depth)
        return proposals, self.attend(features, lifting, proposals)

    def logits(self, image: Tensor, lifting: Tensor, voxel_depth: Tensor, depth: Tensor) -> tuple[Tensor, Tensor]:
        """Occupancy and class logits as `FactorisedHead` returns them."""
        return self.head(self.voxels(image, lifting, voxel_depth, depth))

    def encode(self, image: Tensor, depth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features for attention (B*V, C, h, w), probabilities over distances, and the logits they come from."""
        maps = self.encoder(image)
        logits = self.depth(self.depth_encoder(image) if self.config.depth_encoder == "own" else maps)
        features = self.neck(self.decoder(maps[(self.config.image_stride // 4).bit_length() - 1 :]))
        if self.config.cross_view:
            views = len(self.config.views)
            features = self.cross_view(features.unflatten(0, (-1, views))).flatten(0, 1)
        return features, distribution(logits, depth), logits

    def propose(self, probabilities: Tensor, lifting: Tensor, voxel_depth: Tensor) -> Tensor:
        """Occupancy from depth, completed: logits (B, X/f, Y/f, Z/f)."""
        evidence = voxel_evidence(probabilities, lifting, voxel_depth, self.thickness)  # (B*V, 3, X*Y, Z)
        views = len(self.config.views)
        if views > 1:  # the mean over the views in which the voxel is visible (eq. 2)
            evidence = evidence.unflatten(0, (-1, views)).sum(1)
            evidence = evidence / evidence[:, 2:].clamp(min=1)
        return self.proposals(evidence.unflatten(2, self.shape[:2]))

    def attend(self, features: Tensor, lifting: Tensor, proposals: Tensor) -> Tensor:
        """Voxel features (B, C, X/f, Y/f, Z/f) by the attentions of eq. 1, 3 and 6."""
        nx, ny, nz = self.shape
        batch, c = len(proposals), self.config.channels
        indices, weights = choose(proposals, self.config.proposals, self.config.proposal_rule)
        table = self.queries().reshape(1, nx, ny * nz, c).expand(batch, -1, -1, -1)
        chosen = gather_rows(table, indices)  # (B, X, K, C)
        pixels = lifting.reshape(-1, nx, ny * nz, 2)
        views = len(pixels) // batch
        reference = gather_rows(pixels, indices.repeat_interleave(views, 0) if views > 1 else indices).flatten(1, 2)
        attended = chosen.flatten(1, 2)
        for layer in self.cross:
            attended = _run_layer(layer, attended, features, reference)
        attended = attended.reshape(chosen.shape)
        attended = self.mask_token + weights.unsqueeze(3) * (attended - self.mask_token)
        voxels = spread_rows(attended, indices, self.mask_token, ny * nz).reshape(batch, -1, c)
        position = self.position().reshape(-1, c)
        for layer in self.self_attention:
            voxels = _run_layer(layer, voxels, position)
        reference = lifting.reshape(len(lifting), -1, 2)
        for layer in self.conditioned:
            voxels = _run_layer(layer, voxels, features, reference)
        return voxels.reshape(batch, nx, ny, nz, c).permute(0, 4, 1, 2, 3)


def _run_layer(layer: nn.Module, queries: Tensor, *others: Tensor) -> Tensor:
    """The layer's result; at the papers' size its activations are computed again in the backward pass."""
    if torch.is_grad_enabled() and queries.numel() > _KEPT:
        return checkpoint(layer, queries, *others, use_reentrant=False)
    return layer(queries, *others)


def _encoder(config: MonoOccConfig) -> ImageBackbone:
    """The image backbone: features at strides 4, 8, 16 (and 32)."""
    return InternImage(SIZES[config.intern], stages=3) if config.intern else image_backbone(config.image)
