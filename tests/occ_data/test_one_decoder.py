"""A cloud gives the same points whether it comes as a live message or out of a bag."""

from array import array

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer

from occ_core.decode.cloud import decode_cloud
from occ_data.bags import BagDrive, read_bag, write_bag
from occ_data.bags.reader import jazzy

messages = pytest.importorskip("sensor_msgs.msg", reason="ROS 2's Python messages are not installed")
serialization = pytest.importorskip("rclpy.serialization", reason="rclpy is not installed")

POINTS = "/kitti/velo/pointcloud"
DATATYPES = {"i1": 1, "u1": 2, "i2": 3, "u2": 4, "i4": 5, "u4": 6, "f4": 7, "f8": 8}
COUNT = 6
INTENSITIES = {
    "none": None,
    "uint8": ("intensity", np.array([0, 51, 102, 153, 204, 255], "u1")),
    "uint16": ("intensity", np.array([0, 51, 255, 1000, 13107, 65535], "u2")),
    "int16": ("intensity", np.array([-7, 0, 1, 100, 1000, 32767], "i2")),
    "uint32": ("intensity", np.array([0, 1, 255, 65535, 2**31, 2**32 - 1], "u4")),
    "float to 1": ("intensity", np.linspace(0, 1, COUNT).astype("f4")),
    "float to 255": ("intensity", np.linspace(0, 255, COUNT).astype("f4")),
    "float64": ("i", np.linspace(0, 60000, COUNT)),
    "NaN": ("intensity", np.array([np.nan, 0.25, 0.5, np.nan, 1, 0], "f4")),
    "remission": ("remission", np.linspace(0, 1, COUNT).astype("f4")),
    "Ouster's reflectivity": ("reflectivity", np.array([0, 10, 51, 102, 204, 255], "u2")),
}


def live_cloud(intensity):
    """A real message; the third point has no place."""
    columns = dict(zip("xyz", np.random.default_rng(0).uniform(-30, 30, (3, COUNT)).astype("f4"), strict=True))
    columns["x"][2] = np.nan
    columns |= dict([intensity] if intensity else [])
    points = np.zeros(COUNT, [(name, "<" + values.dtype.str[1:]) for name, values in columns.items()])
    fields = []
    for name, values in columns.items():
        points[name] = values
        datatype = DATATYPES[values.dtype.str[1:]]
        fields.append(messages.PointField(name=name, offset=points.dtype.fields[name][1], datatype=datatype, count=1))
    message = messages.PointCloud2(
        height=1, width=COUNT, fields=fields, is_bigendian=False, point_step=points.itemsize, row_step=points.nbytes,
        data=array("B", points.tobytes()), is_dense=False,
    )  # fmt: skip
    message.header.frame_id = "velo_link"
    message.header.stamp.sec = 1317000000
    return message


def serialized(cloud, stamp):
    cloud.header.stamp.sec, cloud.header.stamp.nanosec = divmod(stamp, 10**9)
    return serialization.serialize_message(cloud)


def bag_with(clouds, template, target):
    """The template bag with these clouds instead of its own."""
    clouds = iter(clouds)
    with Writer(target, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        connections = {}
        for topic, kind, stamp, data in read_bag(template):
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=jazzy())
            writer.write(connections[topic], stamp, serialized(next(clouds), stamp) if topic == POINTS else data)
    return target


@pytest.mark.parametrize("name", INTENSITIES)
def test_live_and_out_of_a_bag(name, tiny_sequence, tmp_path):
    write_bag(tiny_sequence, tmp_path / "template", tiny_sequence.frames[:1])
    cloud = live_cloud(INTENSITIES[name])
    drive = BagDrive(bag_with([cloud], tmp_path / "template", tmp_path / "bag"))
    live = decode_cloud(cloud)
    assert live.dropped == 1 and live.points.shape == (COUNT - 1, 4)
    assert live.points[:, 3].min() >= 0 and live.points[:, 3].max() <= 1
    np.testing.assert_array_equal(drive.scan("000000"), live.points)


@pytest.mark.parametrize("first", ["000000", "000001"])
def test_the_clouds_of_a_bag_have_one_scale_whichever_is_read_first(first, tiny_sequence, tmp_path):
    write_bag(tiny_sequence, tmp_path / "template", tiny_sequence.frames)
    clouds = [live_cloud(("intensity", np.linspace(0, top, COUNT, dtype=np.float32))) for top in (255, 60000, 255)]
    drive = BagDrive(bag_with(clouds, tmp_path / "template", tmp_path / "bag"))
    drive.scan(first)
    tops = [drive.scan(frame)[:, 3] for frame in drive.frames]
    np.testing.assert_allclose([top[3] for top in tops], [0.8, 1, 0.8], atol=1e-6)
