"""The node's parameters: one table that declares, checks and documents them."""

from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np

from occ_core.class_costs import DEFAULT_COSTS, PRESETS, class_costs
from occ_core.decode.compressed import MAX_PIXELS
from occ_core.errors import InputError
from occ_core.obstacles import Band
from occ_core.rig import GRID_HEIGHT
from occ_runtime import BACKENDS, DEFAULT_BUNDLE
from occ_runtime.backend import PRECISIONS

from .topics import CAMERA_INFO, IMAGE, POINTS


class ParameterError(InputError):
    """A parameter that cannot be used; the message names it and what was expected."""


class Changes(NamedTuple):
    """New values by name. now : apply at once; later : with the next configuration"""

    now: dict[str, Any]
    later: dict[str, Any]


DECLARED, ESTIMATED = "declared", "estimated"
"""Values of the parameter `ground`."""
_AT_ONCE, _CONFIGURE, _START = "at once", "when configured", "at start"


def _parameter(
    default: Any,
    description: str,
    minimum: float | None = None,
    maximum: float | None = None,
    applies: str = _CONFIGURE,
) -> Any:
    metadata = {"description": description, "minimum": minimum, "maximum": maximum, "applies": applies}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Settings:
    """Read when the node is configured. The table says which changes apply at once; the others are refused while the
    node is active, and take effect at the next configuration.
    """

    bundle: str = _parameter(DEFAULT_BUNDLE, "Engine bundle: a folder, or the name of one that comes with the package.")
    fallback: str = _parameter(
        "", "Camera-only bundle that makes the frames while `points` is silent, such as monoocc-nano. Empty: none."
    )
    backend: str = _parameter(
        "auto", f"Backend: {', '.join(BACKENDS)}. auto: the first that runs here; fake: no network, for tests."
    )
    precision: str = _parameter(
        "auto", "Precision of the network: f32, bf16 (OpenVINO), f16 or int8 (bundles that have them), or auto."
    )
    threads: int = _parameter(0, "CPU threads of the network; 0: the backend decides.", 0, 1024)
    engine_cache: str = _parameter(
        "", "Folder of built TensorRT engines. Empty: $OCC_NODE_ENGINE_CACHE, or ~/.cache/occ_node."
    )
    calibration_file: str = _parameter(
        "", "Extrinsics: a KITTI calib.txt, or YAML with T_cam_lidar (and K, image_size). Empty: from tf."
    )
    camera: int = _parameter(2, "Camera of a KITTI calib.txt: n for its row Pn.", 0, 3)
    frame: str = _parameter(
        "", "Frame of the robot, on tf, that points are moved to and outputs are in. Empty: that of the clouds."
    )
    height: float = _parameter(
        GRID_HEIGHT, "Metres of the origin of `frame` above the ground; 0 for a base_link on the ground.", -10.0, 10.0
    )
    rig: str = _parameter(
        "",
        "Rig: a YAML file, or a preset such as vlp16. Its T_ground_lidar, if any, is of `frame` and replaces `height`.",
    )
    map_frame: str = _parameter(
        "", "Fixed frame on tf, such as odom, of a map that remembers what the last frames said. Empty: no map."
    )
    map_size: float = _parameter(80.0, "Metres, length of the map around the robot.", 4.0, 200.0)
    map_decay: float = _parameter(
        30.0,
        "Seconds after which the map forgets what no frame confirms; movable classes 1.5 s, unless parked.",
        0.5,
        3600.0,
        applies=_AT_ONCE,
    )
    clouds: tuple[str, ...] = _parameter(
        (POINTS,),
        "Topics of clouds, merged into one; the first one that is not silent is paired with the images.",
    )
    odom_frame: str = _parameter(
        "",
        "World-fixed frame on tf, such as odom, for deskewing and for moving clouds to one stamp. Empty: off.",
    )
    ground: str = _parameter(
        DECLARED,
        "declared: `height` and the frame's tilt are used as they are, and a warning says where the clouds contradict "
        "them; estimated: both are measured in the clouds.",
    )
    compressed: bool = _parameter(False, "Topic `image` carries CompressedImage (JPEG, PNG) instead of Image.")
    max_image_pixels: int = _parameter(
        MAX_PIXELS, "Compressed images whose header says more pixels are not decoded.", 1, 1_000_000_000
    )
    sync_tolerance: float = _parameter(
        0.05,
        "Largest time between image and cloud of a pair, seconds; at most half the faster sensor's period.",
        0.0,
        1.0,
        applies=_AT_ONCE,
    )
    markers_all: bool = _parameter(
        False, "Markers for all occupied voxels, not only for those with a visible face.", applies=_AT_ONCE
    )
    timeout: float = _parameter(
        5.0,
        "Seconds without an answered frame after which /diagnostics says ERROR, or STALE without input.",
        0.1,
        3600.0,
    )
    class_costs: tuple[str, ...] = _parameter(
        DEFAULT_COSTS,
        f"Costs of the classes in ~/grid: a preset ({', '.join(PRESETS)}), then entries class=cost, 0 (free) to 100. "
        "~/obstacles has the classes of cost 100, without those of the ground.",
        applies=_AT_ONCE,
    )
    clearance_low: float = _parameter(
        0.25, "Metres above the local ground up to which the robot drives over things.", 0.0, 0.5, applies=_AT_ONCE
    )
    robot_height: float = _parameter(
        2.0, "Metres above the local ground from which the robot passes below things.", 0.5, 10.0, applies=_AT_ONCE
    )
    obstacles_seen_only: bool = _parameter(
        False,
        "~/obstacles without the voxels that the network completed where the LiDAR saw nothing.",
        applies=_AT_ONCE,
    )
    overlay_opacity: float = _parameter(0.5, "Opacity of the voxels in the overlay.", 0.0, 1.0, applies=_AT_ONCE)
    autostart: bool = _parameter(
        True, "Configure and activate at start; false: a lifecycle manager does it.", applies=_START
    )

    def __post_init__(self):
        for row in fields(self):
            value, low, high = getattr(self, row.name), row.metadata["minimum"], row.metadata["maximum"]
            if low is not None and not low <= value <= high:  # NaN, too
                raise ParameterError(f"{row.name}: expected {_range(row)}, got {value!r}")
        for name, known in (("backend", BACKENDS), ("precision", PRECISIONS), ("ground", (DECLARED, ESTIMATED))):
            if (value := getattr(self, name)) not in known:
                raise ParameterError(f"{name} {value!r} is unknown; expected one of {', '.join(known)}")
        try:
            class_costs(self.class_costs)
        except InputError as error:
            raise ParameterError(f"class_costs: {error}") from None
        if self.map_frame and self.map_frame == self.frame:
            raise ParameterError(f"map_frame: {self.map_frame!r} is `frame` too; expected one that stays, such as odom")
        if not self.clouds or len(set(self.clouds)) < len(self.clouds) or not all(self.clouds):
            raise ParameterError(f"clouds: expected names of topics, each once, got {list(self.clouds)}")
        if inputs := {IMAGE, CAMERA_INFO} & set(self.clouds):
            raise ParameterError(f"clouds: {inputs.pop()!r} is the camera's; expected names of topics of clouds")

    @property
    def costs(self) -> np.ndarray:
        """`class_costs` by label, (256,) int8."""
        return class_costs(self.class_costs)

    @property
    def band(self) -> Band:
        """Heights at which the robot touches things."""
        return Band(self.clearance_low, self.robot_height)


