"""Whether confidences are probabilities: expected calibration error, and risk against coverage."""

from dataclasses import dataclass, field

import numpy as np

from .taxonomy import IGNORE

LEVELS = 256
COVERAGES = (50, 80, 90, 95, 99, 100)
"""Percent of the voxels, the most confident ones first, at which the risk is given."""


@dataclass
class Reliability:
    """How often decisions between free and occupied are right, by their confidence.

    counts : (2, 256, 2) int64, voxels by decision (free, occupied), confidence 0..255 and whether it was right.
    """

    counts: np.ndarray = field(default_factory=lambda: np.zeros((2, LEVELS, 2), np.int64))

    def add(self, labels: np.ndarray, confidence: np.ndarray, truth: np.ndarray) -> None:
        """Count one frame: uint8 arrays of one shape; predicted classes 0..19, confidence 0..255, true classes 0..19 or
        IGNORE, where nothing is counted.
        """
        known = truth != IGNORE
        occupied = labels[known] > 0
        right = occupied == (truth[known] > 0)
        place = (occupied.astype(np.int64) * LEVELS + confidence[known]) * 2 + right
        self.counts += np.bincount(place, minlength=self.counts.size).reshape(self.counts.shape)

    def summary(self) -> dict:
        """Percentages: of all decisions, and of the decisions "occupied", which are few beside the free ones.

        `ece`: expected calibration error (Guo et al. 2017, eq. 3) with one bin for each value of the confidence.
        `risk`: share of wrong decisions among the most confident share of them, by that share (COVERAGES).
        `aurc`: mean of the risk over all coverages.
        """
        return {"all": curve(self.counts.sum(0)), "occupied": curve(self.counts[1])}


def curve(counts: np.ndarray) -> dict:
    """The figures of `Reliability.summary` from counts (L, 2) of wrong and right decisions; row n has confidence
    n / (L - 1).
    """
    number, right = counts.sum(1), counts[:, 1]
    total = max(int(number.sum()), 1)
    error = np.abs(right - number * np.linspace(0, 1, len(counts))).sum() / total
    coverage = np.concatenate([[0], np.cumsum(number[::-1])]) / total
    wrong = np.concatenate([[0], np.cumsum(counts[::-1, 0])]) / total
    # Decisions of equal confidence come in no order: the wrong ones are spread evenly among them.
    steps = np.linspace(0, 1, 1001)[1:]
    risk = np.interp(steps, coverage, wrong) / steps
    return {
        "ece": float(100 * error),
        "risk": {f"{share} %": float(100 * risk[share * 10 - 1]) for share in COVERAGES},
        "aurc": float(100 * risk.mean()),
        "decisions": int(number.sum()),
    }
