"""The writer against rclpy, at every alignment that strings of any length lead to."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install occ_node[ros])")

from rclpy.serialization import deserialize_message
from sensor_msgs.msg import JointState

from occ_node.cdr import CdrWriter

_doubles = st.lists(st.floats(allow_nan=False), max_size=5)


@given(
    frame=st.text(max_size=9).filter(lambda text: "\x00" not in text),
    names=st.lists(st.text("abc", max_size=9), max_size=4),
    position=_doubles, velocity=_doubles,
)  # fmt: skip
def test_strings_and_sequences_of_doubles(frame, names, position, velocity):
    writer = CdrWriter()
    writer.pack("i", -5)
    writer.pack("I", 7)
    writer.string(frame)
    writer.pack("I", len(names))
    for name in names:
        writer.string(name)
    writer.sequence(np.array(position, np.float64))
    writer.sequence(np.array(velocity, ">f8"))
    writer.pack("I", 0)
    message = deserialize_message(writer.getvalue(), JointState)
    assert (message.header.stamp.sec, message.header.stamp.nanosec, message.header.frame_id) == (-5, 7, frame)
    assert (message.name, list(message.position), list(message.velocity)) == (names, position, velocity)
