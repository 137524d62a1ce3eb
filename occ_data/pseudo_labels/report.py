"""What the labels of a data set hold: shares of the classes, what no rule matched, and agreement with exact labels."""

import numpy as np

from occ_core.taxonomy import CLASS_NAMES, IGNORE, NUM_CLASSES

from .mseg import NAMES, UNLABELED


class Report:
    """Counts over frames.

    pixels : (256,) of each class, 255 unknown
    unmapped : (195,) of each MSeg id among the unknown
    confusion : (20, 256) exact class by label, empty where no frame had exact labels
    """

    def __init__(self):
        self.pixels = np.zeros(256, np.int64)
        self.unmapped = np.zeros(UNLABELED + 1, np.int64)
        self.segmented = 0
        self.confusion = np.zeros((NUM_CLASSES, 256), np.int64)

    def add(self, classes: np.ndarray, ids: np.ndarray | None = None, exact: np.ndarray | None = None) -> None:
        """A frame's classes (H, W); the MSeg ids they came from, where known; the exact classes, where known."""
        self.pixels += np.bincount(classes.reshape(-1), minlength=256)
        if ids is not None:
            self.segmented += ids.size
            lost = np.minimum(ids[classes == IGNORE], UNLABELED)
            self.unmapped += np.bincount(lost, minlength=UNLABELED + 1)
        if exact is not None:
            self.confusion += confusion(classes, exact)

    def lines(self) -> list[str]:
        """A table to print."""
        iou, known = class_iou(self.confusion), self.confusion.any()
        total = max(int(self.pixels.sum()), 1)
        out = [f"{'class':<16}{'share':>9}" + ("      IoU" if known else "")]
        for number in range(1, NUM_CLASSES):
            agreement = f"{iou[number]:9.3f}" if known and not np.isnan(iou[number]) else ""
            out.append(f"{CLASS_NAMES[number]:<16}{self.pixels[number] / total:9.2%}{agreement}")
        out.append(f"{'unknown (255)':<16}{self.pixels[IGNORE] / total:9.2%}")
        if self.segmented:
            most = [n for n in np.argsort(-self.unmapped, kind="stable")[:8] if self.unmapped[n]]
            names = (*NAMES, "unlabeled")
            shares = ", ".join(f"{names[n]} {self.unmapped[n] / self.segmented:.2%}" for n in most)
            out.append(f"unknown, no rule matched: {shares or 'none'}")
        if known:
            out.append(f"mIoU against the exact labels: {mean_iou(self.confusion):.4f}")
        return out


def confusion(classes: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """(20, 256) pixels of each exact class (row) and label (column, 255 unknown); exact 255 is left out."""
    known = exact != IGNORE
    code = exact[known].astype(np.int64) << 8 | classes[known]
    return np.bincount(code, minlength=NUM_CLASSES * 256).reshape(NUM_CLASSES, 256)


def class_iou(counts: np.ndarray) -> np.ndarray:
    """(20,) intersection over union; NaN for a class that neither occurs nor is predicted. Unknown counts as wrong."""
    hit = np.diagonal(counts).astype(float)
    either = counts.sum(1) + counts[:, :NUM_CLASSES].sum(0) - hit
    return np.divide(hit, either, out=np.full(NUM_CLASSES, np.nan), where=either > 0)


def mean_iou(counts: np.ndarray) -> float:
    """Mean over the classes 1..19 that occur or are predicted."""
    return float(np.nanmean(class_iou(counts)[1:]))
