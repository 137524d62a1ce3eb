"""The runtimes send nothing about their use, and write no id for it into the home folder."""

import os
import sys


def switch_off_telemetry() -> None:
    """Must come before the first import of openvino and onnxruntime: both start to report on import.

    openvino does so through the package openvino-telemetry. Where that cannot be imported, it uses a stub of its own
    that does nothing. ONNX Runtime (1.29 and later, on Linux too) is asked by its environment variable; a value that
    the user has set is kept.
    """
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # None: importing it raises ImportError
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
