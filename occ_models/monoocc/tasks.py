"""What each phase of MonoOcc's training learns (section III, eq. 10)."""

import numpy as np
import torch
from torch import Tensor

from ..data import inputs_of
from ..losses import GEOMETRY_WEIGHTS, class_weights, distillation_loss, label_loss, mean_occupancy_losses, unseen_loss
from ..recipe import TrainingConfig
from ..training import Task
from .depth import depth_loss
from .model import MonoOcc

# Eq. 10 with the weights of section IV-B; L_ssc in its two factors.
_WEIGHTS = {"semantic_2d": 4.0, "distill": 3.0, "ce_occupied": 2.0, "ce_class": 2.0, "scal_sem": 1.0, "scal_geo": 0.5}


class DepthTask(Task):
    """The first stage: depth on the scan's points, proposals on the occupancy of the feature grid. The rest rests."""

    figures = ("iou", "precision", "recall")

    def __init__(self, model: MonoOcc, training: TrainingConfig, steps: int):
        learning = (model.encoder, model.depth, model.proposals)
        resting = tuple(module for module in model.children() if module not in learning)
        super().__init__(model, training, steps, resting)
        model.mask_token.requires_grad_(False)
        self.register_buffer("geometry_weights", torch.tensor(GEOMETRY_WEIGHTS), persistent=False)

    def losses(self, batch: dict) -> dict[str, Tensor]:
        depth, proposals = self.model.depth_and_proposals(*inputs_of(batch, self.model.config))
        depth = depth[:: len(self.model.config.views)]  # of the current image: the others have no scan
        return first_stage_losses(depth, proposals, batch, self.geometry_weights)

    def measure(self, batch: dict) -> None:
        _, proposals = self.average.module.depth_and_proposals(*inputs_of(batch, self.model.config))
        self.metrics[""].add((proposals > 0).cpu().numpy().astype(np.uint8), batch["geometry"].cpu().numpy())


class OccupancyTask(Task):
    """Student and privileged teacher alike: eq. 10 as far as it is asked for, and the first stage's losses.

    semantic_2d: L_sem is in (eq. 7); unseen: weight of `unseen_loss`; teacher: a trained network whose features are
    distilled (eq. 9), "cached" where the batch brings them, None without.
    """

    def __init__(
        self, model: MonoOcc, training: TrainingConfig, steps: int,
        semantic_2d: bool, unseen: float = 0.0, teacher: MonoOcc | str | None = None, temperature: float = 1.0,
    ):  # fmt: skip
        super().__init__(model, training, steps, () if semantic_2d else (model.header_2d,))
        self.semantic_2d, self.unseen, self.temperature = semantic_2d, unseen, temperature
        self._teacher = [teacher]  # in a list: its weights are neither learnt nor kept here
        if isinstance(teacher, MonoOcc):
            teacher.requires_grad_(False).eval()
        self.register_buffer("weights", class_weights(), persistent=False)
        self.register_buffer("geometry_weights", torch.tensor(GEOMETRY_WEIGHTS), persistent=False)

    def losses(self, batch: dict) -> dict[str, Tensor]:
        output = self.model(*self._inputs(batch))
        losses = mean_occupancy_losses(output.occupancy, output.semantics, batch, self.weights)
        if self.semantic_2d:
            losses["semantic_2d"] = label_loss(output.semantic_2d, batch["labels_2d"], self.weights)
        features = self._features_of_teacher(batch)
        if features is not None:
            losses["distill"] = distillation_loss(output.voxels, features, batch["geometry"], self.temperature)
        losses = {name: _WEIGHTS[name] * losses[name] for name in _WEIGHTS if name in losses}
        if self.unseen:
            losses["unseen"] = self.unseen * unseen_loss(output.occupancy, batch["labels"])
        depth = output.depth[:: len(self.model.config.views)]
        return losses | first_stage_losses(depth, output.proposals, batch, self.geometry_weights)

    def measure(self, batch: dict) -> None:
        labels, _ = self.average.module.predict(*self._inputs(batch))
        self.metrics[""].add(labels.cpu().numpy(), batch["labels"].cpu().numpy())

    def _inputs(self, batch: dict) -> tuple[Tensor, ...]:
        """The network's arguments; a batch made for a teacher holds more views than its student looks at, the student's
        first.
        """
        samples, views = len(batch["labels"]), len(self.model.config.views)
        return tuple(
            tensor.unflatten(0, (samples, -1))[:, :views].flatten(0, 1)
            for tensor in inputs_of(batch, self.model.config)
        )

    def _features_of_teacher(self, batch: dict) -> Tensor | None:
        teacher = self._teacher[0]
        if not isinstance(teacher, MonoOcc):
            return batch["features"] if teacher else None
        with torch.no_grad():
            return teacher.to(self.device).voxels(*inputs_of(batch, teacher.config))


def first_stage_losses(depth: Tensor, proposals: Tensor, batch: dict, weights: Tensor) -> dict[str, Tensor]:
    """Depth (B, D, h, w) and proposals (B, x, y, z), logits each."""
    binary = torch.stack([torch.zeros_like(proposals), proposals], 1)
    return {
        "depth": depth_loss(depth, batch["true_depth"]),
        "proposals": label_loss(binary, batch["geometry"], weights),
    }
