"""60,000 voxels as a MarkerArray: bytes written with numpy against message objects, both published for real."""

import numpy as np
import rclpy
from geometry_msgs.msg import Point, Pose, Quaternion, Vector3
from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from occ_core import CLASS_NAMES, COLORS, KITTI_GRID
from occ_core.occupancy import voxel_positions
from occ_node.outputs.markers import marker_array_cdr

from .measure import Options, markdown, medians, milliseconds, ratio

VOXELS = 60_000


def measure(options: Options) -> dict:
    """Times of building and publishing, and whether both ways say the same."""
    random = np.random.default_rng(0)
    flat = np.sort(random.choice(np.prod(KITTI_GRID.shape), VOXELS, replace=False)).astype(np.int32)
    positions, labels = voxel_positions(flat, KITTI_GRID), random.integers(1, len(CLASS_NAMES), VOXELS, np.uint8)
    header = Header(frame_id="velo_link")
    arguments = (header, positions, labels, KITTI_GRID.voxel_size)
    rclpy.init(args=[])
    try:
        node = rclpy.create_node("occ_benchmark_markers")
        publisher = node.create_publisher(MarkerArray, "~/markers", 1)
        node.create_subscription(MarkerArray, "~/markers", lambda _: None, 1, raw=True)
        steps = {
            "bytes": lambda: publisher.publish(marker_array_cdr(*arguments)),
            "objects": lambda: publisher.publish(marker_array_of_objects(*arguments)),
            "bytes, building alone": lambda: marker_array_cdr(*arguments),
            "objects, building alone": lambda: marker_array_of_objects(*arguments),
        }
        times = medians(steps, options.repeats(20), "MarkerArray")
        node.destroy_node()
    finally:
        rclpy.try_shutdown()
    # Through the wire both, for a message object may hold what a float32 field cannot.
    plain = deserialize_message(serialize_message(marker_array_of_objects(*arguments)), MarkerArray)
    equal = deserialize_message(marker_array_cdr(*arguments), MarkerArray) == plain
    return {"voxels": VOXELS, "equal": bool(equal), "steps": times}


def marker_array_of_objects(header: Header, positions: np.ndarray, labels: np.ndarray, size: float) -> MarkerArray:
    """The plain way: one Point a voxel."""
    clear = _marker(header, 0, Marker.DELETEALL, size)
    markers = [clear]
    for label in np.unique(labels).tolist():
        marker = _marker(header, label, Marker.ADD, size)
        marker.points = [Point(x=x, y=y, z=z) for x, y, z in positions[labels == label].astype(float).tolist()]
        markers.append(marker)
    return MarkerArray(markers=markers)


def _marker(header: Header, label: int, action: int, size: float) -> Marker:
    red, green, blue = (COLORS[label] / 255).tolist()
    return Marker(
        header=header,
        ns=CLASS_NAMES[label],
        id=label,
        type=Marker.CUBE_LIST,
        action=action,
        pose=Pose(orientation=Quaternion(w=1.0)),
        scale=Vector3(x=size, y=size, z=size),
        color=ColorRGBA(r=red, g=green, b=blue, a=1.0),
    )


def tables(result: dict) -> dict[str, str]:
    """For docs/results.md."""
    steps = result["steps"]
    rows = [
        [
            name,
            milliseconds(steps[f"bytes{what}"]["median_ms"]),
            milliseconds(steps[f"objects{what}"]["median_ms"]),
            f"{ratio(steps[f'objects{what}'], steps[f'bytes{what}']):.0f} x",
        ]
        for name, what in (("build and publish", ""), ("build", ", building alone"))
    ]
    verdict = "the same message" if result["equal"] else "NOT the same message"
    header = [f"MarkerArray of {result['voxels']:,} voxels ({verdict}), ms", "bytes", "message objects", "faster"]
    return {"markers": markdown(header, rows)}
