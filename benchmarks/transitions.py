"""Random lifecycle transitions, possible and impossible ones, by id and by label; what the process holds meanwhile."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from lifecycle_msgs.msg import Transition

_POSSIBLE = {
    "unconfigured": {"configure": "inactive"},
    "inactive": {"activate": "active", "cleanup": "unconfigured"},
    "active": {"deactivate": "inactive"},
}
"""The transitions of each state, and where they lead."""
_IDS = {
    "configure": Transition.TRANSITION_CONFIGURE, "cleanup": Transition.TRANSITION_CLEANUP,
    "activate": Transition.TRANSITION_ACTIVATE, "deactivate": Transition.TRANSITION_DEACTIVATE,
}  # fmt: skip
_IMPOSSIBLE = ("create", "destroy", "transition_success", "transition_error", "no such transition")
_SHUTDOWNS = range(Transition.TRANSITION_UNCONFIGURED_SHUTDOWN, Transition.TRANSITION_ACTIVE_SHUTDOWN + 1)
_SHARE_POSSIBLE = 0.7


class Usage(NamedTuple):
    """What a process holds. transitions : how many came before"""

    transitions: int
    resident_mb: float
    threads: int
    descriptors: int


def random_transitions(change: Callable[[Transition], bool], pid: int, number: int, seed: int = 0) -> list[Usage]:
    """Ask an unconfigured node for transitions, one after the other; none of them shuts it down.

    change : asks for one and gives the node's answer; pid : of the node. Gives the usage at each time that the node is
    unconfigured again. Raises RuntimeError where an answer is not the one that the state asks for.
    """
    chance, state, usages = random.Random(seed), "unconfigured", []  # noqa: S311
    for count in range(1, number + 1):
        label = _label(chance, state)
        transition = Transition(label=label)
        if label in _IDS and chance.random() < 0.5:
            transition = Transition(id=_IDS[label])
        elif label not in _IDS and chance.random() < 0.5:
            transition = Transition(id=chance.choice([n for n in range(256) if n not in (*_SHUTDOWNS, *_IDS.values())]))
        after = _POSSIBLE[state].get(label)
        if (answer := change(transition)) != (after is not None):
            raise RuntimeError(f"transition {count}, {transition} in state {state}: the node answered {answer}")
        state = after or state
        if after == "unconfigured":
            usages.append(process_usage(pid, count))
    return usages


def process_usage(pid: int, transitions: int) -> Usage:
    """Of a process on Linux."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    status = dict(line.split(":", 1) for line in lines if ":" in line)
    descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return Usage(transitions, int(status["VmRSS"].split()[0]) / 1024, int(status["Threads"]), descriptors)


def _label(chance: random.Random, state: str) -> str:
    possible = list(_POSSIBLE[state])
    others = [label for label in (*_IDS, *_IMPOSSIBLE) if label not in possible]
    return chance.choice(possible if chance.random() < _SHARE_POSSIBLE else others)
