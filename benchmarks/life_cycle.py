"""Random lifecycle transitions while frames arrive at 20 Hz: `python -m benchmarks.life_cycle --transitions 1000`.

The node's change_state service gets transitions by id and by label, one in five not allowed in the current state. Those
are to be refused, the others to succeed, and neither threads nor descriptors nor memory may grow.
"""

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tqdm
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState

from occ_node.dds import free_domain, use_loopback_profile
from occ_runtime.fake_backend import write_fake_bundle

from .measure import markdown
from .report import keep
from .robot import NODE, PATIENCE, NodeProcess, Robot, running, wait_for

FRAME_PERIOD = 0.05
GROWTH_MB = 20.0
"""That memory may grow by, from the first quarter of the run to the last."""


@dataclass(frozen=True)
class Step:
    """A transition: the state that it leads from, and to."""

    label: str
    number: int
    start: str
    end: str


STEPS = (
    Step("configure", Transition.TRANSITION_CONFIGURE, "unconfigured", "inactive"),
    Step("cleanup", Transition.TRANSITION_CLEANUP, "inactive", "unconfigured"),
    Step("activate", Transition.TRANSITION_ACTIVATE, "inactive", "active"),
    Step("deactivate", Transition.TRANSITION_DEACTIVATE, "active", "inactive"),
)


class Manager:
    """Calls the node's lifecycle services."""

    def __init__(self, robot: Robot, node: NodeProcess):
        self._node = node
        self._change = robot.node.create_client(ChangeState, f"{NODE}/change_state")
        self._get = robot.node.create_client(GetState, f"{NODE}/get_state")
        wait_for(lambda: self._change.service_is_ready() and self._get.service_is_ready(), "the lifecycle services")

    def change(self, number: int = 0, label: str = "") -> bool:
        """Whether the node did it."""
        request = ChangeState.Request(transition=Transition(id=number, label=label))
        return self._answer(self._change, request).success

    def state(self) -> str:
        """The label of the node's state."""
        return self._answer(self._get, GetState.Request()).current_state.label

    def _answer(self, client, request):
        future = client.call_async(request)
        wait_for(lambda: future.done() or not self._node.alive, f"an answer of {client.srv_name}")
        if not self._node.alive:
            raise RuntimeError(
                f"the node ended with code {self._node.process.returncode}; log: {self._node.log()[-500:]}"
            )
        return future.result()


def measure(transitions: int, seed: int) -> dict:
    """One node, taken through its states."""
    with tempfile.TemporaryDirectory() as name:
        folder, domain = Path(name), free_domain()
        bundle = write_fake_bundle(folder / "fake").path
        with running(folder, domain, bundle=bundle, backend="fake") as node:
            robot, stopped = Robot(domain), threading.Event()
            camera = threading.Thread(target=_send_frames, args=(robot, stopped))
            camera.start()
            try:
                result = _disturb(node, robot, transitions, random.Random(seed))  # noqa: S311  not for secrets
                wait_for(robot.connected, "subscriptions after the last activation")
                count = len(robot.answered)
                wait_for(lambda: len(robot.answered) > count, "a frame answered after the last transition")
            finally:
                stopped.set()
                camera.join(PATIENCE)
                robot.close()
            code = node.stop()
    return {"seed": seed, "exit_code": code, **result}


def _send_frames(robot: Robot, stopped: threading.Event) -> None:
    while not stopped.wait(FRAME_PERIOD):
        robot.send(robot.good_frame()[1])


def _disturb(node: NodeProcess, robot: Robot, transitions: int, chosen: random.Random) -> dict:
    """Ends in the state active. Raises RuntimeError where the node does not do what a transition asks for."""
    manager, state, usage, done = Manager(robot, node), "active", [], Counter()
    for _ in tqdm.trange(transitions, desc="transitions", leave=False, disable=None):
        allowed = [step for step in STEPS if step.start == state]
        refused = [step for step in STEPS if step.start != state]
        step = chosen.choice(refused if chosen.random() < 0.2 else allowed)
        by = chosen.choice(["id", "label"])
        success = manager.change(**({"number": step.number} if by == "id" else {"label": step.label}))
        if success != (step in allowed):
            raise RuntimeError(f"{step.label} by {by} in {state}: success {success}; log: {node.log()[-500:]}")
        state = step.end if success else state
        if (found := manager.state()) != state:
            raise RuntimeError(f"{step.label} by {by}: the node is {found}; expected {state}")
        done["done" if success else "refused"] += 1
        if state == "unconfigured" and success:
            usage.append(node.usage())
        time.sleep(chosen.uniform(0, 2 * FRAME_PERIOD))  # so that frames come at any moment of it
    for step in (step for label in ("configure", "activate") for step in STEPS if step.label == label):
        if state == step.start and not manager.change(step.number):
            raise RuntimeError(f"{step.label} at the end failed; log: {node.log()[-500:]}")
        state = step.end if state == step.start else state
    return {"transitions": dict(done), "usage": _quarters(usage)}


def _quarters(usage: list[dict[str, float]]) -> dict[str, tuple[float, float]]:
    """Medians of the first and the last quarter of what was used in the state unconfigured."""
    if not usage:
        raise RuntimeError("the node was never unconfigured; ask for more transitions")
    part = -(-len(usage) // 4)
    return {
        name: tuple(float(np.median([entry[name] for entry in entries])) for entries in (usage[:part], usage[-part:]))
        for name in usage[0]
    }


def failures(result: dict) -> list[str]:
    """What grew or ended badly."""
    found = [
        f"{name} grew from {first:g} to {last:g}"
        for name, (first, last) in result["usage"].items()
        if last > first + (GROWTH_MB if name == "memory_mb" else 0)
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
    print(", ".join(f"{number} transitions {what}" for what, number in result["transitions"].items()))
    print(markdown(["in the state unconfigured", "first quarter", "last quarter"], rows))
    if arguments.keep:
        print(f"kept in {keep('life_cycle', result)}")
    for text in (found := failures(result)):
        print(f"benchmarks.life_cycle: {text}", file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
