"""Factorised head: occupancy at full resolution, the 19 classes at half of it; and the decision from both."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from occ_core import NUM_CLASSES

from ..confidence import PLAIN, Confidence
from ..config import NetworkConfig
from .conv import conv_bn_relu, heights_as_channels


def columns_of_cells(grid: Tensor) -> Tensor:
    """(B, X, Y, Z) -> (B, X/2, Y/2, 4*Z): the four columns of each half-resolution cell side by side, x first."""
    b, x, y, z = grid.shape
    return grid.reshape(b, x // 2, 2, y // 2, 2 * z).transpose(2, 3).flatten(3)


def grid_of_cells(columns: Tensor) -> Tensor:
    """The inverse of `columns_of_cells`."""
    b, i, j, c = columns.shape
    return columns.reshape(b, i, j, 2, c // 2).transpose(2, 3).reshape(b, 2 * i, 2 * j, c // 4)


class _Trunk(nn.Module):
    """Feature grid -> a map at half resolution, and the classes from it."""

    def __init__(self, channels: int, depth: int, half_channels: int, height: int, factor: int, width: int):
        super().__init__()
        self.up = factor // 2
        self.grid = conv_bn_relu(channels * depth, width)
        self.merge = nn.Sequential(conv_bn_relu(width + half_channels, width, 1), conv_bn_relu(width, width))
        self.semantics = nn.Conv2d(width, (NUM_CLASSES - 1) * height // 2, 1)

    def trunk(self, grid: Tensor, *half: Tensor) -> Tensor:
        """The common features of both results, (B, width, X/2, Y/2)."""
        x = self.grid(heights_as_channels(grid))
        if self.up > 1:
            x = F.interpolate(x, scale_factor=float(self.up), mode="nearest")
        # Channels innermost from here on: the two wide results then have their final order in memory without a copy.
        return self.merge(torch.cat([x, *half], 1)).contiguous(memory_format=torch.channels_last)

    def classes(self, x: Tensor) -> Tensor:
        """Class logits of the trunk's map."""
        return self.semantics(x).permute(0, 2, 3, 1).unflatten(3, (NUM_CLASSES - 1, -1))


class FactorisedHead(_Trunk):
    """Feature grid -> logits at full resolution.

    P(class c) = P(occupied) P(c | occupied): a dense 20-class head at full resolution would cost more than the network.
    Everything runs at half resolution with the four columns of a cell as channels.
    """

    def __init__(
        self, channels: int, depth: int, height: int, factor: int, width: int, prior: tuple[int, int, int] | None = None
    ):
        """prior : shape (X/f, Y/f, Z/f) of a learned logit for each voxel of the feature grid, which is added to the
        occupancy of the voxels in it: how often that place is occupied, whatever the sensors see; None: without
        """
        super().__init__(channels, depth, 0, height, factor, width)
        self.occupancy = nn.Conv2d(width, 4 * height, 1)
        self.factor, self.prior = factor, None if prior is None else nn.Parameter(torch.zeros(prior))

    def forward(self, grid: Tensor) -> tuple[Tensor, Tensor]:
        """grid (B, C, X/f, Y/f, Z/f).

        Returns occupancy logits (B, X/2, Y/2, 4*Z), in columns, and class logits (B, X/2, Y/2, 19, Z/2).
        """
        x = self.trunk(grid)
        occupancy = self.occupancy(x).permute(0, 2, 3, 1)
        if self.prior is not None:
            fine = self.prior[None]
            for axis in (1, 2, 3):
                fine = fine.repeat_interleave(self.factor, axis)
            occupancy = occupancy + columns_of_cells(fine)
        return occupancy, self.classes(x)


