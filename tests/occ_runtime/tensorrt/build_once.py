"""One of two processes that want the same engine: python -m ...build_once first|second BUNDLE CACHE SIGNALS"""

import sys
import time
from pathlib import Path

import pytest

from occ_runtime import BackendOptions, Bundle
from occ_runtime.tensorrt import TensorRtBackend

from .conftest import install


def wait_for(file: Path) -> None:
    end = time.monotonic() + 240
    while not file.exists():
        assert time.monotonic() < end, f"no {file}"
        time.sleep(0.01)


def main(role: str, bundle: str, cache: str, signals: str) -> None:
    building, waiting = Path(signals) / "building", Path(signals) / "waiting"

    def build() -> None:
        building.touch()
        wait_for(waiting)

    def report(text: str) -> None:
        print(text)
        if "waiting for it" in text:
            waiting.touch()

    with pytest.MonkeyPatch.context() as patch:
        script = install(patch, "10.3")
        script.build = build
        if role == "second":
            wait_for(building)
        TensorRtBackend(Bundle.load(bundle), BackendOptions(engine_cache=cache, report=report)).close()
        print(f"built {len(script.built)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
