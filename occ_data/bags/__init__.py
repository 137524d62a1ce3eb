"""Bags: ROS 2 (mcap, sqlite3) and ROS 1 read alike, and the way between a bag and a SemanticKITTI sequence."""

from .from_bag import TF_TYPE, Conversion, bag_to_sequence, choose_topics
from .reader import BagError, bag_topics, read_bag
from .to_bag import EPOCH_NS, sequence_to_bag

__all__ = [
    "EPOCH_NS", "TF_TYPE", "BagError", "Conversion", "bag_to_sequence", "bag_topics", "choose_topics", "read_bag",
    "sequence_to_bag",
]  # fmt: skip
