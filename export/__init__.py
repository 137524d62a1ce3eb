"""Checkpoint -> ONNX -> bundle, and the proof that torch and the runtimes agree."""
