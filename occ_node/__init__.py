"""Semantic occupancy for ROS 2: what runs on the robot, without torch."""

__version__ = "0.2.0"
