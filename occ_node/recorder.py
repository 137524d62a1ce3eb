"""Records the node's outputs: every message with its time of arrival on the monotonic clock, then an mcap file.

To leave the processor to the node, little is done while messages arrive: a thread of low priority writes the serialised
bytes to a spool file, then a line of JSON to the arrivals file. The mcap is written and compressed from the spool at
the end. Where a file cannot be written, on a full disk for example, recording ends with an error, and the mcap holds
the messages that were stored until then, as far as it fits.

The messages are kept in the order of arrival, with the time at which each was published (`source`). For a
semantic_grid, which has no stamp, that is the only link to its frame; see `outputs.OUTPUTS`.
"""

import argparse
import io
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
_WAITING = 64
"""Messages that wait to be written at most: about 16 frames, 100 MB."""


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
    mono, stamp, source, size, at}, whose bytes are in the spool; {"event": "diagnostics", mono, status: [...]}.
    """

    def __init__(self, node, source: str, arrivals: Path, spool: Path):
        self.error: OSError | None = None
        """Why nothing more is recorded."""
        self.stored = 0
        """Messages that are whole in the spool and the arrivals file."""
        self._lines = arrivals.open("wb", buffering=0)
        self._spool = spool.open("wb", buffering=0)
        self._queue: queue.Queue[tuple[dict, bytes] | None] = queue.Queue(_WAITING)
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
            self._add({"event": "matched"})

    def close(self) -> None:
        """Write everything that arrived to disk, unless that has failed before; see `error`."""
        self._queue.put(None)
        self._writer.join()
        self._spool.close()
        self._lines.close()

    def _callback(self, output: str):
        def on_message(cdr: bytes, info: dict) -> None:
            self._add({"event": "message", "output": output, "stamp": header_stamp(output, cdr), **_source(info)}, cdr)

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
        self._add({"event": "diagnostics", "status": status})

    def _add(self, line: dict, cdr: bytes = b"") -> None:
        """Waits where the disk is too slow; the subscriptions then keep the newest messages."""
        self._queue.put(({"mono": time.monotonic(), **line}, cdr))

    def _write(self) -> None:
        if hasattr(os, "setpriority"):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        offset = 0
        while (item := self._queue.get()) is not None:
            if self.error is not None:
                continue  # nobody may wait for a place in the queue
            line, cdr = item
            try:
                if line["event"] == "message":
                    _write_all(self._spool, cdr)
                    line |= {"size": len(cdr), "at": offset}
                    offset += len(cdr)
                _write_all(self._lines, json.dumps(line).encode() + b"\n")
                self.stored += line["event"] == "message"
            except OSError as error:
                self.error = error


def _source(info: dict) -> dict[str, int]:
    return {"source": int(info["source_timestamp"])}


def _write_all(stream: io.RawIOBase, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[stream.write(rest) :]


def write_mcap(path: Path, source: str, arrivals: Path, spool: Path) -> int:
    """Write the spooled messages as one compressed mcap file, which appears complete or not at all; gives their number.

    Where the disk is full, the end of the spool is cut off to make room for the messages before it. Raises OSError
    where none can be written.
    """
    lines = [json.loads(line) for line in arrivals.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
    messages = [line for line in lines if line["event"] == "message"]
    while True:
        try:
            _write_messages(path, source, messages, spool)
            return len(messages)
        except OSError:
            messages = messages[: len(messages) * 7 // 8]
            if not messages:
                raise
            os.truncate(spool, messages[-1]["at"] + messages[-1]["size"])


def _write_messages(path: Path, source: str, messages: list[dict], spool: Path) -> None:
    """Log times start at the first header stamp, so that a viewer shows the file at the time of the input bag, and keep
    increasing where the bag was played in a loop.
    """
    anchor = next((m for m in messages if m["stamp"]), None)
    offset = (anchor["stamp"] - round(anchor["mono"] * 1e9)) if anchor else 0
    folder = path.with_name(path.name + ".tmp")
    shutil.rmtree(folder, ignore_errors=True)
    store = get_typestore(Stores.ROS2_JAZZY)
    writer = Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP)
    writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    try:
        with writer, spool.open("rb") as data:
            connections = {
                topic.name: writer.add_connection(
                    f"{source}/{topic.name}", topic.type, typestore=store, offered_qos_profiles=[_RELIABLE]
                )
                for topic in RECORDED
            }
            for message in messages:
                data.seek(message["at"])
                stamp = max(0, round(message["mono"] * 1e9) + offset)
                writer.write(connections[message["output"]], stamp, data.read(message["size"]))
        os.replace(next(folder.glob("*.mcap")), path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


_FOREVER = QosTime(2147483647, 4294967295)
_RELIABLE = Qos(
    QosHistory.KEEP_LAST, 10, QosReliability.RELIABLE, QosDurability.VOLATILE, _FOREVER, _FOREVER,
    QosLiveliness.AUTOMATIC, _FOREVER, False,
)  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Record until SIGINT or SIGTERM, then write the mcap; 1 and one line on stderr where not all could be written."""
    parser = argparse.ArgumentParser(prog="python -m occ_node.recorder", description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help="mcap file to write")
    parser.add_argument("--node", default="/occ_node", help="full name of the node to record")
    parser.add_argument("--arrivals", type=Path, required=True, help="JSON-lines file: what arrived when")
    arguments = parser.parse_args(argv)
    spool = arguments.output.with_name(arguments.output.name + ".spool.tmp")
    arguments.output.parent.mkdir(parents=True, exist_ok=True)

    rclpy.init(args=[])
    node = rclpy.create_node("occ_recorder")
    try:
        recorder = Recorder(node, arguments.node, arguments.arrivals, spool)
        try:
            _record(node, recorder)
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
            recorder.close()
        kept = write_mcap(arguments.output, arguments.node, arguments.arrivals, spool)
    except OSError as error:
        return _report(f"nothing was kept: {error}")
    finally:
        spool.unlink(missing_ok=True)
        node.destroy_node()
        rclpy.try_shutdown()
    if recorder.error is not None or kept < recorder.stored:
        reason = recorder.error or f"no room for {arguments.output}"
        return _report(f"recording is not complete: {reason}; {arguments.output} holds the first {kept} messages")
    return 0


def _record(node, recorder: Recorder) -> None:
    """Until a signal comes or nothing more can be written."""
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    node.create_timer(0.05, recorder.tick)
    try:
        while rclpy.ok() and recorder.error is None:
            # Not spin(): a signal may come just before the executor goes to sleep.
            executor.spin_once(timeout_sec=1.0)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass


def _report(text: str) -> int:
    print(f"occ_recorder: {text}", file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
