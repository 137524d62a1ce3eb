"""Any bag, read as CDR messages."""

import struct
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from rosbags.rosbag1 import Reader as Reader1
from rosbags.rosbag2 import Reader as Reader2
from rosbags.typesys import Stores, get_typestore

from ..drive import DataError
from .expansion import check_files, expand_message, limit_expansion

limit_expansion()

Message = tuple[str, str, int, bytes | memoryview]


class BagError(DataError):
    """A bag that cannot be used; the message names it, what was found and what was expected."""


@cache
def jazzy():
    """The type store that all messages are read and written with."""
    return get_typestore(Stores.ROS2_JAZZY)


class OpenBag:
    """An open bag; see `open_bag`."""

    def __init__(self, path: Path, reader: Reader1 | Reader2):
        self._path, self._reader = path, reader
        self._each_compressed = isinstance(reader, Reader2) and reader.compression_mode == "message"
        if self._each_compressed:  # expanded here
            reader.storage.metadata = reader.storage.metadata._replace(compression_mode=None)

    @property
    def topics(self) -> dict[str, tuple[str, int]]:
        """Message type and number of messages of every topic."""
        return {
            name: (topic.msgtype or "several types", topic.msgcount)
            for name, topic in sorted(self._reader.topics.items())
        }

    def messages(self, topics: Collection[str] | None = None, start: int | None = None) -> Iterator[Message]:
        """Messages in the order of their recording, those of ROS 1 bags converted to CDR; see `read_bag`.

        start : only those recorded at this time, ns, or later
        """
        with _reading(self._path):
            connections = [c for c in self._reader.connections if topics is None or c.topic in topics]
            is_ros1 = isinstance(self._reader, Reader1)
            if is_ros1:
                connections = [c for c in connections if c.msgtype in jazzy().fielddefs]
            if not connections:
                return
            for connection, stamp, data in self._reader.messages(connections, start):
                if self._each_compressed:
                    data = expand_message(data)
                if is_ros1:
                    data = jazzy().ros1_to_cdr(data, connection.msgtype)
                yield connection.topic, connection.msgtype, stamp, data


@contextmanager
def open_bag(path: str | Path) -> Iterator[OpenBag]:
    """A rosbag2 folder, a single .mcap or .db3 file, or a ROS 1 .bag. Raises BagError where it cannot be read."""
    path = Path(path)
    if not path.exists():
        raise BagError(f"{path}: no such bag")
    if path.is_file() and path.suffix not in (".bag", ".mcap", ".db3"):
        raise BagError(f"{path}: not a bag; expected a rosbag2 folder, or a .mcap, .db3 or .bag file")
    if path.is_dir() and not (path / "metadata.yaml").is_file():
        raise BagError(f"{path}: no metadata.yaml in it; expected a rosbag2 folder (or name its .mcap file itself)")
    for file in path.iterdir() if path.is_dir() else (path,):
        if not (file.is_file() or file.is_dir()):
            raise BagError(f"{file}: a pipe or a device; expected the files of a bag")
    with _reading(path):
        check_files(path.glob("*.zstd") if path.is_dir() else ())
        reader = Reader1(path) if path.suffix == ".bag" else Reader2(path)
        reader.open()
    try:
        yield OpenBag(path, reader)
    finally:
        reader.close()


def read_bag(path: str | Path, topics: Collection[str] | None = None) -> Iterator[Message]:
    """All messages in the order of their recording, those of ROS 1 bags converted to CDR.

    Parameters
    ----------
    path : see `open_bag`
    topics : only these; messages of types that ROS 2 Jazzy does not know are left out of ROS 1 bags

    Yields
    ------
    topic, message type ("sensor_msgs/msg/Image"), time of recording in ns, CDR bytes

    Raises BagError for a missing, truncated or unreadable bag.
    """
    with open_bag(path) as bag:
        yield from bag.messages(topics)


def bag_topics(path: str | Path) -> dict[str, tuple[str, int]]:
    """Message type and number of messages of every topic. Raises BagError as `read_bag` does."""
    with open_bag(path) as bag:
        return bag.topics


def decode_cdr(topic: str, msgtype: str, data: bytes | memoryview):
    """CDR bytes -> rosbags' message object. Raises BagError where they are no such message."""
    try:
        return jazzy().deserialize_cdr(data, msgtype)
    except Exception as error:  # the decoder is generated code: garbage makes it raise anything
        raise BagError(f"{topic}: a message that is no {msgtype}: {error}") from error


def header_of(topic: str, msgtype: str, data: bytes | memoryview) -> tuple[int, str]:
    """Stamp in ns and frame of a message that begins with a std_msgs/Header, without decoding the rest of it."""
    try:
        order = "<" if data[1] & 1 else ">"
        seconds, nanoseconds, length = struct.unpack_from(order + "iII", data, 4)
        if length > len(data) - 16:
            raise ValueError(f"frame_id of {length} bytes")
        return seconds * 10**9 + nanoseconds, bytes(data[16 : 16 + length]).rstrip(b"\0").decode()
    except (IndexError, struct.error, ValueError) as error:
        raise BagError(f"{topic}: a message that is no {msgtype}: {error}") from error


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """A broken file fails in many ways inside the reader: struct, sqlite3, zstd, keys ..."""
    try:
        yield
    except BagError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:500] or type(error).__name__
        raise BagError(f"{path}: unreadable or truncated bag: {reason}") from error
