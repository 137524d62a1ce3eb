"""The sensors of a drive: LiDAR, camera, where they are, and the weather that they work in."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from occ_core.calibration import Calibration
from occ_core.rig import GRID_HEIGHT, KITTI_RIG, Rig, read_rig, translation
from occ_core.transforms import IDENTITY

from ..drive import DataError
from .camera_set import CAMERA_SETS, CameraSet
from .imaging import KITTI_IMAGING, Imaging
from .lidar_model import HDL64, Lidar
from .light import DRY_DAY, Weather

KITTI, RANDOM = "hdl64-kitti", "random"
"""Names of rigs: the one without a change, and the one that is drawn from the seed."""

# What data sheets say beyond the angles; the ranges' noise is of one standard deviation.
_DETAILS = {
    "hesai-xt32": {"noise": 0.01, "near": 0.3},
    "livox-mid360": {"noise": 0.02, "near": 0.3, "repeats": False},
    "vlp16": {"noise": 0.03, "near": 0.6},
    "vlp32": {"noise": 0.03, "near": 0.8},
}


@dataclass(frozen=True, eq=False)
class SensorSet:
    """T_grid_lidar : (4, 4) LiDAR frame -> grid frame, 1.73 m above the ground below the robot"""

    lidar: Lidar
    T_grid_lidar: np.ndarray
    cameras: CameraSet
    imaging: Imaging = KITTI_IMAGING
    weather: Weather = DRY_DAY

    @cached_property
    def calibration(self) -> Calibration:
        """Of camera 2 from the LiDAR, with the rig."""
        return replace(self.cameras.calibration, T_grid_lidar=self.T_grid_lidar)

    @cached_property
    def rig(self) -> Rig:
        """As `rig.yaml` has it; the scans hold intensities of 0 to 1."""
        if self.lidar is HDL64:
            return KITTI_RIG
        return Rig(translation(0, 0, GRID_HEIGHT) @ self.T_grid_lidar, 1.0, self.lidar.sensor)


def kitti_sensors(seed: int) -> SensorSet:
    """KITTI's: odd seeds have the cameras of sequences 04-12, even ones those of 00-02."""
    return SensorSet(HDL64, IDENTITY, CAMERA_SETS[seed % 2])


def rig_sensors(name: str, seed: int) -> SensorSet:
    """A rig's LiDAR, and KITTI's camera where KITTI's car has it. `name` : a preset, or a rig.yaml

    The LiDAR of a rig that does not say where it is is where KITTI's is. Raises RigError, and DataError where the rig
    does not say what the sensor is.
    """
    if name == KITTI:
        return kitti_sensors(seed)
    lidar, rig = preset_lidar(name), read_rig(name).completed(KITTI_RIG)
    cameras = CAMERA_SETS[seed % 2].seen_from(rig.T_grid_lidar)
    return SensorSet(lidar, rig.T_grid_lidar, cameras)


def preset_lidar(name: str) -> Lidar:
    """The LiDAR of a preset or a rig.yaml. Raises RigError, and DataError where it does not say what the sensor is."""
    sensor = read_rig(name).sensor
    if sensor is None:
        raise DataError(f"{name}: no sensor; expected its elevations, horizontal_resolution and range")
    return Lidar.of_sensor(sensor, **_DETAILS.get(name, {}))
