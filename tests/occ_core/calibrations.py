"""Calibrations that the tests of this folder share (numbers of KITTI odometry sequences 04 to 12)."""

import numpy as np

from occ_core import Calibration

P2_08 = np.array(
    [
        (707.0912, 0, 601.8873, 46.88783),
        (0, 707.0912, 183.1104, 0.1178601),
        (0, 0, 1, 0.006203223),
    ]
)
TR_08 = np.array(
    [
        (-0.001857739, -0.999965951, -0.008039975, -0.00478403),
        (-0.006481466, 0.00805186, -0.999946608, -0.073374295),
        (0.99997731, -0.001805529, -0.006496204, -0.333996806),
        (0, 0, 0, 1),
    ]
)


def calibration_08(image_size=(1226, 370)) -> Calibration:
    """Camera 2 of sequence 08."""
    return Calibration(P2_08, TR_08, image_size)
