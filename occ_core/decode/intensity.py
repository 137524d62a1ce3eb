"""Raw intensities -> 0..1: one scale for a LiDAR, not one for each cloud."""

import numpy as np

SCALES = (1, 255, 65535)
"""Scales that are told apart: normalised, calibrated reflectivity as Velodyne's, counts of a 16-bit detector."""
DECIDING = 10
"""Clouds after which the scale is kept."""
_FEW, _MARGIN = 0.01, 1.5
"""A scale is too small for a cloud where more than this share of its values is beyond this many times the scale."""
_OFF = 100
"""Ratio between the scale in use and a cloud's own from which the two contradict each other."""
_CONTRADICTIONS = 20
"""Clouds one after the other that contradict the scale, after which it is said."""


class Intensity:
    """Divides the intensities of one LiDAR by its scale. Clouds are given in the order in which they come.

    A scale that is stated is used. Else it is the one of SCALES that the middle one of the first DECIDING clouds calls
    for by its 99th percentile, so that single values decide nothing. Until then the clouds so far decide; from then on
    it is kept. Clouds whose intensities are nearly all 0 do not count.
    """

    def __init__(self, scale: float | None = None):
        """scale : raw intensity that counts as 1; None to decide"""
        self.scale = scale or 1.0
        """In use now."""
        self.decided = scale is not None
        """Whether the scale stays."""
        self._stated = scale is not None
        self._votes: list[int] = []
        self._contradictions = 0
        self._called_for = 0

    def keep(self) -> None:
        """Keep what the clouds so far decide: for a drive whose first clouds were looked at before it is read."""
        self.decided = True

    @property
    def problem(self) -> str:
        """One line where the clouds have contradicted the scale for a while, else nothing."""
        if self._contradictions < _CONTRADICTIONS:
            return ""
        return (
            f"intensity: the clouds look like 0..{self._called_for}, but are divided by {self.scale:g}; "
            "set the rig's intensity_scale"
        )

    def normalise(self, values: np.ndarray, full: int | None = None) -> None:
        """To 0..1 in place; what is negative or no finite number becomes 0.

        values : (N,) float32, raw; full : what counts as 1 in the field's integer type, which is used unless a scale is
        stated; None for floats
        """
        np.copyto(values, 0, where=~np.isfinite(values))
        called_for = _called_for(values)
        if full is not None and not self._stated:
            self.scale, self.decided = float(full), True
        if called_for and self.decided:
            off = max(called_for / self.scale, self.scale / called_for) > _OFF
            self._contradictions = self._contradictions + 1 if off else 0
            self._called_for = called_for
        elif called_for:
            self._votes.append(called_for)
            self.scale = float(sorted(self._votes)[(len(self._votes) - 1) // 2])
            self.decided = len(self._votes) == DECIDING
        np.divide(values, np.float32(self.scale), out=values)
        np.clip(values, 0, 1, out=values)


def _called_for(values: np.ndarray) -> int:
    """The least of SCALES that holds the values but for a few; 0 where nearly all are 0, which says nothing."""
    few = _FEW * values.size
    if np.count_nonzero(values > 0) <= few:
        return 0
    return next((scale for scale in SCALES if np.count_nonzero(values > _MARGIN * scale) <= few), SCALES[-1])
