"""Arrays -> the ROS messages that the node publishes."""
