"""What each phase of OccLE's training learns (section 3.5, algorithm 1, eq. 6)."""

import numpy as np
import torch
from torch import Tensor

from occ_core.taxonomy import IGNORE

from ..data import inputs_of
from ..losses import GEOMETRY_WEIGHTS, class_weights, label_loss, mean_occupancy_losses
from ..recipe import TrainingConfig
from ..training import Task
from .geometric import occupancy_logit
from .model import OccLE
from .projection import Projection


class SemanticTask(Task):
    """Phase I: the semantic branch on image labels alone, 2-D and lifted. Measured against the voxels' labels."""

    figures = ("miou", "miou_present")
    measured = ("_2d", "_3d")

    def __init__(self, model: OccLE, training: TrainingConfig, steps: int):
        super().__init__(model, training, steps, (model.geometric, model.fusion, model.head))
        self.register_buffer("weights", class_weights(), persistent=False)

    def losses(self, batch: dict) -> dict[str, Tensor]:
        return semantic_losses(*self.model.semantic_maps(*inputs_of(batch, self.model.config)), batch, self.weights)

    def measure(self, batch: dict) -> None:
        maps = self.average.module.semantic_maps(*inputs_of(batch, self.model.config))
        for name, logits in zip(self.measured, maps, strict=True):
            self.metrics[name].add(_winner(logits), batch[f"labels{name}"].cpu().numpy())


class GeometricTask(Task):
    """Phase II, teacher and student alike: free or occupied on the feature grid.

    The learned voxel features belong to both branches: where phase I has made them (`keep_features`), they rest.
    """

    figures = ("iou", "precision", "recall")

    def __init__(self, model: OccLE, training: TrainingConfig, steps: int, keep_features: bool):
        resting = (model.semantic, model.fusion, model.head)
        super().__init__(model, training, steps, (*resting, model.voxel_features) if keep_features else resting)
        self.register_buffer("weights", torch.tensor(GEOMETRY_WEIGHTS), persistent=False)

    def losses(self, batch: dict) -> dict[str, Tensor]:
        logits = self.model.geometry(*inputs_of(batch, self.model.config))
        return {"geo": label_loss(logits, batch["geometry"], self.weights)}

    def measure(self, batch: dict) -> None:
        occupied = occupancy_logit(self.average.module.geometry(*inputs_of(batch, self.model.config))) > 0
        self.metrics[""].add(occupied.cpu().numpy().astype(np.uint8), batch["geometry"].cpu().numpy())


class JointTask(Task):
    """Phase III (and supervised training, its special case): eq. 6 as far as it is asked for.

    semantic: L_sem is in; geometric: "frozen" (its branch and the voxel features rest), "taught" (L_geo is in), "free"
    (it learns from the other losses alone); projection: eq. 5's module, None without; labelled: share of the draws
    that have voxel labels. Where none has, L_occ is left out.
    """

    def __init__(
        self, model: OccLE, training: TrainingConfig, steps: int,
        semantic: bool, geometric: str, projection: Projection | None, labelled: float,
    ):  # fmt: skip
        resting = [model.geometric, model.voxel_features] if geometric == "frozen" else []
        if not labelled:
            resting.append(model.head)
        if geometric == "free" and not model.config.gate:
            resting.append(model.geometric.header)
        if not semantic:
            resting += [model.semantic.header_2d, model.semantic.header_3d]
        super().__init__(model, training, steps, tuple(resting))
        self.semantic, self.geometric, self.projection, self.labelled = semantic, geometric, projection, labelled
        self.register_buffer("weights", class_weights(), persistent=False)
        self.register_buffer("geometry_weights", torch.tensor(GEOMETRY_WEIGHTS), persistent=False)

    def losses(self, batch: dict) -> dict[str, Tensor]:
        output = self.model(*inputs_of(batch, self.model.config))
        losses = {}
        if self.labelled:
            losses |= mean_occupancy_losses(output.occupancy, output.semantics, batch, self.weights, self.labelled)
        if self.semantic:
            losses |= semantic_losses(output.semantic_2d, output.semantic_3d, batch, self.weights)
        if self.geometric == "taught":
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


def _winner(logits: Tensor) -> np.ndarray:
    """Classes (B, C, ...) -> (B, ...) uint8; free is no answer where there is something."""
    return (1 + logits[:, 1:].argmax(1)).to(torch.uint8).cpu().numpy()
