"""Semantic scene completion metrics, accumulated over a split as SemanticKITTI's own evaluation does."""

from dataclasses import dataclass, field

import numpy as np

from .taxonomy import CLASS_NAMES, IGNORE, NUM_CLASSES


@dataclass
class CompletionMetrics:
    """Counts over frames; `summary` divides once at the end. confusion : (20 predicted, 20 true) int64."""

    confusion: np.ndarray = field(default_factory=lambda: np.zeros((NUM_CLASSES, NUM_CLASSES), np.int64))

    def add(self, prediction: np.ndarray, truth: np.ndarray, invalid: np.ndarray | None = None) -> None:
        """Count one frame: prediction 0..19; truth 0..19 or IGNORE; voxels that are ignored or invalid do not count."""
        if prediction.shape != truth.shape:
            raise ValueError(f"prediction has shape {prediction.shape}, truth {truth.shape}")
        if prediction.size and prediction.max() >= NUM_CLASSES:
            raise ValueError(f"prediction: expected classes 0..{NUM_CLASSES - 1}, got {int(prediction.max())}")
        valid = truth != IGNORE
        if invalid is not None:
            valid &= ~np.asarray(invalid, bool)
        pairs = prediction[valid].astype(np.int64) * NUM_CLASSES + truth[valid]
        self.confusion += np.bincount(pairs, minlength=NUM_CLASSES**2).reshape(NUM_CLASSES, NUM_CLASSES)

    def summary(self) -> dict:
        """Percentages. `miou` averages all 19 classes (the official figure: an absent class counts 0);
        `miou_present` the classes that occur in the truth."""
        m = self.confusion
        true_positive = m[1:, 1:].sum()
        union = m.sum() - m[0, 0]
        class_union = m.sum(0) + m.sum(1) - m.diagonal()
        class_iou = 100 * m.diagonal() / np.maximum(class_union, 1)
        present = m.sum(0)[1:] > 0
        return {
            "iou": float(100 * true_positive / max(union, 1)),
            "precision": float(100 * true_positive / max(m[1:].sum(), 1)),
            "recall": float(100 * true_positive / max(m[:, 1:].sum(), 1)),
            "miou": float(class_iou[1:].mean()),
            "miou_present": float(class_iou[1:][present].mean()) if present.any() else 0.0,
            "classes_present": int(present.sum()),
            "class_iou": {name: float(iou) for name, iou in zip(CLASS_NAMES[1:], class_iou[1:], strict=True)},
            "voxels": int(m.sum()),
        }
