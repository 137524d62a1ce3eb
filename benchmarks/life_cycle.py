"""Random lifecycle transitions while frames arrive at 20 Hz: `python -m benchmarks.life_cycle --transitions 1000`.

Possible transitions are to succeed, the others to be refused; see `transitions`. Neither threads nor descriptors nor
memory may grow, and at the end a frame is answered.
"""

import argparse
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import tqdm
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState

from occ_node.dds import free_domain, use_loopback_profile
from occ_runtime.fake_backend import write_fake_bundle

from .measure import markdown
from .report import keep
from .robot import NODE, PATIENCE, NodeProcess, Robot, wait_for
from .transitions import Usage, random_transitions

FRAME_PERIOD = 0.05
GROWTH_MB = 20.0
"""That memory may grow by, from the first quarter of the run to the last."""


class Manager:
    """Calls the node's change_state service."""

    def __init__(self, robot: Robot, node: NodeProcess):
        self._node = node
        self._client = robot.node.create_client(ChangeState, f"{NODE}/change_state")
        wait_for(lambda: self._client.service_is_ready() or not node.alive, "the lifecycle services")

    def change(self, transition: Transition) -> bool:
        """Whether the node did it. Raises RuntimeError where it ended."""
        future = self._client.call_async(ChangeState.Request(transition=transition))
        wait_for(lambda: future.done() or not self._node.alive, f"an answer to {transition}")
        if not self._node.alive:
            raise RuntimeError(f"the node ended at {transition}; log: {self._node.log()[-500:]}")
        return future.result().success


def measure(transitions: int, seed: int) -> dict:
    """One node, taken through its states."""
    with tempfile.TemporaryDirectory() as name:
        folder, domain = Path(name), free_domain()
        bundle = write_fake_bundle(folder / "fake").path
        node = NodeProcess(folder, domain, bundle=bundle, backend="fake", autostart="false")
        robot, stopped = Robot(domain), threading.Event()
        camera = threading.Thread(target=_send_frames, args=(robot, stopped))
        camera.start()
        try:
            usages = _disturb(node, Manager(robot, node), robot, transitions, seed)
        finally:
            stopped.set()
            camera.join(PATIENCE)
            robot.close()
            code = node.stop()
    return {"transitions": transitions, "seed": seed, "exit_code": code, "usage": _quarters(usages)}


def _send_frames(robot: Robot, stopped: threading.Event) -> None:
    while not stopped.wait(FRAME_PERIOD):
        robot.send(robot.good_frame()[1])


def _disturb(node: NodeProcess, manager: Manager, robot: Robot, transitions: int, seed: int) -> list[Usage]:
    """Ends with a frame that is answered in the state active. Raises RuntimeError."""
    with tqdm.tqdm(total=transitions, desc="transitions", leave=False, disable=None) as bar:

        def change(transition: Transition) -> bool:
            bar.update()
            return manager.change(transition)

        usages = random_transitions(change, node.process.pid, transitions, seed)
    for number in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
        manager.change(Transition(id=number))  # refused where the node is beyond it already
    count = len(robot.answered)
    wait_for(lambda: len(robot.answered) > count, "a frame answered after the last transition")
    return usages


def _quarters(usages: list[Usage]) -> dict[str, tuple[float, float]]:
    """Medians of the first and the last quarter of what was used in the state unconfigured, without the first fifth,
    in which everything that is loaded once is loaded.
    """
    usages = usages[len(usages) // 5 :]
    if not usages:
        raise RuntimeError("the node was never unconfigured again; ask for more transitions")
    part = -(-len(usages) // 4)
    return {
        name: (float(np.median(first)), float(np.median(last)))
        for name in ("resident_mb", "threads", "descriptors")
        for first, last in [[[getattr(usage, name) for usage in some] for some in (usages[:part], usages[-part:])]]
    }


def failures(result: dict) -> list[str]:
    """What grew or ended badly."""
    found = [
        f"{name} grew from {first:g} to {last:g}"
        for name, (first, last) in result["usage"].items()
        if last > first + (GROWTH_MB if name == "resident_mb" else 0)
    ]
    return found + ([f"exit code {result['exit_code']}"] if result["exit_code"] else [])


def main(argv: list[str] | None = None) -> int:
    """1 where something was not as it should be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.life_cycle", description=__doc__.splitlines()[0])
    parser.add_argument("--transitions", type=int, default=1000, help="default %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="other seeds choose others (default %(default)s)")
    parser.add_argument("--keep", action="store_true", help="keep the figures in benchmarks/results")
    arguments = parser.parse_args(argv)
    use_loopback_profile()
    try:
        result = measure(arguments.transitions, arguments.seed)
    except RuntimeError as error:
        print(f"benchmarks.life_cycle: {error}", file=sys.stderr)
        return 1
    rows = [[name, *(f"{value:g}" for value in quarters)] for name, quarters in result["usage"].items()]
    print(markdown([f"unconfigured again, of {result['transitions']}", "first quarter", "last quarter"], rows))
    if arguments.keep:
        print(f"kept in {keep('life_cycle', result)}")
    for text in (found := failures(result)):
        print(f"benchmarks.life_cycle: {text}", file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
