"""MonoOcc: semantic occupancy from a camera only."""
