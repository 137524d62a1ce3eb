"""Checkpoint -> ONNX -> bundle, and the proof that torch and the runtimes agree."""

import occ_runtime  # noqa: F401  # before onnxruntime and openvino: it switches their telemetry off
