"""What a training shows while it runs: progress, pictures of validation frames, the best weights so far."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from lightning.pytorch.callbacks import Callback
from tqdm import tqdm

from occ_core import COLORS, CompletionMetrics
from occ_core.files import read_mapping, write_yaml
from occ_core.top_view import top_view
from occ_data.kitti import write_png

from .training_log import TrainingLog
from .weights import save_weights

BEST = "best"
LOG_EVERY = 20
"""Steps between two rows of the log."""
_WIDTH = 384


@dataclass
class ShownMetrics(CompletionMetrics):
    """Counts, and the first frame of every batch that was added while `showing`: pairs of prediction and truth."""

    showing: bool = False
    shown: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)

    def add(self, prediction: np.ndarray, truth: np.ndarray, invalid: np.ndarray | None = None) -> None:
        super().add(prediction, truth, invalid)
        if self.showing:
            self.shown.append((prediction[0], truth[0]))


class Progress(Callback):
    """Steps done of all steps and the time left, also after a stop, with the loss and the last figures."""

    def __init__(self):
        self._bar = self._frames = tqdm(disable=True)  # until there is something to show

    def on_train_start(self, trainer, task) -> None:
        self._bar = tqdm(
            total=task.steps, initial=trainer.global_step, unit="step", disable=not trainer.is_global_zero,
            dynamic_ncols=True,
        )  # fmt: skip

    def on_train_batch_end(self, trainer, task, outputs, batch, batch_idx) -> None:
        if trainer.global_step % LOG_EVERY == 0:
            figures = {name: f"{value:.3g}" for name, value in trainer.progress_bar_metrics.items()}
            self._bar.set_postfix(figures, refresh=False)
        self._bar.update(trainer.global_step - self._bar.n)

    def on_validation_start(self, trainer, task) -> None:
        self._frames = tqdm(
            total=sum(trainer.num_val_batches), desc="validation", unit="frame", leave=False, delay=5,
            disable=not (trainer.is_global_zero and sys.stderr.isatty()),
        )  # fmt: skip

    def on_validation_batch_end(self, trainer, task, outputs, batch, batch_idx, dataloader_idx=0) -> None:
        self._frames.update()

    def on_validation_end(self, trainer, task) -> None:
        self._frames.close()

    def on_train_end(self, trainer, task) -> None:
        self._bar.close()

    def on_exception(self, trainer, task, exception) -> None:
        self._frames.close()
        self._bar.close()


class Pictures(Callback):
    """Prediction beside truth of some validation frames, as PNG files in a folder and in the log.

    count : how many frames, spread over those that the first process measures
    """

    def __init__(self, count: int, folder: Path, log: TrainingLog):
        self._count, self._folder, self._log = count, folder, log

    def on_validation_start(self, trainer, task) -> None:
        frames = sum(trainer.num_val_batches)
        self._chosen = set(np.linspace(0, frames - 1, min(self._count, frames)).round().astype(int).tolist())
        self._names: list[str] = []

    def on_validation_batch_start(self, trainer, task, batch, batch_idx, dataloader_idx=0) -> None:
        showing = trainer.is_global_zero and batch_idx in self._chosen
        for metrics in task.metrics.values():
            metrics.showing = showing
        if showing:
            self._names.append(batch["name"][0].replace("/", "_"))

    def on_validation_end(self, trainer, task) -> None:
        for ending, metrics in task.metrics.items():
            for name, (prediction, truth) in zip(self._names, metrics.shown, strict=False):
                picture = prediction_beside_truth(prediction, truth)
                write_png(self._folder / f"{name}{ending}_step{trainer.global_step:06d}.png", picture)
                self._log.picture(f"{name}{ending}", picture)


def prediction_beside_truth(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Both from above, for labels (X, Y, Z); as class maps, for labels of pixels (h, w). RGB uint8."""
    gap = 8
    scale = max(1, round(_WIDTH / truth.shape[1]))
    draw = top_view if truth.ndim == 3 else _class_map
    left, right = draw(prediction, scale), draw(truth, scale)
    return np.hstack([left, np.full((len(left), gap, 3), 255, np.uint8), right])


def _class_map(labels: np.ndarray, scale: int) -> np.ndarray:
    palette = np.full((256, 3), 235, np.uint8)
    palette[: len(COLORS)] = COLORS
    return cv2.resize(palette[labels], None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)


class Best(Callback):
    """Keeps the averaged weights that measured best, in FOLDER, with the figure and its step in `best.yaml`.

    figure : that is compared
    """

    def __init__(self, figure: str, folder: Path):
        self._figure, self._folder = figure, folder

    def on_validation_end(self, trainer, task) -> None:
        if not trainer.is_global_zero:
            return
        value = trainer.callback_metrics[self._figure].item()
        record = self._folder / "best.yaml"
        before = read_mapping(record) if record.is_file() else {}
        if value > before.get(self._figure, -1.0):
            save_weights(task.average.module, self._folder)
            write_yaml(record, {"step": trainer.global_step, self._figure: value})
