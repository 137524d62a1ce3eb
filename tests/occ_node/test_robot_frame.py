"""Outputs of a robot whose LiDAR is not mounted as KITTI's, over real DDS: in the robot's frame, in their places."""

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install occ_node[ros])")

from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from rclpy.qos import DurabilityPolicy, QoSProfile

from occ_core.grid import KITTI_GRID
from occ_core.rig import KITTI_RIG, Rig, write_rig
from occ_core.transforms import matrix_of, move_points, quaternion_of
from occ_core.voxelizer import occupancy_grid
from occ_node.outputs.voxels import VOXEL_POINT

from . import scene
from .live import Client, NodeProcess, wait_for

HALF_TURN = np.sqrt(0.5)
T_BASE_LIDAR = matrix_of((0, 0, 0.6), (0, 0, HALF_TURN, HALF_TURN))
"""A LiDAR 0.6 m above base_link, which is on the ground; its x axis points to the left."""
T_BASE_CAMERA = matrix_of((0.3, 0, 1.0), (-0.5, 0.5, -0.5, 0.5))
TOPICS = ["voxels", "markers", "grid"]


def wall_in_grid() -> np.ndarray:
    """Away from the borders of voxels, where rounding decides."""
    return scene.wall() + np.float32([0, 0.05, 0.05, 0])


def centres() -> np.ndarray:
    """(N, 3) of the wall's voxels above the ground, metres: x ahead, y left."""
    index = np.argwhere(occupancy_grid(wall_in_grid(), KITTI_GRID))
    places = np.array(KITTI_GRID.origin) + KITTI_GRID.voxel_size * (index + 0.5)
    return places + KITTI_RIG.T_ground_lidar[:3, 3]


def same_places(found: np.ndarray, expected: np.ndarray) -> bool:
    found, expected = (np.unique(places.round(2) + 0.0, axis=0) for places in (found, expected))
    return found.shape == expected.shape and np.allclose(found, expected, atol=0.02)


def stamped(parent: str, child: str, T: np.ndarray) -> TransformStamped:
    translation, rotation = T[:3, 3].tolist(), quaternion_of(T[:3, :3]).tolist()
    return TransformStamped(
        header=scene.header(0, parent), child_frame_id=child,
        transform=Transform(
            translation=Vector3(**dict(zip("xyz", translation, strict=True))),
            rotation=Quaternion(**dict(zip("xyzw", rotation, strict=True))),
        ),
    )  # fmt: skip


def answers(client: Client) -> dict:
    """The newest message of each topic after frames with the wall, as that LiDAR sees it."""
    points = move_points(wall_in_grid(), np.linalg.inv(Rig(T_BASE_LIDAR).T_grid_lidar))

    def send():
        stamp = client.next_stamp()
        client.camera_info.publish(scene.camera_info(stamp))
        client.send(scene.image(stamp), scene.cloud(stamp, points))

    client.send_until(send, lambda: all(client.received[name] for name in TOPICS), "an answer on every topic")
    return {name: client.received[name][-1] for name in TOPICS}


def run(tmp_path, **parameters):
    node = NodeProcess(tmp_path, backend="fake", markers_all="true", **parameters).wait_until_ready()
    return node, Client(node.domain, outputs=TOPICS).wait_until_connected()


def cubes(message) -> tuple[str, np.ndarray]:
    """Frame and places of a MarkerArray's cubes, moved by the marker's pose."""
    (marker,) = [marker for marker in message.markers if marker.points]
    position, q = marker.pose.position, marker.pose.orientation
    T = matrix_of((position.x, position.y, position.z), (q.x, q.y, q.z, q.w))
    places = np.array([(p.x, p.y, p.z, 1) for p in marker.points]) @ T.T
    return marker.header.frame_id, places[:, :3]


def corner(message) -> np.ndarray:
    """Of the bird's-eye view."""
    position = message.info.origin.position
    return np.array((position.x, position.y, position.z))


def voxels(message) -> np.ndarray:
    points = np.frombuffer(message.data, VOXEL_POINT)
    return np.stack([points[axis] for axis in "xyz"], -1).astype(np.float64)


def check(found: dict, frame: str, T_frame_ground: np.ndarray) -> None:
    """All outputs are in this frame, and the wall is where it is above the ground."""
    expected = centres() @ T_frame_ground[:3, :3].T + T_frame_ground[:3, 3]
    name, places = cubes(found["markers"])
    assert (found["voxels"].header.frame_id, name, found["grid"].header.frame_id) == (frame, frame, frame)
    assert same_places(voxels(found["voxels"]), expected)
    assert same_places(places, expected)
    origin = KITTI_RIG.T_ground_lidar[:3, 3] + KITTI_GRID.origin
    np.testing.assert_allclose(corner(found["grid"]), (T_frame_ground @ (*origin, 1))[:3], atol=1e-6)


def test_outputs_are_in_base_link_which_is_on_the_ground(tmp_path, fake_bundle):
    tf2_msgs = pytest.importorskip("tf2_msgs.msg", reason="tf2_msgs is not installed (it comes with ROS 2)")
    node, client = run(tmp_path, bundle=fake_bundle, frame="base_link", height=0.0)
    try:
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        tf_static = client.node.create_publisher(tf2_msgs.TFMessage, "/tf_static", latched)
        lidar, camera = stamped("base_link", "velo_link", T_BASE_LIDAR), stamped("base_link", "camera", T_BASE_CAMERA)
        tf_static.publish(tf2_msgs.TFMessage(transforms=[lidar, camera]))
        wait_for(tf_static.get_subscription_count, "the node on /tf_static")
        check(answers(client), "base_link", np.eye(4))
    finally:
        node.stop()
        client.close()


def test_a_rig_says_where_the_clouds_frame_is(tmp_path, fake_bundle, calibration_file):
    rig = write_rig(tmp_path / "rig.yaml", Rig(T_BASE_LIDAR, 255.0))
    node, client = run(tmp_path, bundle=fake_bundle, calibration_file=calibration_file, rig=rig, height=9.0)
    try:
        check(answers(client), "velo_link", np.linalg.inv(T_BASE_LIDAR))
        wait_for(lambda: client.values, "diagnostics")
        assert client.values["rig"] == "0.60 m above the ground, intensity scale 255"
    finally:
        node.stop()
        client.close()


def test_a_preset_without_a_mounting_leaves_that_to_the_height(tmp_path, fake_bundle, calibration_file):
    node, client = run(tmp_path, bundle=fake_bundle, calibration_file=calibration_file, rig="vlp16", height=0.6)
    try:
        wait_for(lambda: client.values, "diagnostics")
        expected = "0.60 m above the ground, 16 beams from -15 to 15 degrees, intensity scale 255"
        assert client.values["rig"] == expected
    finally:
        node.stop()
        client.close()
