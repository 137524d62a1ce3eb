"""Losses on factorised logits that networks share, and how weights make one loss of them.

With o = P(occupied) at full resolution and s_c = P(c | occupied) at half of it, P_c = o s_c and P_0 = 1 - o. The sums
that the losses need are exact without holding 20 channels at full resolution.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from occ_core import IGNORE, NUM_CLASSES

# Voxel counts of SemanticKITTI's training split, class 0..19 (MonoScene).
CLASS_FREQUENCIES = torch.tensor(
    [
        5.41773033e9, 1.57835390e7, 1.25136e5, 1.18809e5, 6.46799e5, 8.21951e5, 2.62978e5, 2.83696e5, 2.04750e5,
        6.16887030e7, 4.50296100e6, 4.48836500e7, 2.26992300e6, 5.68402180e7, 1.57196520e7, 1.58442623e8, 2.06162300e6,
        3.69705220e7, 1.15198800e6, 3.34146e5,
    ],
    dtype=torch.float64,
)  # fmt: skip

GEOMETRY_WEIGHTS = (1.0, 2.0)
"""Class weights of free and occupied in binary losses: 93 % of all voxels are free."""


AFFINITY_MASS = 0.02
"""Occupied mass from which on a cell counts in `scal_sem`: leaving the others out saves nine tenths of the softmax."""


def class_weights() -> Tensor:
    """(20,) weights 1 / ln(frequency)."""
    return (1 / torch.log(CLASS_FREQUENCIES + 0.001)).float()


def at_least_single(values: Tensor) -> Tensor:
    """Half precision as float32; float32 and float64 as they are."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def rows_at(semantics: Tensor, cells: Tensor) -> Tensor:
    """Class logits (B, X/2, Y/2, 19, Z/2) at flat cell indices (M,) of a (B, X/2, Y/2, Z/2) array: (M, 19)."""
    depth = semantics.shape[-1]
    return semantics.reshape(-1, NUM_CLASSES - 1, depth)[cells // depth, :, cells % depth]


def cell_of(voxels: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Flat full-resolution voxel indices of a (B, X, Y, Z) array -> flat indices of the half-resolution cells."""
    x, y, z = shape
    k = voxels % z
    j = voxels // z % y
    rest = voxels // (z * y)  # batch * X + i
    return (rest // x * (x // 2) + rest % x // 2) * (y // 2 * (z // 2)) + j // 2 * (z // 2) + k // 2


@torch.autocast("cpu", enabled=False)
@torch.autocast("cuda", enabled=False)
def occupancy_losses(
    occupancy: Tensor, semantics: Tensor, labels: Tensor, weights: Tensor, affinity_mass: float = AFFINITY_MASS
) -> dict[str, Tensor]:
    """L_occ (OccLE eq. 6): weighted cross entropy, L_scal_geo and L_scal_sem (MonoScene); the soft IoU beside them.

    The cross entropy of the 20 classes comes in three forms, of which a recipe weighs one: `ce`, the weighted mean
    (MonoScene); `ssc`, ten times the weighted sum over the number of voxels (VoxFormer, MonoOcc); and two factors,
    `ce_occupied` and `ce_class`.

    occupancy : (B, X, Y, Z) logits, semantics : (B, X/2, Y/2, 19, Z/2) logits, labels : (B, X, Y, Z) uint8 with
    IGNORE, weights : (20,), affinity_mass : of `scal_sem`
    """
    logits, semantics = at_least_single(occupancy), at_least_single(semantics)
    weights = weights.to(logits)
    valid = (labels != IGNORE).to(logits.dtype)
    voxels = ((labels > 0) & (labels != IGNORE)).flatten().nonzero().squeeze(1)
    classes = labels.flatten()[voxels].long() - 1
    cells = cell_of(voxels, labels.shape[1:])
    count = valid.sum()

    o = logits.sigmoid() * valid
    o_occupied = o.flatten()[voxels]
    logits_occupied, if_free = logits.flatten()[voxels], F.softplus(logits) * valid  # -log P_0
    ce_occupied = (if_free.sum() - logits_occupied.sum()) / count
    log_class = rows_at(semantics, cells).log_softmax(1)
    rarity = weights[1:] / weights[1:].mean()
    free = (if_free.sum() - if_free.flatten()[voxels].sum(), count - len(voxels))
    of_class = F.softplus(-logits_occupied) - log_class.gather(1, classes.unsqueeze(1)).squeeze(1)  # -log P_c
    rare = weights[classes + 1]
    cross_entropy = weights[0] * free[0] + (rare * of_class).sum()
    hit, total, true = o_occupied.sum(), o.sum(), torch.tensor(float(len(voxels)), device=o.device)
    return {
        "ce_occupied": ce_occupied,
        "ce_class": F.nll_loss(log_class, classes, rarity),
        "scal_geo": scal_geo(hit, total, true, count),
        "iou": 1 - hit / (total + true - hit).clamp(min=1e-6),
        "scal_sem": scal_sem(o, o_occupied, semantics, classes, log_class, count, affinity_mass),
        "ce": cross_entropy / (weights[0] * free[1] + rare.sum()),
        "ssc": 10 * cross_entropy / count,
    }


OCCUPANCY_TERMS = ("ce_occupied", "ce_class", "scal_geo", "iou", "scal_sem", "ce", "ssc")
"""Names of the terms of `occupancy_losses`."""


def mean_occupancy_losses(
    occupancy: Tensor, semantics: Tensor, batch: dict, weights: Tensor, labelled: float = 1.0,
    affinity_mass: float = AFFINITY_MASS,
) -> dict[str, Tensor]:  # fmt: skip
    """Mean of `occupancy_losses` over the samples with labels.

    labelled : the share of draws with labels; dividing by it keeps the expected number of labelled samples the same in
        every batch. With 1 it is the mean over all samples, those without labels counting zero. Where a batch has none,
        every term is zero but still depends on the logits: processes that train together wait for the gradients of all
        parameters.
    affinity_mass : of `scal_sem`
    """
    items = batch["labelled"].nonzero().flatten().tolist()
    if not items:
        return dict.fromkeys(OCCUPANCY_TERMS, 0 * (occupancy.sum() + semantics.sum()))
    each = [
        occupancy_losses(occupancy[n, None], semantics[n, None], batch["labels"][n, None], weights, affinity_mass)
        for n in items
    ]
    scale = 1 / (labelled * len(batch["labelled"]))
    return {name: scale * sum(terms[name] for terms in each) for name in OCCUPANCY_TERMS}


def weighted(terms: dict[str, Tensor], weights: dict[str, float]) -> dict[str, Tensor]:
    """Each term of a loss times its weight; a weight of 0 leaves the term out.

    Raises ValueError naming the terms without a weight.
    """
    if missing := [name for name in terms if name not in weights]:
        raise ValueError(f"no weight for the loss {', '.join(missing)}; there are weights for {', '.join(weights)}")
    return {name: weights[name] * value for name, value in terms.items() if weights[name]}


def scal_geo(hit: Tensor, total: Tensor, true: Tensor, count: Tensor) -> Tensor:
    """Scene-class affinity of geometry from its sums: of P(occupied) over occupied voxels, over all; their numbers."""
    free = (count - true).clamp(min=1)
    return -_log(hit / total.clamp(min=1e-6)) - _log(hit / true.clamp(min=1)) - _log((free - total + hit) / free)


def scal_sem(
    o: Tensor, o_occupied: Tensor, semantics: Tensor, classes: Tensor, log_class: Tensor, count: Tensor,
    affinity_mass: float = AFFINITY_MASS,
) -> Tensor:  # fmt: skip
    """Scene-class affinity over the classes that occur, class 0 included.

    o : (B, X, Y, Z) P(occupied), zero where ignored; o_occupied, classes, log_class : at the M occupied voxels
    affinity_mass : cells whose sum of o is not above it are left out: most of them, and they add next to nothing
    """
    n = NUM_CLASSES - 1
    mass = o[:, ::2] + o[:, 1::2]
    mass = mass[:, :, ::2] + mass[:, :, 1::2]
    mass = (mass[..., ::2] + mass[..., 1::2]).flatten()  # sum of o over each cell
    present = (mass.detach() > affinity_mass).nonzero().squeeze(1)  # saves nine tenths of the softmax
    total = mass[present] @ rows_at(semantics, present).softmax(1)  # sum of P_c over valid voxels, (19,)
    right = o_occupied * log_class.gather(1, classes.unsqueeze(1)).squeeze(1).exp()
    inter = torch.zeros_like(total).index_add(0, classes, right)  # sum of P_c t_c
    true = torch.bincount(classes, minlength=n).to(total)

    empty = count - true.sum()
    total = torch.cat([(count - o.sum()).reshape(1), total])
    inter = torch.cat([(empty - o.sum() + o_occupied.sum()).reshape(1), inter])
    true = torch.cat([empty.reshape(1), true])
    other = (count - true).clamp(min=1)
    terms = (
        -_log(inter / total.clamp(min=1e-6)) - _log(inter / true.clamp(min=1)) - _log((other - total + inter) / other)
    )
    return terms[true > 0].mean()


def _log(ratio: Tensor) -> Tensor:
    return ratio.clamp(1e-6, 1.0).log()


def label_loss(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Class-weighted cross entropy of (B, C, ...) logits and (B, ...) uint8 labels with IGNORE, mean of the samples'
    weighted means; a sample whose labels are all ignored counts 0.
    """
    labels = labels.long().flatten(1)
    logits = at_least_single(logits)
    weights = weights.to(logits)
    loss = F.cross_entropy(logits.flatten(2), labels, weights, ignore_index=IGNORE, reduction="none")
    mass = torch.where(labels == IGNORE, 0.0, weights[labels.clamp(max=len(weights) - 1)])
    return (loss.sum(1) / mass.sum(1).clamp(min=1e-6)).mean()
