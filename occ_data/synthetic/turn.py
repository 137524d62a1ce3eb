"""Rotations by the angles of a vehicle."""

import numpy as np


def turn(left: float, nose_up: float, lean: float) -> np.ndarray:
    """(3, 3) rotation of x ahead, y left, z up by three angles in radians; `lean` to the right, applied first."""
    cy, sy, cp, sp, cr, sr = np.cos(left), np.sin(left), np.cos(nose_up), np.sin(nose_up), np.cos(lean), np.sin(lean)
    yaw = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    pitch = np.array([[cp, 0, -sp], [0, 1, 0], [sp, 0, cp]])
    roll = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    return yaw @ pitch @ roll
