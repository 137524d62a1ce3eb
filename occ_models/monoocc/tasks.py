"""What each phase of MonoOcc's training optimises (section III, eq. 10)."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..data import inputs_of
from ..losses import GEOMETRY_WEIGHTS, OCCUPANCY_TERMS, class_weights, label_loss, mean_occupancy_losses
from ..recipe import TrainingConfig
from ..training import Task
from .losses import distillation_loss, first_stage_losses, unseen_loss
from .model import MonoOcc
from .recipe import LOSS_WEIGHTS

FIRST_STAGE_TERMS = ("depth", "proposals")


class DepthTask(Task):
    """The first stage: depth on the scan's points, proposals on the feature grid's occupancy; the rest is frozen."""

    figures = ("iou", "precision", "recall")

    def __init__(self, model: MonoOcc, training: TrainingConfig, steps: int):
        trained = (model.encoder, model.depth, model.proposals)
        frozen = tuple(module for module in model.children() if module not in trained)
        super().__init__(model, training, steps, {name: LOSS_WEIGHTS[name] for name in FIRST_STAGE_TERMS}, frozen)
        model.mask_token.requires_grad_(False)
        self.register_buffer("geometry_weights", torch.tensor(GEOMETRY_WEIGHTS), persistent=False)

    def losses(self, batch: dict) -> dict[str, Tensor]:
        depth, proposals = self.model.depth_and_proposals(*inputs_of(batch, self.model.config))
        depth = depth[:: len(self.model.config.views)]  # of the current image: the others have no scan
        return first_stage_losses(depth, proposals, batch, self.geometry_weights)

    def measure(self, batch: dict) -> None:
        _, proposals = self.average.module.depth_and_proposals(*inputs_of(batch, self.model.config))
        self.metrics[""].add((proposals > 0).cpu().numpy().astype(np.uint8), batch["geometry"].cpu().numpy())


@dataclass(frozen=True)
class OccupancyLosses:
    """Which terms of eq. 10 a network is trained with, beside those of the first stage.

    semantic_2d : L_sem on the image (eq. 7)
    unseen : weight of `unseen_loss`; 0: without
    distill : L_distill (eq. 9), at this `temperature`, from the features of the task's teacher or of the batch
    """

    semantic_2d: bool = True
    unseen: float = 0.0
    distill: bool = False
    temperature: float = 1.0

    def weights(self) -> dict[str, float]:
        """Weight of each term."""
        terms = [*OCCUPANCY_TERMS, *FIRST_STAGE_TERMS]
        terms += ["semantic_2d"] if self.semantic_2d else []
        terms += ["distill"] if self.distill else []
        return {name: LOSS_WEIGHTS[name] for name in terms} | ({"unseen": self.unseen} if self.unseen else {})


class OccupancyTask(Task):
    """Student and privileged teacher alike: eq. 10, and the first stage's losses.

    teacher : a trained network for `used.distill`; None where the batch has its features
    """

    def __init__(
        self,
        model: MonoOcc,
        training: TrainingConfig,
        steps: int,
        used: OccupancyLosses,
        teacher: MonoOcc | None = None,
    ):
        super().__init__(model, training, steps, used.weights(), () if used.semantic_2d else (model.header_2d,))
        self.used = used
        self._teacher = [teacher]  # in a list: its weights are neither trained nor saved here
        if teacher is not None:
            teacher.requires_grad_(False).eval()
        self.register_buffer("weights", class_weights(), persistent=False)
        self.register_buffer("geometry_weights", torch.tensor(GEOMETRY_WEIGHTS), persistent=False)

    def losses(self, batch: dict) -> dict[str, Tensor]:
        output = self.model(*self._inputs(batch))
        depth = output.depth[:: len(self.model.config.views)]
        losses = mean_occupancy_losses(output.occupancy, output.semantics, batch, self.weights)
        losses |= first_stage_losses(depth, output.proposals, batch, self.geometry_weights)
        if self.used.semantic_2d:
            losses["semantic_2d"] = label_loss(output.semantic_2d, batch["labels_2d"], self.weights)
        if self.used.distill:
            features = self._teacher_features(batch)
            losses["distill"] = distillation_loss(output.voxels, features, batch["geometry"], self.used.temperature)
        if self.used.unseen:
            losses["unseen"] = unseen_loss(output.occupancy, batch["labels"])
        return losses

    def measure(self, batch: dict) -> None:
        labels, _ = self.average.module.predict(*self._inputs(batch))
        self.metrics[""].add(labels.cpu().numpy(), batch["labels"].cpu().numpy())

    def _inputs(self, batch: dict) -> tuple[Tensor, ...]:
        """The network's arguments; a batch made for a teacher holds more views than its student takes, the student's
        first.
        """
        samples, views = len(batch["labels"]), len(self.model.config.views)
        return tuple(
            tensor.unflatten(0, (samples, -1))[:, :views].flatten(0, 1)
            for tensor in inputs_of(batch, self.model.config)
        )

    def _teacher_features(self, batch: dict) -> Tensor:
        (teacher,) = self._teacher
        if teacher is None:
            return batch["features"]
        with torch.no_grad():
            return teacher.to(self.device).voxels(*inputs_of(batch, teacher.config))
