"""Plays recorded messages on real topics, at the speed of their stamps."""

import json
import queue
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import rclpy
from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, QoSProfile
from rosgraph_msgs.msg import Clock

from occ_core.errors import InputError, ReportedError

from .topics import message_class

_LATE = 0.05
_LEAD = 0.3  # seconds to read the first messages from disk before the clock starts
_CLOCK_PERIOD = 0.01
_AHEAD = 32
_WITH_HEADER = ("Image", "CompressedImage", "CameraInfo", "PointCloud2")


@dataclass(frozen=True)
class Recording:
    """What to play.

    topics : name -> message type ("sensor_msgs/msg/Image")
    messages : called at the start of each loop; gives (topic, type, stamp in ns, CDR bytes) in the order of the stamps
    """

    topics: dict[str, str]
    messages: Callable[[], Iterable[tuple[str, str, int, bytes | memoryview]]]


@dataclass(frozen=True)
class PlayOptions:
    """How to play it.

    rate : 2 is twice as fast; loops : times to play, 0 for no end; clock : publish /clock from the stamps
    wait : seconds to wait at most for a subscriber of each topic; needed : topics that must have one
    remap : bag topic -> topic to publish; log : file that gets a line of JSON for each message published
    """

    rate: float = 1.0
    loops: int = 1
    clock: bool = False
    wait: float = 5.0
    needed: tuple[str, ...] = ()
    remap: dict[str, str] = field(default_factory=dict)
    log: Path | None = None

    def __post_init__(self):
        if not self.rate > 0:
            raise InputError(f"rate: expected a positive number, got {self.rate:g}")
        if self.loops < 0:
            raise InputError(f"loop: expected the number of times to play, or 0 for no end; got {self.loops}")


class NoSubscriber(ReportedError, RuntimeError):
    """A needed topic had no subscriber in time."""


def play(
    recording: Recording, options: PlayOptions, report: Callable[[str], None], progress: Callable[[], object]
) -> None:
    """Play all loops; `report` gets lines for the user, `progress` is called at each message.

    The schedule follows the monotonic clock from the first message on and does not drift: a message that is published
    late does not delay the next one. Each loop starts one mean message period after the end of the last one; its stamps
    jump back. Raises NoSubscriber, and KeyboardInterrupt where a signal ended it.
    """
    rclpy.init(args=[])
    try:
        node = rclpy.create_node("occ_player")
        player = _Player(node, recording, options, report)
        player.wait_for_subscribers()
        player.run(progress)
    except Exception:
        if rclpy.ok():
            raise
        raise KeyboardInterrupt from None  # a signal ended the context, and the error is a result of that
    finally:
        rclpy.try_shutdown()


