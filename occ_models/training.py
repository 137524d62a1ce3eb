"""Training of any network with Lightning: resumable, averaged weights, official metrics."""

import logging
import math
import warnings
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset

from occ_core.errors import ReportedError
from occ_core.files import replacing
from occ_data import DataError

from .data import FrameDataset, collate
from .layers.backbone import ImageBackbone
from .layers.head import OccupancyNetwork
from .loading import loading
from .losses import weighted
from .memory import compile_parts, recompute_activations
from .recipe import TrainingConfig
from .sampling import Draws
from .training_log import TrainingLog
from .watching import BEST, LOG_EVERY, Best, Pictures, Progress, ShownMetrics
from .weights import LAST

# Its messages at every start (missing devices, advertisements) hide those that matter.
logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
logging.getLogger("lightning.fabric").setLevel(logging.WARNING)


class NotFinite(ReportedError, ArithmeticError):
    """A loss or gradient that is not a number; names the step, the losses and the frames of the batch."""

    exit_code = 3


class Task(lightning.LightningModule):
    """Losses, optimiser and validation of a network; `average` has the averaged weights, which are validated and kept.

    A subclass has the terms of the loss (`losses`) and what is measured (`measure`). Modules in `frozen` are neither
    trained nor update their batch statistics.

    loss_weights : weight of each term that this task has
    figures, measured : the figures that are logged, once for each ending in `measured`, with one `metrics` each; where
        the mean over the classes is among them, so is each class
    measured_at : the step of the last measurement
    """

    figures: tuple[str, ...] = ("iou", "precision", "recall", "miou", "miou_present")
    measured: tuple[str, ...] = ("",)

    def __init__(
        self,
        model: OccupancyNetwork,
        training: TrainingConfig,
        steps: int,
        loss_weights: dict[str, float],
        frozen: tuple[nn.Module, ...] = (),
    ):
        super().__init__()
        self.model, self.training_config, self.steps, self.loss_weights = model, training, steps, loss_weights
        self._frozen = [frozen]  # in a list: these modules are the model's, not the task's own
        self._public: list[tuple[ImageBackbone, ...]] = [()]
        for module in frozen:
            module.requires_grad_(False)
        update = moving_average(training.average)
        self.average = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=update, use_buffers=True)
        self.average.requires_grad_(False)
        if training.recompute:
            recompute_activations(model)
        if training.compile:
            compile_parts(model)
        self.metrics: dict[str, ShownMetrics] = {}
        self.measured_at: int | None = None
        self._seen: list[tuple[list[str], dict[str, Tensor]]] = []  # frames and losses of each batch of this step
        self.train()  # Lightning trains in the mode that it finds

    def losses(self, batch: dict) -> dict[str, Tensor]:
        """The terms of the loss before weighting, each a mean over the batch's samples: processes share a batch."""
        raise NotImplementedError

    def measure(self, batch: dict) -> None:
        """Add the averaged network's predictions on a batch to `metrics`."""
        raise NotImplementedError

    def weighted_losses(self, batch: dict) -> dict[str, Tensor]:
        """The terms of the loss with their weights; their sum is what is minimised."""
        return weighted(self.losses(batch), self.loss_weights)

    def tune(self, *backbones: ImageBackbone) -> "Task":
        """Apply the settings `backbone_frozen`, `backbone_norm` and `backbone_learning_rate` to image backbones of the
        network that start with public weights. Gives the task.
        """
        config = self.training_config
        count = {"none": 0, "stem": 1, "first_stage": 2, "all": None}[config.backbone_frozen]
        self._public[0] = backbones
        self._frozen[0] += tuple(part for backbone in backbones for part in backbone.parts()[:count])
        for module in (*self._frozen[0], *self._frozen_norms()):
            module.requires_grad_(False)
        return self.train(self.training)

    def _frozen_norms(self) -> list[nn.Module]:
        # Found each time: synchronised normalisations replace the others when a training begins.
        if self.training_config.backbone_norm != "frozen":
            return []
        modules = [module for backbone in self._public[0] for module in backbone.modules()]
        return [module for module in modules if isinstance(module, nn.BatchNorm2d | nn.SyncBatchNorm)]

    def train(self, mode: bool = True):
        """As usual, but frozen modules stay in evaluation mode."""
        super().train(mode)
        self.average.eval()
        for module in (*self._frozen[0], *self._frozen_norms()):
            module.eval()
        return self

    @property
    def best_figure(self) -> str:
        """The figure by which weights are compared: the mean over the classes, where it is measured."""
        return ("miou" if "miou" in self.figures else "iou") + self.measured[-1]

    def training_step(self, batch: dict, _: int) -> Tensor:
        losses = self.weighted_losses(batch)
        loss = sum(losses.values())
        self._seen.append((batch["name"], {name: value.detach() for name, value in losses.items()}))
        self.log("loss", loss.detach(), prog_bar=True, logger=False)
        return loss

    def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None) -> None:
        """Clip, and stop where a loss is not finite: after gradients are shared, so all processes stop together."""
        norm = nn.utils.clip_grad_norm_(self.learning(), self.training_config.clip)
        names = [name for batch, _ in self._seen for name in batch]
        losses = {name: torch.stack([terms[name] for _, terms in self._seen]).mean() for name in self._seen[0][1]}
        self._seen.clear()
        loss = sum(losses.values())
        # In half precision infinite gradients are expected: the scaler skips those steps.
        good = torch.isfinite(loss if self.training_config.precision == "16-mixed" else loss + norm)
        if not good:
            terms = ", ".join(f"{name} {value.item():.4g}" for name, value in losses.items())
            raise NotFinite(
                f"step {self.global_step}: loss {loss.item():.4g} ({terms}), gradient {norm.item():.4g}; expected "
                f"finite numbers; frames {', '.join(names)}"
            )
        watched = losses | {"gradient_norm": norm, "learning_rate": optimizer.param_groups[0]["lr"]}
        self.log_dict({f"train/{name}": value for name, value in watched.items()})

    def learning(self) -> list[nn.Parameter]:
        """The parameters that are trained."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def on_train_start(self) -> None:
        self.logger.go_on()
        self._seen.clear()
        if self.global_step and self.global_rank == 0:
            print(f"goes on at step {self.global_step}", flush=True)

    def optimizer_step(self, *arguments, **named) -> None:
        super().optimizer_step(*arguments, **named)
        # Not at the batch's end: the checkpoint is written before that.
        self.average.update_parameters(self.model)

    def on_validation_epoch_start(self) -> None:
        self.metrics = {name: ShownMetrics() for name in self.measured}

    def validation_step(self, batch: dict, _: int) -> None:
        self.measure(batch)

    def on_validation_epoch_end(self) -> None:
        for name, metrics in self.metrics.items():
            if self.trainer.world_size > 1:  # each process has measured its share of the frames
                counts = self.all_gather(torch.from_numpy(metrics.confusion).to(self.device))
                metrics.confusion = counts.sum(0).cpu().numpy()
            summary = metrics.summary()
            figures = {figure + name: summary[figure] for figure in self.figures}
            self.log_dict(figures, prog_bar=True, rank_zero_only=True)
            if "miou" in self.figures:
                classes = {f"class_iou{name}/{label}": iou for label, iou in summary["class_iou"].items()}
                self.log_dict(classes, rank_zero_only=True)
        self.measured_at = self.global_step

    def configure_optimizers(self):
        config, learning = self.training_config, self.learning()
        factor = config.backbone_learning_rate
        public = {id(p) for backbone in self._public[0] for p in backbone.parameters()} if factor != 1 else set()
        groups = []
        for chosen, rate in (
            ([p for p in learning if id(p) not in public], config.learning_rate),
            ([p for p in learning if id(p) in public], config.learning_rate * factor),
        ):
            if chosen:
                groups += [
                    {"params": [p for p in chosen if p.ndim > 1], "lr": rate},
                    {"params": [p for p in chosen if p.ndim <= 1], "lr": rate, "weight_decay": 0.0},
                ]
        optimizer = torch.optim.AdamW(groups, config.learning_rate, weight_decay=config.weight_decay)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, learning_rate_schedule(config.warmup, self.steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def learning_rate_schedule(warmup: int, steps: int):
    """Factor on the learning rate: linear from a third over the warm-up, then cosine down to a thousandth."""

    def factor(step: int) -> float:
        if step < warmup:
            return 1 / 3 + 2 / 3 * step / warmup
        progress = min((step - warmup) / max(steps - warmup, 1), 1.0)
        return 1e-3 + (1 - 1e-3) * 0.5 * (1 + math.cos(math.pi * progress))

    return factor


def moving_average(decay: float):
    """Exponential moving average of weights; its decay grows from 0.1 to `decay`, so that the random start is lost."""

    def update(averaged: list[Tensor], current: list[Tensor], count: Tensor) -> None:
        if averaged[0].is_floating_point():
            torch._foreach_lerp_(averaged, current, 1 - min(decay, (1 + int(count)) / (10 + int(count))))
        else:
            torch._foreach_copy_(averaged, current)

    return update


class Checkpoints(TorchCheckpointIO):
    """Checkpoints that appear whole: Lightning writes them in the system's temporary folder first, and a kill during
    the copy from another file system would leave half a file.
    """

    def save_checkpoint(self, checkpoint: dict, path: str | Path, storage_options=None) -> None:
        with replacing(path) as part:
            torch.save(checkpoint, part)


class WholeSteps(ModelCheckpoint):
    """Writes nothing between the batches of one step."""

    def on_train_batch_end(self, trainer, task, outputs, batch, batch_idx) -> None:
        if (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            super().on_train_batch_end(trainer, task, outputs, batch, batch_idx)


class Batches(lightning.LightningDataModule):
    """Draws for training and this process's share of the validation frames."""

    def __init__(
        self, data: FrameDataset, validation: FrameDataset, training: TrainingConfig, steps: int,
        labelled: float | None = None,
    ):  # fmt: skip
        super().__init__()
        self.data, self.validation, self.training, self.steps = data, validation, training, steps
        self.labelled = labelled
        self._workers = loading(training).workers

    def train_dataloader(self) -> DataLoader:
        trainer, config, apart = self.trainer, self.training, self.labelled is not None
        draws = Draws(
            self.data.kinds(apart), config.batch, self.steps * config.accumulate, config.seed,
            trainer.global_step * config.accumulate, trainer.global_rank, trainer.world_size,
            self.labelled if apart else 1.0, config.shares,
        )  # fmt: skip
        return self._loader(self.data, batch_sampler=draws, persistent_workers=self._workers > 0)

    def val_dataloader(self) -> DataLoader:
        mine = range(self.trainer.global_rank, len(self.validation), self.trainer.world_size)
        return self._loader(Subset(self.validation, mine))

    def _loader(self, data: Dataset, **settings) -> DataLoader:
        return DataLoader(
            data, collate_fn=collate, num_workers=self._workers, pin_memory=torch.cuda.is_available(),
            # Forked processes share the frame cache.
            multiprocessing_context="fork" if self._workers else None, **settings,
        )  # fmt: skip


