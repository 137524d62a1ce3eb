"""rclpy with its field checks on: they are read when the message packages are imported."""

import os

os.environ["ROS_PYTHON_CHECK_FIELDS"] = "1"
