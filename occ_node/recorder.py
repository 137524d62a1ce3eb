"""Records the node's outputs: every message with its time of arrival on the monotonic clock, then an mcap file.

To leave the processor to the node, little is done while messages arrive: a thread of low priority writes the serialised
bytes to a spool file, and each message is a line of JSON in the arrivals file. The mcap is written and compressed from
the spool at the end.

The messages are kept in the order of arrival, with the time at which each was published (`source`). For a
semantic_grid, which has no stamp, that is the only link to its frame; see `outputs.OUTPUTS`.
"""

import argparse
import json
import os
import queue
import shutil
import signal
import struct
import sys
import threading
import time
from pathlib import Path

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.qos import HistoryPolicy, QoSProfile
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from .topics import DIAGNOSTICS, GRID, MARKERS, RECORDED, VOXELS, message_class

_STAMP_AT = {VOXELS.name: 4, GRID.name: 4, MARKERS.name: 8}
"""Position of the header's stamp in the CDR bytes; in a MarkerArray the first marker follows the count."""


def header_stamp(output: str, cdr: bytes) -> int | None:
    """Stamp in ns of a serialised output; None where its type has none, or the array is empty."""
    at = _STAMP_AT.get(output)
    if at is None or len(cdr) < at + 8 or (output == MARKERS.name and cdr[4:8] == bytes(4)):
        return None
    seconds, nanoseconds = struct.unpack_from("<iI", cdr, at)
    return seconds * 1_000_000_000 + nanoseconds


class Recorder:
    """Subscribes to the outputs of one node; see the module.

    Lines of the arrivals file: {"event": "matched"} once every output has a publisher; {"event": "message", output,
    mono, stamp, source, size, at}; {"event": "diagnostics", mono, status: [...]}.
    """

    def __init__(self, node, source: str, arrivals: Path, spool: Path):
        self.spool_path = spool
        self._lines = arrivals.open("w", buffering=1)
        self._spool = spool.open("wb")
        self._offset = 0
        self._queue: queue.SimpleQueue = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write, name="spool")
        self._writer.start()
        profile = QoSProfile(depth=100, history=HistoryPolicy.KEEP_LAST)
        self._subscriptions = [
            node.create_subscription(
                message_class(topic.type), f"{source}/{topic.name}", self._callback(topic.name), profile, raw=True
            )
            for topic in RECORDED
        ]
        self._subscriptions.append(
            node.create_subscription(DiagnosticArray, DIAGNOSTICS, self._on_diagnostics, profile)
        )
        self._matched = False

    def tick(self) -> None:
        """Write the line "matched" once every topic has a publisher."""
        if not self._matched and all(s.get_publisher_count() > 0 for s in self._subscriptions):
            self._matched = True
            self._line(event="matched")

    def close(self) -> None:
        """Write everything that arrived to disk."""
        self._queue.put(None)
        self._writer.join()
        self._spool.close()
        self._lines.close()

    def _callback(self, output: str):
        def on_message(cdr: bytes, info: dict) -> None:
            mono = time.monotonic()
            self._queue.put(cdr)
            self._line(
                event="message", mono=mono, output=output, stamp=header_stamp(output, cdr), source=_source(info),
                size=len(cdr), at=self._offset,
            )  # fmt: skip
            self._offset += len(cdr)

        return on_message

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        status = [
            {
                "name": s.name,
                "level": int.from_bytes(s.level, "little") if isinstance(s.level, bytes) else int(s.level),
                "message": s.message,
                "values": {v.key: v.value for v in s.values},
            }
            for s in message.status
        ]
        self._line(event="diagnostics", mono=time.monotonic(), status=status)

    def _line(self, **line) -> None:
        self._lines.write(json.dumps({"mono": time.monotonic(), **line}) + "\n")

    def _write(self) -> None:
        if hasattr(os, "setpriority"):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        while (data := self._queue.get()) is not None:
            self._spool.write(data)


def write_mcap(path: Path, source: str, arrivals: Path, spool: Path) -> int:
    """Write the spooled messages as one compressed mcap file, which appears complete or not at all; gives their number.

    Log times start at the first header stamp, so that a viewer shows the file at the time of the input bag, and keep
    increasing where the bag was played in a loop.
    """
    lines = [json.loads(line) for line in arrivals.read_text().splitlines()]
    messages = [line for line in lines if line["event"] == "message"]
    anchor = next((m for m in messages if m["stamp"]), None)
    offset = (anchor["stamp"] - round(anchor["mono"] * 1e9)) if anchor else 0
    folder = path.with_name(path.name + ".tmp")
    shutil.rmtree(folder, ignore_errors=True)
    store = get_typestore(Stores.ROS2_JAZZY)
    writer = Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP)
    writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    with writer, spool.open("rb") as data:
        connections = {
            topic.name: writer.add_connection(
                f"{source}/{topic.name}", topic.type, typestore=store, offered_qos_profiles=[_RELIABLE]
            )
            for topic in RECORDED
        }
        for message in messages:
            data.seek(message["at"])
            stamp = round(message["mono"] * 1e9) + offset
            writer.write(connections[message["output"]], stamp, data.read(message["size"]))
    os.replace(next(folder.glob("*.mcap")), path)
    shutil.rmtree(folder)
    return len(messages)


_FOREVER = QosTime(2147483647, 4294967295)
_RELIABLE = Qos(
    QosHistory.KEEP_LAST, 10, QosReliability.RELIABLE, QosDurability.VOLATILE, _FOREVER, _FOREVER,
    QosLiveliness.AUTOMATIC, _FOREVER, False,
)  # fmt: skip


def _source(info: dict) -> int:
    return int(info["source_timestamp"])


def main(argv: list[str] | None = None) -> int:
    """Record until SIGINT or SIGTERM, then write the mcap."""
    parser = argparse.ArgumentParser(prog="python -m occ_node.recorder", description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help="mcap file to write")
    parser.add_argument("--node", default="/occ_node", help="full name of the node to record")
    parser.add_argument("--arrivals", type=Path, required=True, help="JSON-lines file: what arrived when")
    arguments = parser.parse_args(argv)
    spool = arguments.output.with_name(arguments.output.name + ".spool.tmp")
    arguments.output.parent.mkdir(parents=True, exist_ok=True)

    rclpy.init(args=[])
    node = rclpy.create_node("occ_recorder")
    recorder = Recorder(node, arguments.node, arguments.arrivals, spool)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    node.create_timer(0.05, recorder.tick)
    try:
        while rclpy.ok():
            # Not spin(): a signal may come just before the executor goes to sleep.
            executor.spin_once(timeout_sec=1.0)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        recorder.close()
        write_mcap(arguments.output, arguments.node, arguments.arrivals, spool)
        spool.unlink()
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