class ScanHead(_Trunk):
    """A factorised head with the scan's own occupancy as a second input, as half resolution blurs it."""

    def __init__(self, channels: int, depth: int, half_channels: int, height: int, factor: int, width: int):
        super().__init__(channels, depth, half_channels, height, factor, width)
        self.hits = conv_bn_relu(width + 4 * height, 4 * height, 1)
        self.occupancy = nn.Conv2d(4 * height, 4 * height, 1)
        self.hit = nn.Parameter(torch.full((4 * height,), 2.0))  # a voxel that holds a point starts as occupied

    def forward(self, grid: Tensor, columns: Tensor, *half: Tensor) -> tuple[Tensor, Tensor]:
        """grid as in `FactorisedHead`, columns (B, X/2, Y/2, 4*Z) 0 or 1 where the scan hit, half (B, W, X/2, Y/2),
        left out where W is 0.
        """
        x = self.trunk(grid, *half)
        semantics = self.classes(x)
        x = self.hits(torch.cat([x, columns.to(x.dtype).permute(0, 3, 1, 2)], 1))
        bonus = torch.where(columns > 0, self.hit, torch.zeros_like(self.hit))
        return self.occupancy(x).permute(0, 2, 3, 1) + bonus, semantics


def decide(occupancy: Tensor, semantics: Tensor, confidence: Confidence = PLAIN) -> tuple[Tensor, Tensor]:
    """Logits as `FactorisedHead` gives them -> labels and confidence; class ids only leave the graph, not 19 channels.

    Confidence is the probability of the decision between free and occupied; a softmax over the classes at every voxel
    would cost a tenth of the whole network. The winner is found by comparison with the maximum: ArgMax takes ten times
    as long in runtimes on a CPU. Heights are doubled by a product with a constant matrix, exact in every precision:
    where a runtime widens everything after the last product, the operators before it stay in the narrow type.
    """
    best = semantics.amax(3, keepdim=True)  # (B, X/2, Y/2, 1, Z/2)
    ids = torch.arange(1, semantics.shape[3] + 1, device=semantics.device, dtype=semantics.dtype).unsqueeze(1)
    half = ((semantics >= best).to(semantics.dtype) * ids).amax(3)  # (B, X/2, Y/2, Z/2)
    classes = _doubled(half)
    logits = occupancy.unflatten(3, (4, -1))  # (B, X/2, Y/2, 4, Z)
    occupied = logits > -confidence.offset
    labels = torch.where(occupied, classes, torch.zeros_like(classes))
    right = logits.abs() if confidence == PLAIN else _calibrated(logits, occupied, half, confidence)
    certain = right.sigmoid() * 255 + 0.5
    # Bytes come last: TensorRT takes uint8 only for an engine's inputs and outputs.
    return grid_of_cells(labels.flatten(3)).to(torch.uint8), grid_of_cells(certain.flatten(3)).to(torch.uint8)


def _doubled(half: Tensor) -> Tensor:
    """(B, X/2, Y/2, Z/2) -> (B, X/2, Y/2, 1, Z): each height twice."""
    double = torch.eye(half.shape[3], device=half.device, dtype=half.dtype).repeat_interleave(2, 0)
    return F.linear(half, double).unsqueeze(3)


def _calibrated(logits: Tensor, occupied: Tensor, classes: Tensor, confidence: Confidence) -> Tensor:
    """Logits of the decisions being right, as `logits`, (B, X/2, Y/2, 4, Z). classes : (B, X/2, Y/2, Z/2)"""
    rates, shifts = [1 / t for t in confidence.temperatures], confidence.shifts
    index = classes.flatten().int()
    # Tables of filled scalars: a copy from the host could not be recorded in a CUDA graph.
    tables = (torch.stack([logits.new_full((), value) for value in values]) for values in (rates, shifts))
    rate, shift = (_doubled(table.index_select(0, index).view_as(classes)) for table in tables)
    return torch.where(occupied, logits * rate + shift, -rates[0] * logits - shifts[0])


class OccupancyNetwork(nn.Module):
    """A network from the tensors named in `config.inputs` to voxel labels.

    A subclass has `config`, `logits`, and `head`: the last layers, whose convolution `head.occupancy` gives the
    occupancy logits. Export keeps `head` in float where it quantises the rest. `confidence` says how logits become
    labels and probabilities.
    """

    config: NetworkConfig
    confidence: Confidence = PLAIN

    def logits(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Occupancy and class logits as `FactorisedHead` returns them."""
        raise NotImplementedError

    def predict(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Labels 0..19 and confidence 0..255, (B, X, Y, Z) uint8 each: what the engine computes on the robot."""
        return decide(*self.logits(*inputs), self.confidence)
