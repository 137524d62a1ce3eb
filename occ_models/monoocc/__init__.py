"""MonoOcc: a camera alone to semantic occupancy."""
