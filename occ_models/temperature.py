"""Temperatures and shifts fitted to the logits of frames not trained on, so that confidence means probability."""

from dataclasses import dataclass, field, replace

import numpy as np

from occ_core import NUM_CLASSES
from occ_core.reliability import LEVELS, Reliability, curve
from occ_core.taxonomy import IGNORE

from .confidence import PLAIN, Confidence

BINS, REACH = 2000, 20.0
"""Occupancy logits are counted in so many bins from -REACH to REACH."""
SAMPLES = 4000
"""Occupied voxels of a frame from which the temperature of the classes is fitted."""
RIDGE = 10.0
"""Weight of the prior: squared distance of a label's rate (1 / temperature) and shift from those of all together."""
OFFSETS = tuple(round(0.1 * n, 1) for n in range(-20, 21))
_TEMPERATURES = np.exp(np.linspace(np.log(0.2), np.log(5), 61)).tolist()
_LEAST_RATE = 0.02
_CENTRES = (np.arange(BINS) + 0.5) * (2 * REACH / BINS) - REACH


@dataclass
class LogitCounts:
    """A network's logits on frames with voxel truth.

    voxels : (19, BINS, 2) int64, voxels by their best class, by occupancy logit, and whether they are occupied
    classes, true : of each frame a sample of its occupied voxels: class logits (N, 19) float32, true classes (N,) 1..19
    """

    voxels: np.ndarray = field(default_factory=lambda: np.zeros((NUM_CLASSES - 1, BINS, 2), np.int64))
    classes: list[np.ndarray] = field(default_factory=list)
    true: list[np.ndarray] = field(default_factory=list)

    def add(self, occupancy: np.ndarray, semantics: np.ndarray, truth: np.ndarray) -> None:
        """One frame: occupancy logits (X, Y, Z), class logits (X/2, Y/2, 19, Z/2), true classes (X, Y, Z) or IGNORE."""
        known = truth != IGNORE
        best = semantics.argmax(2).repeat(2, 0).repeat(2, 1).repeat(2, 2)[known]
        bins = ((occupancy[known] + REACH) * (BINS / 2 / REACH)).astype(np.int64).clip(0, BINS - 1)
        place = (best * BINS + bins) * 2 + (truth[known] > 0)
        self.voxels += np.bincount(place, minlength=self.voxels.size).reshape(self.voxels.shape)
        x, y, z = np.nonzero(known & (truth > 0))
        chosen = np.random.default_rng(len(self.true)).permutation(len(x))[:SAMPLES]
        x, y, z = x[chosen], y[chosen], z[chosen]
        self.classes.append(semantics[x // 2, y // 2, :, z // 2].astype(np.float32))
        self.true.append(truth[x, y, z])


def fit(counts: LogitCounts, offset: float = 0.0) -> Confidence:
    """The temperature and shift of each label with the least negative log-likelihood of "occupied" (Platt 1999); of a
    label with few decisions they are near those of all occupied ones.
    """
    occupied = -offset < _CENTRES
    free = _fit_rate(_CENTRES[~occupied], counts.voxels[:, ~occupied].sum(0), np.array([1.0, 0.0]))
    common = _fit_rate(_CENTRES[occupied], counts.voxels[:, occupied].sum(0), np.array([1.0, 0.0]))
    rows = [free, *(_fit_rate(_CENTRES[occupied], by_bin, common) for by_bin in counts.voxels[:, occupied])]
    return Confidence(
        offset,
        tuple(round(float(1 / rate), 4) for rate, _ in rows),
        tuple(round(float(shift), 4) for _, shift in rows),
    )


def _fit_rate(logits: np.ndarray, by_bin: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Rate and shift by Newton's method. logits : (N,); by_bin : (N, 2) free and occupied voxels"""
    features = np.stack([logits, np.ones_like(logits)], 1)
    number, occupied = by_bin.sum(1), by_bin[:, 1]

    def loss(found: np.ndarray) -> float:
        scaled = features @ found
        return number @ np.logaddexp(0, scaled) - occupied @ scaled + RIDGE / 2 * ((found - prior) ** 2).sum()

    found = prior
    for _ in range(50):
        p = 1 / (1 + np.exp(-features @ found))
        gradient = features.T @ (number * p - occupied) + RIDGE * (found - prior)
        hessian = (features * (number * p * (1 - p))[:, None]).T @ features + RIDGE * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        while loss(found - step) > loss(found) and np.abs(step).max() > 1e-6:
            step = step / 2
        found = found - step
        if np.abs(step).max() < 1e-6:
            break
    return np.maximum(found, [_LEAST_RATE, -np.inf])


def reliability(counts: LogitCounts, confidence: Confidence) -> Reliability:
    """What `Reliability` counts on the same frames with this confidence."""
    result = Reliability()
    occupied = -confidence.offset < _CENTRES
    for label, by_bin in enumerate(counts.voxels, 1):
        temperatures, shifts = (
            np.where(occupied, v[label], v[0]) for v in (confidence.temperatures, confidence.shifts)
        )
        scaled = _CENTRES / temperatures + shifts
        right = np.where(occupied, scaled, -scaled)
        level = np.rint((LEVELS - 1) / (1 + np.exp(-right))).astype(np.int64)
        for decision in (0, 1):
            chosen = by_bin[occupied == bool(decision)]
            wrong_and_right = chosen if decision else chosen[:, ::-1]
            np.add.at(result.counts[decision], level[occupied == bool(decision)], wrong_and_right)
    return result


def iou_by_offset(counts: LogitCounts) -> dict[float, float]:
    """IoU of the occupied voxels in percent, by the offset at which they are decided."""
    free, occupied = counts.voxels.sum(0).T
    total, result = occupied.sum(), {}
    for offset in OFFSETS:
        chosen = -offset < _CENTRES
        result[offset] = float(100 * occupied[chosen].sum() / max(total + free[chosen].sum(), 1))
    return result


def best_offset(counts: LogitCounts) -> float:
    """The offset of OFFSETS with the highest IoU."""
    by_offset = iou_by_offset(counts)
    return max(by_offset, key=by_offset.__getitem__)


def class_figures(counts: LogitCounts) -> dict:
    """The classes' probabilities, a softmax at occupied voxels: temperature, and `curve` without and with it."""
    logits, true = np.concatenate(counts.classes), np.concatenate(counts.true).astype(int) - 1
    rows = np.arange(len(true))

    def loss(temperature: float) -> float:
        scaled = logits / temperature
        return float((np.logaddexp.reduce(scaled, 1) - scaled[rows, true]).mean())

    def figures(temperature: float) -> dict:
        scaled = logits / temperature
        best = np.exp(scaled.max(1) - np.logaddexp.reduce(scaled, 1))
        place = np.rint((LEVELS - 1) * best).astype(np.int64) * 2 + (logits.argmax(1) == true)
        return curve(np.bincount(place, minlength=2 * LEVELS).reshape(LEVELS, 2))

    temperature = min(_TEMPERATURES, key=loss)
    return {"temperature": round(temperature, 4), "before": figures(1.0), "after": figures(temperature)}


def figures(counts: LogitCounts, confidence: Confidence) -> dict:
    """What the bundle tells of the calibration, in percent: occupancy and class, before and after; IoU by offset."""
    before = replace(PLAIN, offset=confidence.offset)
    ious = iou_by_offset(counts)
    shown = sorted({0.0, confidence.offset, best_offset(counts)})
    return _rounded(
        {
            "frames": len(counts.true),
            "occupancy": {
                "before": reliability(counts, before).summary(), "after": reliability(counts, confidence).summary(),
            },
            "class": class_figures(counts),
            "iou_by_offset": {str(offset): ious[offset] for offset in shown if offset in ious},
        }
    )  # fmt: skip


def _rounded(value):
    if isinstance(value, dict):
        return {key: _rounded(v) for key, v in value.items()}
    return round(value, 3) if isinstance(value, float) else value
