import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WATCHED = """
import json, socket, sys

hosts = []

def recorded(kind, *address):
    hosts.append(repr(address))
    raise OSError("no network in this test")

socket.socket.connect = recorded
socket.socket.connect_ex = recorded
socket.getaddrinfo = lambda *address, **options: recorded(None, *address)
"""


def run(code, home):
    """Run in a process with an empty home folder and no network; gives the addresses that it asked for."""
    home.mkdir()
    # Automatic builds are left out by openvino-telemetry itself: they must not hide what a user would get.
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "OCC_NODE_DATA", "LD_LIBRARY_PATH")}
    end = "from concurrent.futures import thread; thread._python_exit(); print(json.dumps(hosts))"
    result = subprocess.run(
        [sys.executable, "-c", f"{WATCHED}\n{code}\n{end}"],
        env=kept | {"HOME": str(home), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_a_backend_sends_nothing_and_writes_nothing_to_the_home_folder(tmp_path, bundle, name):
    code = f"""
from occ_runtime import Bundle, load_backend
load_backend(Bundle.load({str(bundle.path)!r}), {name!r}).close()
assert {name!r} in sys.modules
"""
    assert run(code, tmp_path / "home") == []
    assert not list((tmp_path / "home").rglob("*"))


def test_nor_does_the_export(tmp_path):
    code = "import export.parity, export.quantisation; assert {'openvino', 'onnxruntime'} <= set(sys.modules)"
    assert run(code, tmp_path / "home") == []
    assert not [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
