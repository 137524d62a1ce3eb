"""Player, node and recorder as three processes: a bag goes in, the node's recorded outputs come out."""

import shutil
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from occ_core.files import write_yaml
from occ_node.topics import VOXELS

from ..errors import RunFailed
from ..processes import Child, JsonLines, own_environment, stops_like_ctrl_c, wait_until
from .drive import Drive

_READY_TIMEOUT = 180.0  # the first start compiles kernels and the engine
_SUBSCRIBER_TIMEOUT = 60.0
_PLAYER_TIMEOUT = 120.0
_REPORT_TIMEOUT = 60.0
_STOP_TIMEOUT = 30.0
_WRITE_TIMEOUT = 300.0


@dataclass(frozen=True)
class LiveRun:
    """What to run. parameters: of the node; folder: gets outputs.mcap and logs/."""

    drive: Drive
    parameters: dict
    folder: Path
    rate: float = 1.0
    loops: int = 1

    @property
    def topics(self) -> dict[str, str]:
        """The bag's topics that the node subscribes to, by the names of its inputs."""
        return {name: topic for name, topic in self.drive.topics._asdict().items() if topic is not None}

    @property
    def frame_topic(self) -> str:
        """The topic whose messages are the frames, and whose stamps the outputs carry."""
        return self.drive.topics.frames


@dataclass(frozen=True)
class Recorded:
    """The lines of player and recorder (see occ_node.player, occ_node.recorder), and the mcap of the node's outputs."""

    plays: list[dict]
    arrivals: list[dict]
    outputs: Path
    exit_codes: dict[str, int]

    def diagnostics(self) -> dict:
        """The node's last status: {name, level, message, values}."""
        return next((s for line in reversed(self.arrivals) if (s := node_status(line))), {"values": {}, "message": ""})


def live_run(run: LiveRun) -> Recorded:
    """Run the three processes until the bag ends. Raises RunFailed; all three are ended in any case."""
    logs = run.folder / "logs"
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    plays, arrivals = JsonLines(logs / "played.jsonl"), JsonLines(logs / "arrivals.jsonl")
    outputs = run.folder / "outputs.mcap"
    outputs.unlink(missing_ok=True)
    parameter_file = write_yaml(logs / "parameters.yaml", {"/**": {"ros__parameters": run.parameters}})
    environment = own_environment()

    with stops_like_ctrl_c(), ExitStack() as stack:

        def start(name: str, *command: str, patience: float = _STOP_TIMEOUT) -> Child:
            child = Child(name, [sys.executable, "-m", *command], environment, logs / f"{name}.log")
            stack.callback(child.stop, patience)
            return child

        record = ["occ_node.recorder", str(outputs), "--arrivals", str(arrivals.path)]
        recorder = start("recorder", *record, patience=_WRITE_TIMEOUT)
        node = start("node", "occ_node.node", *_node_arguments(run.topics, parameter_file))
        _wait_for_node(arrivals, [node, recorder])
        player = start("player", "occ_cli.node", *_player_arguments(run, plays.path))
        _show_progress(run, plays, arrivals, player, [node, recorder])
        _wait_for_last_report(plays, arrivals, run.frame_topic, [node, recorder])
        codes = {"player": player.stop(), "node": node.stop(), "recorder": recorder.stop(_WRITE_TIMEOUT)}
    arrivals.update()
    if codes["recorder"]:
        raise RunFailed(f"the recorder could not write {outputs}: {recorder.last_line()} (log: {recorder.log})")
    return Recorded(plays.lines, arrivals.lines, outputs, codes)


def _node_arguments(topics: dict[str, str], parameter_file: Path) -> list[str]:
    remaps = [item for name, topic in topics.items() for item in ("-r", f"{name}:={topic}")]
    return ["--ros-args", "--params-file", str(parameter_file), *remaps]


def _player_arguments(run: LiveRun, log: Path) -> list[str]:
    topics = run.topics.values()
    return [
        "play", str(run.drive.bag), "--rate", str(run.rate), "--loop", str(run.loops), "--log", str(log),
        "--topics", *topics, "--need", *topics, "--wait", str(_SUBSCRIBER_TIMEOUT),
    ]  # fmt: skip


def _wait_for_node(arrivals: JsonLines, children: list[Child]) -> None:
    def ready() -> bool:
        arrivals.update()
        matched = any(line["event"] == "matched" for line in arrivals.lines)
        return matched and any(node_status(line) for line in arrivals.lines)

    with tqdm(total=0, desc="node starts", bar_format="{desc} {elapsed}", leave=False):
        wait_until(ready, "the node to be ready", _READY_TIMEOUT, children)


def _show_progress(run: LiveRun, plays: JsonLines, arrivals: JsonLines, player: Child, children: list[Child]) -> None:
    """Until the player has ended."""
    answered = 0
    children = [*children, player]
    wait_until(lambda: bool(plays.update()) or player.exit_code == 0, "the player to start", _PLAYER_TIMEOUT, children)
    started = _played(plays.lines, run.frame_topic)
    with tqdm(total=run.drive.frames * run.loops, desc="drive", unit="frame", smoothing=0) as bar:
        bar.update(started)
        while (code := player.exit_code) is None:
            for child in children[:-1]:
                child.check()
            time.sleep(0.1)
            answered += sum(line.get("output") == VOXELS.name for line in arrivals.update())
            bar.update(_played(plays.update(), run.frame_topic))
            bar.set_postfix(answered=answered, refresh=False)
        bar.update(_played(plays.update(), run.frame_topic))
    if code:
        player.check()


def _played(lines: list[dict], topic: str) -> int:
    return sum(line.get("topic") == topic for line in lines)


def _wait_for_last_report(plays: JsonLines, arrivals: JsonLines, frames: str, children: list[Child]) -> None:
    """Until the node has reported its counters a second after the last frame was played."""
    end = max((line["published"] for line in plays.lines if line.get("topic") == frames), default=0) + 1.0

    def reported() -> bool:
        arrivals.update()
        return any(line["mono"] > end and node_status(line) for line in reversed(arrivals.lines))

    wait_until(reported, "the node's last report", _REPORT_TIMEOUT, children)


def node_status(line: dict) -> dict | None:
    """The node's own status in a line of diagnostics, once it is up."""
    if line["event"] != "diagnostics":
        return None
    return next((s for s in line["status"] if "published" in s["values"]), None)
