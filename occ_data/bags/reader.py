"""Any bag, read as CDR messages."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from rosbags.rosbag1 import Reader as Reader1
from rosbags.rosbag2 import Reader as Reader2
from rosbags.typesys import Stores, get_typestore

from occ_core.errors import InputError


class BagError(InputError):
    """A bag that cannot be used; the message names it, what was found and what was expected."""


@cache
def jazzy():
    """The type store that all messages are read and written with."""
    return get_typestore(Stores.ROS2_JAZZY)


def read_bag(
    path: str | Path, topics: Collection[str] | None = None
) -> Iterator[tuple[str, str, int, bytes | memoryview]]:
    """All messages in the order of their recording, those of ROS 1 bags converted to CDR.

    Parameters
    ----------
    path : a rosbag2 folder, a single .mcap or .db3 file, or a ROS 1 .bag
    topics : only these; messages of types that ROS 2 Jazzy does not know are left out of ROS 1 bags

    Yields
    ------
    topic, message type ("sensor_msgs/msg/Image"), time of recording in ns, CDR bytes

    Raises BagError for a missing, truncated or unreadable bag.
    """
    with _open(path) as (reader, is_ros1):
        connections = [c for c in reader.connections if topics is None or c.topic in topics]
        if is_ros1:
            connections = [c for c in connections if c.msgtype in jazzy().fielddefs]
        if not connections:
            return
        for connection, stamp, data in reader.messages(connections):
            if is_ros1:
                data = jazzy().ros1_to_cdr(data, connection.msgtype)
            yield connection.topic, connection.msgtype, stamp, data


def bag_topics(path: str | Path) -> dict[str, tuple[str, int]]:
    """Message type and number of messages of every topic. Raises BagError as `read_bag` does."""
    with _open(path) as (reader, _):
        return {
            name: (topic.msgtype or "several types", topic.msgcount) for name, topic in sorted(reader.topics.items())
        }


def decode_cdr(topic: str, msgtype: str, data: bytes | memoryview):
    """CDR bytes -> rosbags' message object. Raises BagError where they are no such message."""
    try:
        return jazzy().deserialize_cdr(data, msgtype)
    except Exception as error:  # the decoder is generated code: whatever garbage makes it raise
        raise BagError(f"{topic}: a message that is no {msgtype}: {error}") from error


@contextmanager
def _open(path):
    path = Path(path)
    if not path.exists():
        raise BagError(f"{path}: no such bag")
    is_ros1 = path.suffix == ".bag"
    if path.is_file() and path.suffix not in (".bag", ".mcap", ".db3"):
        raise BagError(f"{path}: not a bag; expected a rosbag2 folder, or a .mcap, .db3 or .bag file")
    if path.is_dir() and not (path / "metadata.yaml").is_file():
        raise BagError(f"{path}: no metadata.yaml in it; expected a rosbag2 folder (or name its .mcap file itself)")
    try:
        with Reader1(path) if is_ros1 else Reader2(path) as reader:
            yield reader, is_ros1
    except BagError:
        raise
    except Exception as error:  # a broken file fails in many ways inside the reader: struct, sqlite3, zstd, keys ...
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BagError(f"{path}: unreadable or truncated bag: {reason}") from error