class _Player:
    def __init__(self, node, recording: Recording, options: PlayOptions, report: Callable[[str], None]):
        self._options, self._report = options, report
        self._publishers = {}
        for topic, name in recording.topics.items():
            if kind := message_class(name):
                target = options.remap.get(topic, topic)
                self._publishers[topic] = node.create_publisher(kind, target, _profile(topic))
            else:
                report(f"{topic} is left out: {name} is not installed here")
        self._clock = node.create_publisher(Clock, "/clock", 10) if options.clock else None
        self._log = options.log.open("w", buffering=1) if options.log else None
        self._messages = _read_ahead(recording, options.loops)
        self._late, self._worst = 0, 0.0

    def wait_for_subscribers(self) -> None:
        needed = [t for t in self._options.needed if t in self._publishers]
        wanted = needed or [t for t in self._publishers if t != "/tf_static"]
        deadline = time.monotonic() + self._options.wait
        while missing := [t for t in wanted if self._publishers[t].get_subscription_count() == 0]:
            if time.monotonic() > deadline:
                if needed:
                    names = ", ".join(self._options.remap.get(t, t) for t in missing)
                    raise NoSubscriber(f"nobody subscribed to {names} within {self._options.wait:g} s")
                break
            if not needed and len(missing) < len(wanted):
                break
            time.sleep(0.02)

    def run(self, progress: Callable[[], object]) -> None:
        start, first, newest, loop, seen = None, 0, 0, 0, 0
        self._write(event="start", rate=self._options.rate, loops=self._options.loops)
        for number, topic, kind, stamp, cdr in self._messages:
            if start is None:
                start, first = time.monotonic() + _LEAD, stamp
            elif number != loop:
                period = (newest - first) / max(1, seen - 1) / self._options.rate / 1e9
                start += (newest - first) / self._options.rate / 1e9 + max(period, 0.001)
                loop, first, seen = number, stamp, 0
                self._write(event="loop", loop=loop)
            newest, seen = stamp, seen + 1
            if topic in self._publishers:
                due = start + (stamp - first) / self._options.rate / 1e9
                published = self._publish(topic, stamp, cdr, due)
                stamp_of_header = header_stamp(kind, cdr)
                self._write(
                    event="message", loop=loop, topic=topic, stamp=stamp_of_header or stamp, scheduled=due,
                    published=published,
                )  # fmt: skip
            progress()
        for publisher in self._publishers.values():
            publisher.wait_for_all_acked(Duration(seconds=2))
        if self._late:
            worst = f"the worst {1000 * self._worst:.0f} ms"
            self._report(f"{self._late} messages were more than {1000 * _LATE:.0f} ms late, {worst}")
        self._write(event="end", late=self._late, worst_ms=round(1000 * self._worst, 1))

    def _publish(self, topic: str, stamp: int, cdr: bytes | memoryview, due: float) -> float:
        self._sleep_until(due, stamp)
        self._publishers[topic].publish(bytes(cdr))
        published = time.monotonic()
        self._worst = max(self._worst, published - due)
        if published - due > _LATE:
            if not self._late:
                self._report(f"{topic} is {1000 * (published - due):.0f} ms late: this machine is too slow or too busy")
            self._late += 1
        return published

    def _sleep_until(self, due: float, stamp: int) -> None:
        while self._clock is not None and (left := due - time.monotonic()) > _CLOCK_PERIOD:
            self._tick(self._clock, stamp - int(left * self._options.rate * 1e9))
            time.sleep(_CLOCK_PERIOD)
        time.sleep(max(0.0, due - time.monotonic()))
        if self._clock is not None:
            self._tick(self._clock, stamp)

    @staticmethod
    def _tick(clock, stamp: int) -> None:
        message = Clock()
        message.clock.sec, message.clock.nanosec = divmod(max(0, stamp), 1_000_000_000)
        clock.publish(message)

    def _write(self, **line) -> None:
        if self._log:
            self._log.write(json.dumps({"mono": time.monotonic(), **line}) + "\n")


def header_stamp(kind: str, cdr: bytes | memoryview) -> int | None:
    """Stamp in ns of a serialised message that begins with a header; None for other types."""
    if kind.rpartition("/")[2] not in _WITH_HEADER or len(cdr) < 12:
        return None
    seconds, nanoseconds = struct.unpack_from("<iI" if cdr[1] else ">iI", cdr, 4)
    return seconds * 1_000_000_000 + nanoseconds


def _read_ahead(recording: Recording, loops: int) -> Iterator[tuple[int, str, str, int, bytes | memoryview]]:
    """(loop, topic, type, stamp, bytes) of all loops; a thread reads a few messages ahead from disk."""
    ahead: queue.Queue = queue.Queue(_AHEAD)

    def read():
        try:
            loop = 0
            while loop < loops or loops == 0:
                for message in recording.messages():
                    ahead.put((loop, *message))
                loop += 1
        except Exception as error:  # raised in the thread that plays
            ahead.put(error)
        ahead.put(None)

    threading.Thread(target=read, name="read-ahead", daemon=True).start()
    while (item := ahead.get()) is not None:
        if isinstance(item, Exception):
            raise item
        yield item


def _profile(topic: str) -> QoSProfile:
    if topic == "/tf_static":
        return QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    return QoSProfile(depth=10)
