"""MonoOcc's own losses: distillation, unseen voxels, depth and proposals."""

import torch
import torch.nn.functional as F
from torch import Tensor

from occ_core import IGNORE

from ..losses import at_least_single, label_loss
from .depth import depth_loss


def distillation_loss(student: Tensor, teacher: Tensor, geometry: Tensor, temperature: float) -> Tensor:
    """L_distill (MonoOcc eq. 9) as a divergence proper: KL(softmax(t / T) || softmax(s / T)) T^2 over the channels,
    mean over occupied voxels. The released code feeds raw features to a divergence of log-probabilities, which has no
    lower bound.

    student, teacher : (B, C, x, y, z); geometry : (B, x, y, z) uint8, 1 where occupied.
    """
    occupied = geometry == 1
    s, t = (at_least_single(f).permute(0, 2, 3, 4, 1)[occupied] / temperature for f in (student, teacher.detach()))
    divergence = F.kl_div(s.log_softmax(1), t.log_softmax(1), reduction="sum", log_target=True)
    return temperature**2 * divergence / max(len(s), 1)


def unseen_loss(occupancy: Tensor, labels: Tensor) -> Tensor:
    """Binary cross entropy with "free" where nothing is known: logits (B, X, Y, Z), labels uint8 with IGNORE."""
    unseen = labels == IGNORE
    return (F.softplus(at_least_single(occupancy)) * unseen).sum() / unseen.sum().clamp(min=1)


def first_stage_losses(depth: Tensor, proposals: Tensor, batch: dict, weights: Tensor) -> dict[str, Tensor]:
    """Depth (B, D, h, w) and proposals (B, x, y, z), logits each; weights (2,) of free and occupied."""
    binary = torch.stack([torch.zeros_like(proposals), proposals], 1)
    return {
        "depth": depth_loss(depth, batch["true_depth"]),
        "proposals": label_loss(binary, batch["geometry"], weights),
    }
