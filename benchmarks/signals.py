"""SIGTERM, SIGINT and SIGKILL at random moments of the node's life: `python -m benchmarks.signals --times 100`.

From 0.2 s after the start to some seconds after it is ready, with frames arriving. SIGTERM and SIGINT end it with exit
code 0 and leave nothing in shared memory; no signal leaves a process; the node starts again after the last one.
"""

import argparse
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import tqdm

from occ_node.dds import SHARED_MEMORY, free_domain, remove_dead_segments, use_loopback_profile
from occ_runtime.fake_backend import write_fake_bundle

from .measure import markdown
from .report import keep
from .robot import NodeProcess, Robot, running, wait_for

EXPECTED = {signal.SIGTERM: 0, signal.SIGINT: 0, signal.SIGKILL: -signal.SIGKILL}
"""Exit codes."""
EARLIEST, AFTER_READY = 0.2, 2.0
"""Seconds: Python itself starts before the first; the last moment, counted from ready."""


def measure(times: int, seed: int) -> dict:
    """`times` starts, each ended by one of the signals at a random moment."""
    chosen, codes, left = random.Random(seed), {number.name: Counter() for number in EXPECTED}, Counter()  # noqa: S311
    with tempfile.TemporaryDirectory() as name:
        folder, domain = Path(name), free_domain()
        parameters = {"bundle": write_fake_bundle(folder / "fake").path, "backend": "fake"}
        start = time.monotonic()
        with running(folder, domain, **parameters):
            latest = time.monotonic() - start + AFTER_READY
        robot = Robot(domain)
        try:
            for turn in tqdm.trange(times, desc="signals", leave=False, disable=None):
                number = list(EXPECTED)[turn % len(EXPECTED)]
                node = NodeProcess(folder, domain, **parameters)
                _send_frames_until(time.monotonic() + chosen.uniform(EARLIEST, latest), robot)
                segments = _segments(node.process.pid)
                code = node.stop(number)
                codes[number.name][code] += 1
                if code != EXPECTED[number]:
                    print(
                        f"turn {turn}: {number.name} ended it with code {code}:\n{node.log()[-2000:]}", file=sys.stderr
                    )
                left["processes"] += len(_processes_of_group(node.process.pid))
                if number != signal.SIGKILL:
                    left["segments"] += sum(segment.exists() for segment in segments)
            remove_dead_segments(SHARED_MEMORY)
            with running(folder, domain, **parameters) as node:
                wait_for(robot.connected, "subscriptions of the last node")
                answer = robot.seconds_to_an_answer()
            code = node.process.returncode
        finally:
            robot.close()
    return {
        "times": times, "seed": seed, "codes": {name: dict(found) for name, found in codes.items()},
        "left": dict(left), "last_answer_s": answer, "last_code": code,
    }  # fmt: skip


def _send_frames_until(end: float, robot: Robot) -> None:
    while time.monotonic() < end:
        robot.send(robot.good_frame()[1])
        time.sleep(0.05)


def _segments(pid: int) -> set[Path]:
    """The shared memory that a process made: it has the lock files open."""
    found = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = descriptor.readlink()
        except OSError:  # closed by now
            continue
        if target.parent == SHARED_MEMORY and target.name.endswith("_el") and "port" not in target.name:
            found |= {target, target.with_name(target.name.removesuffix("_el"))}
    return found


def _processes_of_group(group: int) -> list[int]:
    """Living processes of a process group."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            status = (folder / "stat").read_text() if folder.name.isdigit() else ""
        except OSError:  # ended by now
            continue
        state, _, of_group = (status.rpartition(")")[2].split() + [""] * 3)[:3]
        if of_group == str(group) and state != "Z":
            found.append(int(folder.name))
    return found


def failures(result: dict) -> list[str]:
    """What was not as it should be."""
    found = [
        f"{name}: exit code {code}, {number} times"
        for name, codes in result["codes"].items()
        for code, number in codes.items()
        if code != EXPECTED[signal.Signals[name]]
    ]
    found += [f"{number} {what} were left" for what, number in result["left"].items() if number]
    return found + ([f"the last node ended with code {result['last_code']}"] if result["last_code"] else [])


def main(argv: list[str] | None = None) -> int:
    """1 where something was not as it should be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.signals", description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=100, help="starts of the node (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="other seeds choose other moments (default %(default)s)")
    parser.add_argument("--keep", action="store_true", help="keep the figures in benchmarks/results")
    arguments = parser.parse_args(argv)
    use_loopback_profile()
    try:
        result = measure(arguments.times, arguments.seed)
    except RuntimeError as error:
        print(f"benchmarks.signals: {error}", file=sys.stderr)
        return 1
    rows = [[name, ", ".join(f"{code}: {n}" for code, n in codes.items())] for name, codes in result["codes"].items()]
    print(markdown(["signal", "exit codes, times"], rows))
    print(f"left behind: {result['left'] or 'nothing'}; the last node answered after {result['last_answer_s']:.2f} s")
    if arguments.keep:
        print(f"kept in {keep('signals', result)}")
    for text in (found := failures(result)):
        print(f"benchmarks.signals: {text}", file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
