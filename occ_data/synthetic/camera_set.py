"""Cameras, as KITTI describes them; its own as they were mounted on two of its recording days."""

from dataclasses import dataclass, replace

import numpy as np

from occ_core.calibration import Calibration


@dataclass(frozen=True)
class CameraSet:
    """Focal length, principal point and image size in pixels; Tr takes the LiDAR frame to that of camera 0."""

    focal: float
    center: tuple[float, float]
    P2_column: tuple[float, float, float]
    P3_column: tuple[float, float, float]
    image_size: tuple[int, int]
    Tr_rows: tuple[float, ...]

    @property
    def projections(self) -> dict[str, np.ndarray]:
        """P0..P3, (3, 4) each."""
        K = np.array([[self.focal, 0, self.center[0]], [0, self.focal, self.center[1]], [0, 0, 1]])
        columns = {"P0": (0, 0, 0), "P1": (-0.537 * self.focal, 0, 0), "P2": self.P2_column, "P3": self.P3_column}
        return {name: np.hstack([K, np.array(column)[:, None]]) for name, column in columns.items()}

    @property
    def Tr(self) -> np.ndarray:
        """(4, 4), its rotation made exact."""
        Tr = np.vstack([np.reshape(self.Tr_rows, (3, 4)), (0, 0, 0, 1)])
        u, _, vt = np.linalg.svd(Tr[:3, :3])
        Tr[:3, :3] = u @ vt
        return Tr

    def seen_from(self, T_old_new: np.ndarray) -> "CameraSet":
        """The same cameras from another LiDAR; T_old_new : (4, 4) its frame -> the frame of the LiDAR here"""
        return replace(self, Tr_rows=tuple((self.Tr @ T_old_new)[:3].ravel().tolist()))

    @property
    def calibration(self) -> Calibration:
        """Camera 2 from the LiDAR."""
        return Calibration(self.projections["P2"], self.Tr, self.image_size)


CAMERA_SETS = (
    CameraSet(  # sequences 00-02
        718.856, (607.1928, 185.2157), (45.38225, -0.1130887, 0.003779761), (-337.2877, 2.369057, 0.004915215),
        (1241, 376),
        (4.276802e-04, -9.999672e-01, -8.084491e-03, -1.198460e-02, -7.210627e-03, 8.081198e-03,
         -9.999413e-01, -5.403985e-02, 9.999739e-01, 4.859486e-04, -7.206934e-03, -2.921969e-01),
    ),
    CameraSet(  # sequences 04-12
        707.0912, (601.8873, 183.1104), (46.88783, 0.1178601, 0.006203223), (-333.4597, 1.930130, 0.003318498),
        (1226, 370),
        (-1.857739e-03, -9.999660e-01, -8.039975e-03, -4.784030e-03, -6.481466e-03, 8.051860e-03,
         -9.999466e-01, -7.337429e-02, 9.999773e-01, -1.805529e-03, -6.496204e-03, -3.339968e-01),
    ),
)  # fmt: skip
