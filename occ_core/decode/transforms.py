"""geometry_msgs/Transform -> (4, 4) matrices."""

import numpy as np

from ..transforms import MAX_DISTANCE, matrix_of
from . import TransformError


def matrix_from_transform(transform) -> np.ndarray:
    """geometry_msgs/Transform -> (4, 4) T_parent_child. Raises TransformError unless it is a rotation."""
    t, q = transform.translation, transform.rotation
    quaternion = np.array([q.x, q.y, q.z, q.w])
    with np.errstate(over="ignore"):  # an infinite norm is refused
        norm = np.linalg.norm(quaternion)
    if not (np.isfinite([t.x, t.y, t.z]).all() and abs(norm - 1) < 0.01):
        raise TransformError(f"tf: expected a finite translation and a unit quaternion, got norm {norm:g}")
    if max(map(abs, (t.x, t.y, t.z))) > MAX_DISTANCE:
        raise TransformError(f"tf: expected a translation of at most {MAX_DISTANCE:g} m, got {t.x:g}, {t.y:g}, {t.z:g}")
    return matrix_of((t.x, t.y, t.z), quaternion)
