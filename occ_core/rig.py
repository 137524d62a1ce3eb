"""Rigs: where a robot's LiDAR is above the ground, and so in the frame that the networks were trained in; what its
intensities mean; what the sensor is.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from .errors import InputError
from .files import FileError, read_yaml, write_text
from .transforms import are_poses
from .yaml_text import dump_yaml, shown

GRID_HEIGHT = 1.73
"""Metres of the grid frame's origin above the ground: KITTI's LiDAR, with which the networks were trained."""
MAX_BEAMS = 1024
_PRESETS = Path(__file__).with_name("rigs")


class RigError(InputError):
    """A rig that cannot be used; the message names the file and the key, and what was expected."""


@dataclass(frozen=True)
class Sensor:
    """A LiDAR by its data sheet.

    elevations : degrees of each beam above the horizontal, ascending
    horizontal_resolution : degrees between two points of a beam
    range : metres
    """

    elevations: tuple[float, ...]
    horizontal_resolution: float
    range: float

    @property
    def beams(self) -> int:
        """Number of beams."""
        return len(self.elevations)


@dataclass(frozen=True, eq=False)
class Rig:
    """What is known of a robot's LiDAR; None for what is not.

    T_ground_lidar : (4, 4) LiDAR frame, or another frame of the robot that the points are in -> ground frame (x
        ahead, y left, z up, metres; its origin on the ground)
    intensity_scale : raw intensity that counts as 1, in messages of the sensor; None to find out from the clouds
    """

    T_ground_lidar: np.ndarray | None = None
    intensity_scale: float | None = None
    sensor: Sensor | None = None

    def __post_init__(self):
        if self.T_ground_lidar is not None:
            T = np.asarray(self.T_ground_lidar, np.float64)
            if T.shape != (4, 4) or not are_poses(T):
                expected = "a rotation (3x3, orthonormal) and a finite translation, metres"
                raise RigError(f"T_ground_lidar: expected {expected}")
            object.__setattr__(self, "T_ground_lidar", T)

    @classmethod
    def at_height(cls, height: float) -> "Rig":
        """A level frame whose x axis points ahead; height : metres of its origin above the ground."""
        return cls(translation(0, 0, height))

    @classmethod
    def from_grid(cls, T_grid_lidar: np.ndarray) -> "Rig":
        """The rig with this way to the grid frame, such as that of a Calibration."""
        return cls(translation(0, 0, GRID_HEIGHT) @ T_grid_lidar)

    @property
    def mounting(self) -> np.ndarray:
        """T_ground_lidar; raises RigError where it is unknown."""
        if self.T_ground_lidar is None:
            raise RigError("T_ground_lidar: not known; expected where the LiDAR is above the ground")
        return self.T_ground_lidar

    @property
    def T_grid_lidar(self) -> np.ndarray:
        """(4, 4) LiDAR frame -> grid frame, GRID_HEIGHT above the ground frame. Raises RigError where it is unknown."""
        return translation(0, 0, -GRID_HEIGHT) @ self.mounting

    def completed(self, other: "Rig") -> "Rig":
        """This rig, with what it does not know from another one."""
        known = {field.name: getattr(self, field.name) for field in fields(self)}
        return Rig(**{name: getattr(other, name) if value is None else value for name, value in known.items()})

    def __str__(self):
        parts = [f"intensity scale {'auto' if self.intensity_scale is None else f'{self.intensity_scale:g}'}"]
        if self.sensor is not None:
            low, high = self.sensor.elevations[0], self.sensor.elevations[-1]
            parts.insert(0, f"{self.sensor.beams} beams from {low:g} to {high:g} degrees")
        if self.T_ground_lidar is not None:
            parts.insert(0, f"{self.T_ground_lidar[2, 3]:.2f} m above the ground")
        return ", ".join(parts)


def translation(x: float, y: float, z: float) -> np.ndarray:
    """(4, 4), metres."""
    T = np.eye(4)
    T[:3, 3] = x, y, z
    return T


KITTI_RIG = Rig.at_height(GRID_HEIGHT)


def rig_presets() -> list[str]:
    """Names of the rigs that come with the package, sorted."""
    return sorted(path.stem for path in _PRESETS.glob("*.yaml"))


def read_rig(source: str | Path) -> Rig:
    """A YAML file, or a preset by its name, such as "vlp16".

    Keys, all optional: `T_ground_lidar` (3 or 4 rows of 4), `intensity_scale` (a positive number, or auto) and `sensor`
    with `elevations` (or `beams` and `vertical_fov`, lowest and highest), `horizontal_resolution` and `range`. Angles
    are in degrees, lengths in metres. Raises RigError.
    """
    if str(source) in rig_presets():
        source = _PRESETS / f"{source}.yaml"
    elif not (Path(source).suffix in (".yaml", ".yml") or Path(source).exists()):
        raise RigError(f"{source}: no such rig; expected a YAML file, or one of {', '.join(rig_presets())}")
    try:
        content = read_yaml(source)
        _check_keys("", content, {field.name for field in fields(Rig)})
        return Rig(
            _matrix(content["T_ground_lidar"]) if "T_ground_lidar" in content else None,
            _scale(content.get("intensity_scale", "auto")),
            _sensor(content["sensor"]) if "sensor" in content else None,
        )
    except FileError as error:
        raise RigError(str(error)) from None
    except RigError as error:
        raise RigError(f"{source}: {error}") from None


def write_rig(path: str | Path, rig: Rig) -> Path:
    """Write a YAML file that `read_rig` reads back exactly; gives its path."""
    content: dict[str, Any] = {}
    if rig.T_ground_lidar is not None:
        content["T_ground_lidar"] = rig.T_ground_lidar[:3].tolist()
    content["intensity_scale"] = "auto" if rig.intensity_scale is None else float(rig.intensity_scale)
    if rig.sensor is not None:
        content["sensor"] = asdict(rig.sensor) | {"elevations": list(rig.sensor.elevations)}
    return write_text(path, dump_yaml(content, default_flow_style=None))


def _check_keys(where: str, content: Any, known: set[str]) -> None:
    if not isinstance(content, Mapping) or not content or not content.keys() <= known:
        found = ", ".join(map(str, content))[:100] if isinstance(content, Mapping) else shown(content)
        raise RigError(f"{where}expected some of the keys {', '.join(sorted(known))}; found {found or 'none'}")


def _matrix(rows: Any) -> np.ndarray:
    T = _numbers(rows)
    if T is None or T.shape not in ((3, 4), (4, 4)) or tuple(T[3:].ravel()) not in ((), (0, 0, 0, 1)):
        raise RigError("T_ground_lidar: expected 3x4 finite numbers, or 4x4 with a last row of 0 0 0 1")
    return np.vstack([T[:3], (0, 0, 0, 1)])


def _scale(value: Any) -> float | None:
    return None if value == "auto" else _positive("intensity_scale", value, " or auto")


def _sensor(content: Any) -> Sensor:
    _check_keys("sensor: ", content, {"elevations", "beams", "vertical_fov", "horizontal_resolution", "range"})
    if ("elevations" in content) == ("beams" in content) or ("beams" in content) != ("vertical_fov" in content):
        raise RigError("sensor: expected either elevations, or beams with vertical_fov")
    if "elevations" in content:
        elevations = _angles("elevations", content["elevations"])
    else:
        beams, ends = content["beams"], _angles("vertical_fov", content["vertical_fov"])
        if type(beams) is not int or not 2 <= beams <= MAX_BEAMS:
            raise RigError(f"sensor: beams: expected a whole number from 2 to {MAX_BEAMS}, got {shown(beams)}")
        if len(ends) != 2:
            raise RigError("sensor: vertical_fov: expected the lowest and the highest beam's angle, degrees")
        elevations = np.linspace(ends[0], ends[1], beams)
    step, reach = (
        _positive(f"sensor: {key}", content.get(key, "nothing")) for key in ("horizontal_resolution", "range")
    )
    return Sensor(tuple(elevations.tolist()), step, reach)


def _angles(key: str, values: Any) -> np.ndarray:
    angles = _numbers(values)
    if angles is None or angles.ndim != 1 or not 1 <= len(angles) <= MAX_BEAMS:
        raise RigError(f"sensor: {key}: expected a list of up to {MAX_BEAMS} angles, degrees")
    if np.abs(angles).max() > 90 or (np.diff(angles) <= 0).any():
        raise RigError(f"sensor: {key}: expected ascending angles from -90 to 90 degrees")
    return angles


def _positive(key: str, value: Any, other: str = "") -> float:
    if type(value) not in (int, float) or not (0 < value <= 1e9 and math.isfinite(value)):
        raise RigError(f"{key}: expected a positive number{other}, got {shown(value)}")
    return float(value)


def _numbers(values: Any) -> np.ndarray | None:
    """As float64; None where they are no finite numbers or of no regular shape."""
    try:
        numbers = np.array(values, np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    return numbers if np.isfinite(numbers).all() else None