def declare_parameters(node) -> None:
    """Declare the table on a node, with descriptors. Raises ParameterError for an override that is wrong or unknown."""
    from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException

    # ROS 2 accepts overrides of parameters that are not declared: a typing error would go unnoticed.
    for name in node._parameter_overrides:
        if not node.has_parameter(name) and name not in _NAMES and "." not in name:
            raise ParameterError(f"{name}: no such parameter; expected one of {', '.join(_NAMES)}")
    for row in fields(Settings):
        try:
            node.declare_parameter(row.name, _ros_value(row.default), _descriptor(row))
        except InvalidParameterTypeException:
            value = node._parameter_overrides[row.name].value
            raise ParameterError(f"{row.name}: expected {_type(row)}, got {value!r}") from None
        except InvalidParameterValueException:
            value = node._parameter_overrides[row.name].value
            raise ParameterError(f"{row.name}: expected {_range(row)}, got {value!r}") from None


def read_parameters(node) -> Settings:
    """The current values of the parameters. Raises ParameterError."""
    from rclpy.exceptions import ParameterUninitializedException

    values = {}
    for row in fields(Settings):
        try:
            values[row.name] = _setting(row, node.get_parameter(row.name).value)
        except ParameterUninitializedException:  # an override with an empty list, which has no type in ROS
            raise ParameterError(f"{row.name}: expected {_type(row)}, got nothing") from None
    return Settings(**values)


