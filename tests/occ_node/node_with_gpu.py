"""The node on a machine whose GPU and TensorRT are stand-ins; a build ends once the file $BUILD_UNTIL is there."""

import os
import sys
import time
from pathlib import Path

import pytest

from occ_node.node import main

from ..occ_runtime.tensorrt.conftest import install


def build() -> None:
    while not Path(os.environ["BUILD_UNTIL"]).exists():
        time.sleep(0.01)


if __name__ == "__main__":
    with pytest.MonkeyPatch.context() as patch:
        script = install(patch, "10.3")
        script.build = build
        script.builder_refuses = os.environ.get("BUILDER_REFUSES", "")
        code = main()
    sys.exit(code)
