"""Child processes that end cleanly even if their parent is killed."""

import ctypes
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

from .errors import CommandError, RunFailed

_PR_SET_PDEATHSIG = 1


def need_rclpy(loopback: bool = False) -> None:
    """Raise CommandError with the way to install it where rclpy is missing; `loopback` sets the Fast DDS profile."""
    if importlib.util.find_spec("rclpy") is None:
        raise CommandError(
            "rclpy is not installed here; source your ROS 2 (source /opt/ros/jazzy/setup.bash), "
            "or without one: pip install 'occ_node[ros]'"
        )
    if loopback:
        from occ_node.dds import use_loopback_profile

        use_loopback_profile()


def own_environment() -> dict[str, str]:
    """The environment for processes that talk only to each other: loopback, and a free ROS domain."""
    from occ_node.dds import free_domain, use_loopback_profile

    use_loopback_profile()
    return {**os.environ, "ROS_DOMAIN_ID": str(free_domain()), "PYTHONUNBUFFERED": "1"}


@contextmanager
def stops_like_ctrl_c():
    """In the block, SIGTERM and SIGHUP raise KeyboardInterrupt, so that children are ended first."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Child:
    """One process in its own process group, with its output in a log file. It gets SIGINT when its parent dies."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str], log: Path):
        self.name, self.log = name, log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as stream:
            self._process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT,
                start_new_session=True, preexec_fn=_end_with(os.getpid()),
            )  # fmt: skip

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def check(self) -> None:
        """Raises RunFailed, with the end of its log, where it has ended."""
        if self.exit_code is not None:
            raise RunFailed(
                f"the {self.name} process ended with code {self.exit_code}: {self.last_line()} (log: {self.log})"
            )

    def last_line(self) -> str:
        """The last line of its log."""
        lines = [line.strip() for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1] if lines else "no output"

    def stop(self, patience: float = 30.0) -> int:
        """SIGINT, then SIGTERM, then SIGKILL; gives the exit code."""
        self._signal(signal.SIGINT)
        for harder in (signal.SIGTERM, signal.SIGKILL):
            try:
                return self._process.wait(patience)
            except subprocess.TimeoutExpired:
                self._signal(harder)
                patience = 10.0
        return self._process.wait()

    def _signal(self, number: int) -> None:
        if self.exit_code is None:
            os.killpg(self._process.pid, number)  # its own group: start_new_session


def _end_with(parent: int) -> Callable[[], None] | None:
    """What the child runs before its program: ask the kernel for SIGINT when the parent dies."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def before_exec() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
        if os.getppid() != parent:  # the parent has already died
            os._exit(1)

    return before_exec


class JsonLines:
    """A JSON-lines file that another process writes. lines : all that were read so far"""

    def __init__(self, path: Path):
        self.path = path
        self.lines: list[dict] = []
        self._offset = 0

    def update(self) -> list[dict]:
        """Read and return the lines written since the last call."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as stream:
            stream.seek(self._offset)
            data = stream.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        new = [json.loads(line) for line in whole.splitlines()]
        self.lines += new
        return new


def wait_until(condition: Callable[[], bool], what: str, timeout: float, children: list[Child]) -> None:
    """Wait for a condition. Raises RunFailed where a child ends or the time is over."""
    deadline = time.monotonic() + timeout
    while not condition():
        for child in children:
            child.check()
        if time.monotonic() > deadline:
            raise RunFailed(f"{what}: not within {timeout:g} s; the node's last line: {children[0].last_line()}")
        time.sleep(0.05)
