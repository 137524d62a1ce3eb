"""Bags: ROS 2 (mcap, sqlite3) and ROS 1 read alike, as messages or as a drive; and drives written as bags."""

from .calibration import bag_calibration, bag_rig
from .drive import BagDrive, BagOptions
from .reader import BagError, bag_topics, read_bag
from .topics import Topics, choose_topics
from .writer import EPOCH_NS, write_bag

__all__ = [
    "EPOCH_NS", "BagDrive", "BagError", "BagOptions", "Topics", "bag_calibration", "bag_rig", "bag_topics",
    "choose_topics", "read_bag", "write_bag",
]  # fmt: skip
