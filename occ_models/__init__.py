"""PyTorch networks and their training; never on the robot."""
