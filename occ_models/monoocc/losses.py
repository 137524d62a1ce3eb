"""MonoOcc's own losses: L_ssc of eq. 10, distillation, unseen voxels, depth and proposals."""

import torch
import torch.nn.functional as F
from torch import Tensor

from occ_core import IGNORE

from ..losses import cell_of, in_float, label_loss, rows_at
from .depth import depth_loss


@torch.autocast("cpu", enabled=False)
@torch.autocast("cuda", enabled=False)
def ssc_loss(occupancy: Tensor, semantics: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """L_ssc of eq. 10, the class-weighted cross entropy over 20 classes: the sum of w_y (-ln P_y) over known voxels,
    divided by their number, mean over the samples. Exact in factors: -ln P_y is -ln o - ln s_y where something is, and
    -ln(1 - o) where nothing is.

    occupancy : (B, X, Y, Z) logits, semantics : (B, X/2, Y/2, 19, Z/2) logits, labels : (B, X, Y, Z) uint8 with
    IGNORE, weights : (20,).
    """
    logits, semantics = in_float(occupancy), in_float(semantics)
    known, occupied = labels != IGNORE, (labels > 0) & (labels != IGNORE)
    voxels = occupied.flatten().nonzero().squeeze(1)
    classes = labels.flatten()[voxels].long()
    log_class = rows_at(semantics, cell_of(voxels, labels.shape[1:])).log_softmax(1)
    free = F.softplus(logits) * (known & ~occupied) * weights[0]
    named = F.softplus(-logits.flatten()[voxels]) - log_class.gather(1, classes.unsqueeze(1) - 1).squeeze(1)
    sample = voxels // labels[0].numel()
    total = free.flatten(1).sum(1).index_add(0, sample, weights[classes] * named)
    return (total / known.flatten(1).sum(1).clamp(min=1)).mean()


def distillation_loss(student: Tensor, teacher: Tensor, geometry: Tensor, temperature: float) -> Tensor:
    """L_distill (MonoOcc eq. 9) as a divergence proper: KL(softmax(t / T) || softmax(s / T)) T^2 over the channels,
    mean over occupied voxels. The released code feeds raw features to a divergence of log-probabilities, which has no
    lower bound.

    student, teacher : (B, C, x, y, z); geometry : (B, x, y, z) uint8, 1 where occupied.
    """
    occupied = geometry == 1
    s, t = (in_float(f).permute(0, 2, 3, 4, 1)[occupied] / temperature for f in (student, teacher.detach()))
    divergence = F.kl_div(s.log_softmax(1), t.log_softmax(1), reduction="sum", log_target=True)
    return temperature**2 * divergence / max(len(s), 1)


def unseen_loss(occupancy: Tensor, labels: Tensor) -> Tensor:
    """Binary cross entropy with "free" where nothing is known: logits (B, X, Y, Z), labels uint8 with IGNORE."""
    unseen = labels == IGNORE
    return (F.softplus(in_float(occupancy)) * unseen).sum() / unseen.sum().clamp(min=1)


def first_stage_losses(depth: Tensor, proposals: Tensor, batch: dict, weights: Tensor) -> dict[str, Tensor]:
    """Depth (B, D, h, w) and proposals (B, x, y, z), logits each; weights (2,) of free and occupied."""
    binary = torch.stack([torch.zeros_like(proposals), proposals], 1)
    return {
        "depth": depth_loss(depth, batch["true_depth"]),
        "proposals": label_loss(binary, batch["geometry"], weights),
    }
