"""Every kind of malformed message to a live node; `python -m benchmarks.malformed` sends each a hundred times."""

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from benchmarks import malformed
from occ_node.dds import use_loopback_profile

use_loopback_profile()


def test_sixty_kinds_are_counted_and_the_node_answers_after_each():
    result = malformed.measure(times=3)
    assert result["kinds"] == 60
    assert result["counted"] >= 60
    assert result["printed_bytes"] < malformed.LOG
