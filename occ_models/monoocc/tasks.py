"""What each phase of MonoOcc's training optimises (section III, eq. 10)."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from ..data import inputs_of
from ..layers.head import decide
from ..losses import AFFINITY_MASS, class_weights, label_loss, mean_occupancy_losses
from ..recipe import TrainingConfig
from ..training import Task
from .losses import distillation_loss, first_stage_losses, unseen_loss
from .model import MonoOcc, MonoOccOutput
from .proposals import cut_off
from .recipe import LOSS_WEIGHTS

FIRST_STAGE_TERMS = ("depth", "proposals")
L_SSC = {"ssc": ("ssc",), "factorised": ("ce_occupied", "ce_class")}
"""Terms of `occupancy_losses` that make L_ssc."""


def first_stage(model: MonoOcc) -> dict[str, nn.Module]:
    """The parts that the depth phase trains, by name: depth with the backbone that it takes features of, proposals."""
    encoder = "depth_encoder" if model.config.depth_encoder == "own" else "encoder"
    return {name: getattr(model, name) for name in (encoder, "depth", "proposals")}


class ProposingTask(Task):
    """A task that also measures `cut_off`: percent of the occupied voxels that are proposed but beyond the limit."""

    def on_validation_epoch_start(self) -> None:
        super().on_validation_epoch_start()
        self._occupied = torch.zeros(2, dtype=torch.float64)  # those cut off, all

    def on_validation_epoch_end(self) -> None:
        super().on_validation_epoch_end()
        counts = self._occupied.to(self.device, torch.float32)
        if self.trainer.world_size > 1:
            counts = self.all_gather(counts).sum(0)
        self.log("cut_off", 100 * counts[0] / counts[1].clamp(min=1), prog_bar=True, rank_zero_only=True)

    def count_cut_off(self, proposals: Tensor, geometry: Tensor) -> None:
        """Logits of the proposals (B, x, y, z), and `geometry` of the batch."""
        occupied, cut = geometry == 1, cut_off(proposals, self.model.config.proposals)
        self._occupied += torch.stack([(cut & occupied).sum(), occupied.sum()]).cpu()


class DepthTask(ProposingTask):
    """The first stage: depth on the scan's points, proposals on the feature grid's occupancy; the rest is frozen.

    occupied_weight : of occupied voxels against free ones in the loss of the proposals
    """

    figures = ("iou", "precision", "recall")

    def __init__(
        self, model: MonoOcc, training: TrainingConfig, steps: int, occupied_weight: float = 2.0,
        loss_weights: dict[str, float] = LOSS_WEIGHTS,
    ):  # fmt: skip
        trained = tuple(first_stage(model).values())
        frozen = tuple(module for module in model.children() if module not in trained)
        super().__init__(model, training, steps, {name: loss_weights[name] for name in FIRST_STAGE_TERMS}, frozen)
        model.mask_token.requires_grad_(False)
        self.register_buffer("geometry_weights", torch.tensor((1.0, occupied_weight)), persistent=False)

    def losses(self, batch: dict) -> dict[str, Tensor]:
        depth, proposals = self.model.depth_and_proposals(*inputs_of(batch, self.model.config))
        depth = depth[:: len(self.model.config.views)]  # of the current image: the others have no scan
        return first_stage_losses(depth, proposals, batch, self.geometry_weights)

    def measure(self, batch: dict) -> None:
        _, proposals = self.average.module.depth_and_proposals(*inputs_of(batch, self.model.config))
        self.metrics[""].add((proposals > 0).cpu().numpy().astype(np.uint8), batch["geometry"].cpu().numpy())
        self.count_cut_off(proposals, batch["geometry"])


@dataclass(frozen=True)
class OccupancyLosses:
    """Which terms of eq. 10 a network is trained with, and which others.

    semantic_2d : L_sem on the image (eq. 7), with class weights unless `image_class_weights` is "none"
    voxels : L_ssc as "ssc", as in eq. 10, or "factorised"
    affinity_mass : of `losses.scal_sem`
    first_stage : the losses of depth and proposals, the latter with `occupied_weight`; without, these are frozen
    unseen : weight of `unseen_loss`; 0: without
    distill : L_distill (eq. 9), at this `temperature`, from the features of the task's teacher or of the batch
    loss_weights : of every term
    """

    semantic_2d: bool = True
    image_class_weights: str = "rarity"
    voxels: str = "factorised"
    affinity_mass: float = AFFINITY_MASS
    first_stage: bool = True
    occupied_weight: float = 2.0
    unseen: float = 0.0
    distill: bool = False
    temperature: float = 1.0
    loss_weights: dict[str, float] = field(default_factory=LOSS_WEIGHTS.copy)

    def weights(self) -> dict[str, float]:
        """Weight of each term."""
        terms = [*L_SSC[self.voxels], "iou", "scal_geo", "scal_sem"]
        terms += FIRST_STAGE_TERMS if self.first_stage else []
        terms += ["semantic_2d"] if self.semantic_2d else []
        terms += ["distill"] if self.distill else []
        return {name: self.loss_weights[name] for name in terms} | ({"unseen": self.unseen} if self.unseen else {})


class OccupancyTask(ProposingTask):
    """Student and privileged teacher alike: eq. 10, and the losses beside it that `used` has.

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
        frozen = () if used.semantic_2d else (model.header_2d,)
        frozen += () if used.first_stage else tuple(first_stage(model).values())
        super().__init__(model, training, steps, used.weights(), frozen)
        self.used = used
        self._teacher = [teacher]  # in a list: its weights are neither trained nor saved here
        if teacher is not None:
            teacher.requires_grad_(False).eval()
        self.register_buffer("weights", class_weights(), persistent=False)
        self.register_buffer("geometry_weights", torch.tensor((1.0, used.occupied_weight)), persistent=False)

    def losses(self, batch: dict) -> dict[str, Tensor]:
        output = self.model(*self._inputs(batch))
        depth = output.depth[:: len(self.model.config.views)]
        losses = self._voxel_losses(output, batch)
        if self.used.first_stage:
            losses |= first_stage_losses(depth, output.proposals, batch, self.geometry_weights)
        if self.used.semantic_2d:
            rarity = self.used.image_class_weights == "rarity"
            weights = self.weights if rarity else torch.ones_like(self.weights)
            losses["semantic_2d"] = label_loss(output.semantic_2d, batch["labels_2d"], weights)
        if self.used.distill:
            features = self._teacher_features(batch)
            losses["distill"] = distillation_loss(output.voxels, features, batch["geometry"], self.used.temperature)
        if self.used.unseen:
            losses["unseen"] = unseen_loss(output.occupancy, batch["labels"])
        return losses

    def _voxel_losses(self, output: MonoOccOutput, batch: dict) -> dict[str, Tensor]:
        """L_ssc, L_scal_sem and L_scal_geo."""
        losses = mean_occupancy_losses(
            output.occupancy, output.semantics, batch, self.weights, affinity_mass=self.used.affinity_mass
        )
        return {name: value for name, value in losses.items() if name in self.loss_weights}

    def measure(self, batch: dict) -> None:
        model = self.average.module
        proposals, voxels = model.proposals_and_voxels(*self._inputs(batch))
        labels, _ = decide(*model.head(voxels))
        self.metrics[""].add(labels.cpu().numpy(), batch["labels"].cpu().numpy())
        self.count_cut_off(proposals, batch["geometry"])

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
