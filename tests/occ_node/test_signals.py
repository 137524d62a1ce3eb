"""Signals at any moment of the start: no traceback, exit code 0."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install occ_node[ros])")

from occ_node.dds import free_domain

from .live import PATIENCE, wait_for

ROOT = Path(__file__).parents[2]
ENTRIES = {
    "module": [sys.executable, "-m", "occ_node.node"],
    "verb": [sys.executable, "-m", "occ_cli.node", "run"],
    "executable": [str(ROOT / "resource/lib/occ_node")],
}
SIGNAL_BEFORE_THE_EXECUTOR = """
import os, sys
from occ_node import node, spin

make = spin.SingleThreadedExecutor

def signalled(**options):
    os.kill(os.getpid(), {number})
    return make(**options)

spin.SingleThreadedExecutor = signalled
sys.exit(node.main(sys.argv))
"""
SIGNAL_WHILE_SOMETHING_IS_MADE = """
import signal

from occ_node.signals import interrupt_on_signals, interrupted_later

interrupt_on_signals()
try:
    with interrupted_later():
        signal.raise_signal({number})
        print("whole")
    print("never")
except KeyboardInterrupt:
    print("interrupted")
interrupt_on_signals()
try:
    signal.raise_signal({number})
    print("never")
except KeyboardInterrupt:
    print("interrupted")
"""
RULES = ["--ros-args", "-p", "backend:=fake"]


@pytest.fixture
def start(tmp_path, fake_bundle):
    """Start a node; gives the process, and a function that reads its output."""
    processes = []

    def run(command):
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = os.environ | {"ROS_DOMAIN_ID": str(free_domain()), "PYTHONPATH": str(ROOT), "PATH": path}
        log = tmp_path / "log"
        with log.open("wb") as stream:
            rules = [*RULES, "-p", f"bundle:={fake_bundle}"]
            process = subprocess.Popen([*command, *rules], stdout=stream, stderr=stream, env=environment, cwd=tmp_path)
        processes.append(process)
        return process, log.read_text

    yield run
    for process in processes:
        process.kill()
        process.wait()


def _loaded(process, library: str) -> bool:
    assert process.poll() is None
    return library in Path(f"/proc/{process.pid}/maps").read_text()


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc to see what a process has loaded")
@pytest.mark.parametrize("library", ["_rclpy_pybind11", "libllvmlite", "cv2.abi3"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("entry", ENTRIES)
def test_a_signal_during_the_imports(start, entry, number, library):
    process, output = start(ENTRIES[entry])
    wait_for(lambda: _loaded(process, library), library, pause=0.001)
    process.send_signal(number)
    assert process.wait(PATIENCE) == 0
    assert output() == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("line", ["Settings(", "ready after"])
def test_two_signals_after_a_line_of_the_log(start, number, line):
    process, output = start(ENTRIES["module"])
    wait_for(lambda: line in output(), line, pause=0.001)
    process.send_signal(number)
    process.send_signal(number)
    assert process.wait(PATIENCE) == 0
    assert "Traceback" not in output() and "ERROR" not in output() and "ignored" not in output()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_the_executor_is_made(start, number):
    process, output = start([sys.executable, "-c", SIGNAL_BEFORE_THE_EXECUTOR.format(number=int(number))])
    assert process.wait(PATIENCE) == 0
    assert "Traceback" not in output() and "ERROR" not in output() and "ignored" not in output()
    assert "ready after" in output()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_for_what_must_not_be_half_made(number):
    command = [sys.executable, "-c", SIGNAL_WHILE_SOMETHING_IS_MADE.format(number=int(number))]
    assert subprocess.check_output(command, text=True, cwd=ROOT) == "whole\ninterrupted\ninterrupted\n"