def check_changes(values: dict[str, Any], active: bool) -> Changes:
    """New values of parameters; those that are not in the table are left out. Raises ParameterError for a value that
    cannot be used, and for one that does not apply while the node is active.
    """
    rows = {row.name: row for row in fields(Settings) if row.name in values}
    changes = Changes({}, {})
    for name, row in rows.items():
        value = _setting(row, values[name])
        (changes.now if row.metadata["applies"] == _AT_ONCE else changes.later)[name] = value
    Settings(**changes.now, **changes.later)
    if active and changes.later:
        raise ParameterError(f"{', '.join(changes.later)}: needs a new configuration; deactivate and clean up first")
    return changes


def parameter_table() -> str:
    """The table in Markdown, for the documentation."""
    rows = ["| parameter | type | default | range | applies | |", "|---|---|---|---|---|---|"]
    for row in fields(Settings):
        default = _yaml(row.default)
        about = f"{_range(row)} | {row.metadata['applies']} | {row.metadata['description']}"
        rows.append(f"| `{row.name}` | {_type(row)} | `{default}` | {about} |")
    return "\n".join(rows)


def parameter_yaml() -> str:
    """All parameters with their defaults, as a file for `--params-file`."""
    lines = ["# Every parameter of the node with its default; made from occ_node/parameters.py."]
    lines += ["/**:", "  ros__parameters:"]
    for row in fields(Settings):
        lines += [f"    # {row.metadata['description']}", f"    {row.name}: {_yaml(row.default)}"]
    return "\n".join(lines) + "\n"


_NAMES = tuple(row.name for row in fields(Settings))
_TYPE_NAMES = {bool: "bool", int: "integer", float: "float", str: "string", tuple: "list of strings"}


def _type(row) -> str:
    return _TYPE_NAMES[type(row.default)]


def _range(row) -> str:
    low, high = row.metadata["minimum"], row.metadata["maximum"]
    return "" if low is None else f"{low:g} to {high:g}"


def _ros_value(default: Any) -> Any:
    return list(default) if isinstance(default, tuple) else default


def _setting(row, value: Any) -> Any:
    """A ROS parameter's value as a setting."""
    wanted = list if isinstance(row.default, tuple) else type(row.default)
    if not isinstance(value, wanted):
        raise ParameterError(f"{row.name}: expected {_type(row)}, got {value!r}")
    return tuple(value) if wanted is list else value


def _yaml(default: Any) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, str):
        return f'"{default}"'
    return f"[{', '.join(default)}]" if isinstance(default, tuple) else str(default)


def _descriptor(row):
    from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

    metadata = row.metadata
    descriptor = ParameterDescriptor(description=metadata["description"], read_only=metadata["applies"] == _START)
    low, high = metadata["minimum"], metadata["maximum"]
    if low is not None and isinstance(row.default, int):
        descriptor.integer_range = [IntegerRange(from_value=low, to_value=high)]
    elif low is not None:
        descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    return descriptor
