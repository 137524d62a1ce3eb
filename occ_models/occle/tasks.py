"""What each phase of OccLE's training optimises (section 3.5, algorithm 1, eq. 6)."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from occ_core.taxonomy import IGNORE

from ..data import inputs_of
from ..losses import AFFINITY_MASS, GEOMETRY_WEIGHTS, OCCUPANCY_TERMS, class_weights, label_loss, mean_occupancy_losses
from ..recipe import TrainingConfig
from ..training import Task
from .geometric import occupancy_logit
from .model import OccLE
from .projection import Projection
from .recipe import LOSS_WEIGHTS

SEMANTIC_TERMS, GEOMETRIC_TERMS, PROJECTION_TERMS = ("sem_2d", "sem_3d"), ("geo",), ("projection",)


def weights_of(terms: tuple[str, ...], weights: dict[str, float]) -> dict[str, float]:
    """Those weights that belong to some terms of the loss."""
    return {name: weights[name] for name in terms}


class SemanticTask(Task):
    """Phase I: only the semantic branch, on image labels, 2-D and lifted. Measured against the voxels' labels."""

    figures = ("miou", "miou_present")
    measured = ("_2d", "_3d")

    def __init__(
        self, model: OccLE, training: TrainingConfig, steps: int, loss_weights: dict[str, float] = LOSS_WEIGHTS
    ):
        frozen = model.geometric, model.fusion, model.head, *model.semantic.beyond_headers
        super().__init__(model, training, steps, weights_of(SEMANTIC_TERMS, loss_weights), frozen)
        self.register_buffer("weights", class_weights(), persistent=False)

    def losses(self, batch: dict) -> dict[str, Tensor]:
        return semantic_losses(*self.model.semantic_maps(*inputs_of(batch, self.model.config)), batch, self.weights)

    def measure(self, batch: dict) -> None:
        maps = self.average.module.semantic_maps(*inputs_of(batch, self.model.config))
        for name, logits in zip(self.measured, maps, strict=True):
            self.metrics[name].add(_best_class(logits), batch[f"labels{name}"].cpu().numpy())


class GeometricTask(Task):
    """Phase II, teacher and student alike: free or occupied on the feature grid.

    freeze_voxel_features: voxel features that both branches use stay as phase I left them. Own ones are learned.
    occupied_weight: what an occupied voxel counts in the loss, a free one counting 1
    """

    figures = ("iou", "precision", "recall")

    def __init__(
        self, model: OccLE, training: TrainingConfig, steps: int, freeze_voxel_features: bool,
        loss_weights: dict[str, float] = LOSS_WEIGHTS, occupied_weight: float = GEOMETRY_WEIGHTS[1],
    ):  # fmt: skip
        frozen = (model.semantic, model.fusion, model.head)
        if freeze_voxel_features:
            frozen += model.shared
        super().__init__(model, training, steps, weights_of(GEOMETRIC_TERMS, loss_weights), frozen)
        self.register_buffer("weights", torch.tensor((1.0, occupied_weight)), persistent=False)

    def losses(self, batch: dict) -> dict[str, Tensor]:
        logits = self.model.geometry(*inputs_of(batch, self.model.config))
        return {"geo": label_loss(logits, batch["geometry"], self.weights)}

    def measure(self, batch: dict) -> None:
        occupied = occupancy_logit(self.average.module.geometry(*inputs_of(batch, self.model.config))) > 0
        self.metrics[""].add(occupied.cpu().numpy().astype(np.uint8), batch["geometry"].cpu().numpy())


@dataclass(frozen=True)
class JointLosses:
    """Which terms of eq. 6 phase III uses.

    labelled : what the labelled share of a batch is divided by to give the mean of L_occ: the share of the draws that
        have voxel labels, or 1 for a mean over all frames; 0: no L_occ
    affinity_mass : of `losses.scal_sem`
    occupied_weight : what an occupied voxel counts in L_geo, a free one counting 1
    semantic, geometric : L_sem, L_geo
    projection : eq. 5's module, None: no L_proj
    freeze_geometric : the geometric branch, and voxel features that both branches use, stay as phase II left them
    """

    labelled: float = 1.0
    affinity_mass: float = AFFINITY_MASS
    occupied_weight: float = GEOMETRY_WEIGHTS[1]
    semantic: bool = True
    geometric: bool = False
    projection: Projection | None = None
    freeze_geometric: bool = False

    def terms(self) -> tuple[str, ...]:
        """Names of the terms."""
        return (
            *(OCCUPANCY_TERMS if self.labelled else ()),
            *(SEMANTIC_TERMS if self.semantic else ()),
            *(GEOMETRIC_TERMS if self.geometric else ()),
            *(PROJECTION_TERMS if self.projection is not None else ()),
        )


class JointTask(Task):
    """Phase III, and supervised training, its special case: eq. 6."""

    def __init__(
        self, model: OccLE, training: TrainingConfig, steps: int, used: JointLosses,
        loss_weights: dict[str, float] = LOSS_WEIGHTS,
    ):  # fmt: skip
        frozen = []
        if used.freeze_geometric:
            frozen += [model.geometric, *model.shared]
        elif not used.geometric:
            frozen.append(model.geometric.header)
        if not used.labelled:
            frozen.append(model.head)
        if not used.semantic:
            frozen += [model.semantic.header_2d, model.semantic.header_3d]
        super().__init__(model, training, steps, weights_of(used.terms(), loss_weights), tuple(frozen))
        self.used, self.projection = used, used.projection
        self.register_buffer("weights", class_weights(), persistent=False)
        self.register_buffer("geometry_weights", torch.tensor((1.0, used.occupied_weight)), persistent=False)

    def losses(self, batch: dict) -> dict[str, Tensor]:
        output, used = self.model(*inputs_of(batch, self.model.config)), self.used
        losses = {}
        if used.labelled:
            losses |= mean_occupancy_losses(
                output.occupancy, output.semantics, batch, self.weights, used.labelled, used.affinity_mass
            )
        if used.semantic:
            losses |= semantic_losses(output.semantic_2d, output.semantic_3d, batch, self.weights)
        if used.geometric:
            losses["geo"] = label_loss(output.geometry, batch["geometry"], self.geometry_weights)
        if self.projection is not None:
            lifting = batch["lifting"][:: self.model.config.frames]
            logits, hit = self.projection(output.fused, lifting)
            labels = torch.where(hit, batch["labels_2d"], IGNORE)
            losses["projection"] = label_loss(logits, labels, self.weights)
        return losses

    def measure(self, batch: dict) -> None:
        labels, _ = self.average.module.predict(*inputs_of(batch, self.model.config))
        self.metrics[""].add(labels.cpu().numpy(), batch["labels"].cpu().numpy())


def semantic_losses(in_image: Tensor, in_space: Tensor, batch: dict, weights: Tensor) -> dict[str, Tensor]:
    """L_sem: cross entropy in the image and at voxels with more than one point (section 3.5.1)."""
    return {
        "sem_2d": label_loss(in_image, batch["labels_2d"], weights),
        "sem_3d": label_loss(in_space, batch["labels_3d"], weights),
    }


def _best_class(logits: Tensor) -> np.ndarray:
    """Class logits (B, C, ...) -> the best class (B, ...) uint8 among 1..19: labelled voxels are never free."""
    return (1 + logits[:, 1:].argmax(1)).to(torch.uint8).cpu().numpy()
