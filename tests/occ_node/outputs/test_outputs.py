"""The list of outputs."""

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install occ_node[ros])")

from occ_node import topics
from occ_node.outputs import OUTPUTS

NAMES = [output.name for output in OUTPUTS]


def test_the_semantic_grid_is_published_first_and_the_voxels_next():
    """It has no header: the recorder's readers know its frame by this order."""
    assert NAMES[:2] == [topics.SEMANTIC_GRID.name, topics.VOXELS.name]


@pytest.mark.parametrize(
    "topic", [*topics.RECORDED, topics.OBSTACLES, topics.OVERLAY, *topics.OF_MAP], ids=lambda topic: topic.name
)
def test_each_topic_has_the_type_that_other_processes_expect(topic):
    (output,) = [output for output in OUTPUTS if output.name == topic.name]
    assert output.message is topics.message_class(topic.type)


def test_names_are_unique():
    assert len(set(NAMES)) == len(NAMES)