def fit(task: Task, data: FrameDataset, validation: FrameDataset, output: Path, labelled: float | None = None) -> None:
    """Train; continues from OUTPUT/last.ckpt if there is one. The last step is always measured.

    OUTPUT/logs has the figures (`TrainingLog`), OUTPUT/pictures validation frames, OUTPUT/best the weights with the
    best figure.


    labelled : share of the draws that have voxel labels; None: every frame alike, each once before any comes again

    Raises NotFinite or DataError, one line each; the last checkpoint was written before.
    """
    config, last = task.training_config, output / LAST
    output.mkdir(parents=True, exist_ok=True)
    several = config.devices * config.nodes > 1
    checkpoint = WholeSteps(
        output, filename="step", every_n_train_steps=config.checkpoint_every, save_last=True, save_top_k=0,
        enable_version_counter=False,
    )  # fmt: skip
    log = TrainingLog(output / "logs", lambda: trainer.global_step)
    pictures = Pictures(config.pictures, output / "pictures", log)
    trainer = lightning.Trainer(
        max_steps=task.steps,
        accelerator=config.accelerator,
        devices=config.devices,
        num_nodes=config.nodes,
        strategy="ddp" if several else "auto",
        sync_batchnorm=several and torch.cuda.is_available(),
        use_distributed_sampler=False,
        precision=config.precision,
        accumulate_grad_batches=config.accumulate,
        val_check_interval=min(config.validate_every, task.steps) * config.accumulate,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        plugins=[Checkpoints()],
        callbacks=[checkpoint, Progress(), pictures, Best(task.best_figure, output / BEST)],
        enable_progress_bar=False,
        logger=log,
        log_every_n_steps=LOG_EVERY,
        default_root_dir=output,
        enable_model_summary=False,
    )
    batches = Batches(data, validation, config, task.steps, labelled)
    with warnings.catch_warnings():
        # Draws continue at the right step, few loaders are intended, and so are frozen parts.
        for known in (
            "resuming from a checkpoint", "does not have many workers", "in eval mode at the start",
            "smaller than the logging interval", "LeafSpec",
        ):  # fmt: skip
            warnings.filterwarnings("ignore", f".*{known}.*")
        try:
            trainer.fit(task, datamodule=batches, ckpt_path=last if last.exists() else None, weights_only=True)
            if task.measured_at != task.steps:
                trainer.validate(task, datamodule=batches, verbose=False)
        except DataError as error:  # from a loader process it contains that process's traceback
            line = str(error).strip().splitlines()[-1]
            raise DataError(line.removeprefix(f"{DataError.__module__}.DataError: ")) from None
        except NotFinite as error:
            kept = f"the last good checkpoint is {last}" if last.exists() else "no checkpoint was written before"
            raise NotFinite(f"{error}; {kept}") from None
