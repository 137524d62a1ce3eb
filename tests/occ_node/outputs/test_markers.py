"""The hand-written MarkerArray against rclpy's own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install occ_node[ros])")

from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, Quaternion, Vector3
from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from occ_core import CLASS_NAMES, COLORS
from occ_node.cdr import CdrWriter
from occ_node.outputs import markers as markers_module
from occ_node.outputs.markers import marker_array_cdr


def marker_array_ref(header, positions, labels, voxel_size, lifetime) -> MarkerArray:
    """The same as message objects."""

    def marker(label, action):
        size, (r, g, b) = float(voxel_size), (COLORS[label] / 255).tolist()
        built = Marker(header=header, ns=CLASS_NAMES[label], id=int(label), type=Marker.CUBE_LIST, action=action)
        built.pose.orientation = Quaternion(x=0.0, y=0.0, z=0.0, w=1.0)
        built.scale, built.color = Vector3(x=size, y=size, z=size), ColorRGBA(r=r, g=g, b=b, a=1.0)
        built.lifetime.sec, built.lifetime.nanosec = divmod(round(lifetime * 1e9), 10**9)
        return built

    array = MarkerArray(markers=[marker(0, Marker.DELETEALL)])
    for label in np.unique(labels):
        cubes = marker(label, Marker.ADD)
        cubes.points = [Point(x=x, y=y, z=z) for x, y, z in positions[labels == label].astype(float).tolist()]
        array.markers.append(cubes)
    return array


class RecordingWriter(CdrWriter):
    """Notes which bytes are padding: rclpy leaves those as they were in memory."""

    padding: list

    def __init__(self):
        super().__init__()
        RecordingWriter.padding = []

    def align(self, size):
        start = self.length
        super().align(size)
        RecordingWriter.padding += range(4 + start, 4 + self.length)

    def raw(self, fields):
        known, start = RecordingWriter.padding, self.length
        markers_module.write_empty_fields(RecordingWriter())  # which begins a list of its own
        RecordingWriter.padding = known + [start + index for index in RecordingWriter.padding]
        super().raw(fields)


@settings(max_examples=60, deadline=None)
@given(
    frame=st.text(max_size=12).filter(lambda text: "\x00" not in text),
    stamp=st.tuples(st.integers(0, 2**31 - 1), st.integers(0, 10**9 - 1)),
    labels=st.lists(st.integers(1, 19), max_size=40),
    voxel_size=st.sampled_from([0.1, 0.2, 0.4]),
    lifetime=st.floats(0, 1000),
)
def test_bytes_are_rclpys_own(frame, stamp, labels, voxel_size, lifetime):
    header = Header(stamp=Time(sec=stamp[0], nanosec=stamp[1]), frame_id=frame)
    labels = np.array(labels, np.uint8)
    positions = np.random.default_rng(0).uniform(-30, 60, (len(labels), 3)).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(markers_module, "CdrWriter", RecordingWriter)
        written = marker_array_cdr(header, positions, labels, voxel_size, lifetime)
    reference = marker_array_ref(header, positions, labels, voxel_size, lifetime)
    theirs = bytearray(serialize_message(reference))
    for index in RecordingWriter.padding:
        theirs[index] = 0
    assert written == bytes(theirs[: len(written)])
    assert len(theirs) - len(written) < 4  # rmw rounds the whole up
    assert deserialize_message(written, MarkerArray) == deserialize_message(bytes(theirs), MarkerArray)


def test_sixty_thousand_voxels():
    random = np.random.default_rng(0)
    labels = random.integers(1, 20, 60_000).astype(np.uint8)
    positions = random.uniform(-30, 60, (60_000, 3)).astype(np.float32)
    written = marker_array_cdr(Header(frame_id="velo_link"), positions, labels, 0.2)
    array = deserialize_message(written, MarkerArray)
    assert [len(marker.points) for marker in array.markers] == [0, *np.bincount(labels, minlength=20)[1:]]


def test_no_voxels_still_clear_the_view():
    written = marker_array_cdr(Header(), np.zeros((0, 3), np.float32), np.zeros(0, np.uint8), 0.2)
    assert [marker.action for marker in deserialize_message(written, MarkerArray).markers] == [Marker.DELETEALL]
