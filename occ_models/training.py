"""Supervised training of OccLE with Lightning: resumable, averaged weights, official metrics."""

import math
from dataclasses import dataclass
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader, WeightedRandomSampler

from occ_node.perception import CompletionMetrics

from .augmentation import AugmentationConfig
from .config import OccLEConfig, load_config, save_config
from .data import INPUTS, FrameDataset, collate
from .losses import class_weights, label_loss, occupancy_losses
from .occle import OccLE

WEIGHTS, CONFIG = "model.safetensors", "config.yaml"


@dataclass(frozen=True)
class TrainingConfig:
    """How to train. average: decay of the weights' moving average; the rest as its name says, in steps."""

    steps: int = 4000
    batch: int = 2
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    warmup: int = 200
    clip: float = 5.0
    average: float = 0.998
    validate_every: int = 500
    checkpoint_every: int = 100
    precision: str = "32-true"
    seed: int = 0
    workers: int = 1


class OccLETask(lightning.LightningModule):
    """Losses, optimiser and validation of the network; `average` holds the weights that are validated and exported."""

    def __init__(self, model: OccLE, training: TrainingConfig):
        super().__init__()
        self.model, self.training_config = model, training
        update = moving_average(training.average)
        self.average = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=update, use_buffers=True)
        self.average.eval()
        self.register_buffer("weights", class_weights(), persistent=False)
        self.metrics = CompletionMetrics()

    def training_step(self, batch: dict, _: int) -> torch.Tensor:
        output = self.model(*(batch[name] for name in INPUTS))
        losses = occupancy_losses(output.occupancy, output.semantics, batch["labels"], self.weights)
        occupied = torch.tensor([1.0, 2.0], device=self.device)
        coarse = batch["labels_coarse"]
        losses |= {
            "sem_2d": label_loss(output.semantic_2d, batch["labels_2d"], self.weights),
            "sem_3d": label_loss(output.semantic_3d, batch["labels_3d"], self.weights),
            "geo": label_loss(output.geometry, torch.where(coarse == 255, coarse, coarse.clamp(max=1)), occupied),
        }
        # Occupancy decides completion and is one of twenty channels in the paper's sum: it carries more weight here.
        loss = sum(losses.values()) + 2 * losses["ce_occupied"]
        self.log_dict({f"train/{name}": value.detach() for name, value in losses.items()})
        self.log("loss", loss.detach(), prog_bar=True, logger=False)
        if not torch.isfinite(loss):
            raise FloatingPointError(f"loss is {loss.item()} at step {self.global_step}: {losses}")
        return loss

    def on_train_batch_end(self, *_) -> None:
        self.average.update_parameters(self.model)

    def on_validation_epoch_start(self) -> None:
        self.metrics = CompletionMetrics()

    def validation_step(self, batch: dict, _: int) -> None:
        labels, _ = self.average.module.predict(*(batch[name] for name in INPUTS))
        self.metrics.add(labels.cpu().numpy(), batch["labels"].cpu().numpy())

    def on_validation_epoch_end(self) -> None:
        summary = self.metrics.summary()
        wanted = {name: summary[name] for name in ("iou", "precision", "recall", "miou", "miou_present")}
        self.log_dict(wanted, prog_bar=True)

    def configure_optimizers(self):
        config = self.training_config
        decayed = [p for p in self.model.parameters() if p.ndim > 1]
        plain = [p for p in self.model.parameters() if p.ndim <= 1]
        groups = [{"params": decayed}, {"params": plain, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, config.learning_rate, weight_decay=config.weight_decay)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, learning_rate_schedule(config.warmup, config.steps))
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
    """Exponential moving average of weights that forgets the random start: its decay grows from 0.1 to `decay`."""

    def update(averaged: list[torch.Tensor], current: list[torch.Tensor], count: torch.Tensor) -> None:
        if averaged[0].is_floating_point():
            torch._foreach_lerp_(averaged, current, 1 - min(decay, (1 + int(count)) / (10 + int(count))))
        else:
            torch._foreach_copy_(averaged, current)

    return update


def train(
    model_config: OccLEConfig,
    training: TrainingConfig,
    train_folders: list[str],
    validation_folders: list[str],
    output: Path,
    initial: Path | None = None,
) -> Path:
    """Train and write weights and configuration into `output`; goes on from its `last.ckpt` if there is one.

    Several data set roots are drawn from alike, however many frames each has.
    """
    lightning.seed_everything(training.seed, verbose=False)
    output.mkdir(parents=True, exist_ok=True)
    pre, stride = model_config.preprocess, model_config.image_stride
    data = FrameDataset(train_folders, pre, stride, AugmentationConfig(), training.seed)
    validation = FrameDataset(validation_folders, pre, stride)
    model = load_checkpoint(initial, model_config) if initial else OccLE(model_config)
    save_config(model_config, output / CONFIG)
    save_config(training, output / "training.yaml")

    roots = data.roots()
    sampler = WeightedRandomSampler([1 / roots.count(r) for r in roots], training.steps * training.batch)
    persistent = training.workers > 0
    loader = DataLoader(
        data, training.batch, sampler=sampler, collate_fn=collate, num_workers=training.workers,
        persistent_workers=persistent, drop_last=True,
    )  # fmt: skip
    task = OccLETask(model, training)
    last = output / "last.ckpt"
    checkpoint = ModelCheckpoint(
        output, filename="step", every_n_train_steps=training.checkpoint_every, save_last=True, save_top_k=0,
        enable_version_counter=False,
    )  # fmt: skip
    trainer = lightning.Trainer(
        max_steps=training.steps,
        precision=training.precision,
        gradient_clip_val=training.clip,
        val_check_interval=min(training.validate_every, training.steps),
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        callbacks=[checkpoint, TQDMProgressBar(refresh_rate=10)],
        logger=CSVLogger(output, name="", version="logs"),
        log_every_n_steps=20,
        default_root_dir=output,
    )
    resume = last if last.exists() else None
    trainer.fit(task, loader, DataLoader(validation, collate_fn=collate), ckpt_path=resume, weights_only=True)
    save_checkpoint(task.average.module, output)
    return output


def save_checkpoint(model: OccLE, folder: Path) -> None:
    """Write weights and configuration, each by rename."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / (WEIGHTS + ".tmp")
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, part)
    part.rename(folder / WEIGHTS)
    save_config(model.config, folder / CONFIG)


def load_checkpoint(folder: Path, config: OccLEConfig | None = None) -> OccLE:
    """A network with trained weights; `config` overrides the folder's own where shapes agree."""
    model = OccLE(config or load_config(Path(folder) / CONFIG))
    model.load_state_dict(load_file(Path(folder) / WEIGHTS))
    return model


def average_of(checkpoint: Path, config: OccLEConfig) -> OccLE:
    """The averaged network inside a training's `last.ckpt`: what an interrupted training has so far."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    prefix = "average.module."
    model = OccLE(config)
    model.load_state_dict({k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)})
    return model
