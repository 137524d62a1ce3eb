"""Sixty kinds of malformed messages over DDS: `python -m benchmarks.malformed --times 100`.

After each kind the node lives, has counted it under its reason in /diagnostics, and answers a good frame.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tqdm
from sensor_msgs.msg import CompressedImage

from occ_node.cdr import byte_array
from occ_node.dds import free_domain, use_loopback_profile
from occ_node.topics import CAMERA_INFO, IMAGE, POINTS
from occ_runtime.fake_backend import write_fake_bundle

from .damage import declared_size
from .report import keep
from .robot import HEIGHT, WIDTH, NodeProcess, Robot, header, running, unaccounted, wait_for

UINT32 = 2**32 - 1
ANSWER = 2.0
"""Seconds within which a good frame is to be answered after a kind."""
LOG = 1_000_000
"""Bytes that the node may print over the whole run."""
Change = Callable[[Any], None]


def fields(**values) -> Change:
    """Set fields of a message."""

    def change(message) -> None:
        for name, value in values.items():
            setattr(message, name, value)

    return change


def field_of_z(**values) -> Change:
    """Set attributes of the PointField of z."""
    return lambda message: fields(**values)(message.fields[2])


def field_of_intensity(**values) -> Change:
    """Set attributes of the PointField of the intensity."""
    return lambda message: fields(**values)(message.fields[3])


def coordinates(value: float) -> Change:
    """Give all points these coordinates."""

    def change(message) -> None:
        points = np.frombuffer(message.data, np.float32).reshape(-1, 4).copy()
        points[:, :3] = value
        message.data = byte_array(points)

    return change


def cut(bytes_left: int) -> Change:
    """Keep the first bytes of the data; a negative number cuts from the end."""
    return lambda message: setattr(message, "data", message.data[:bytes_left])


def keep_fields(*numbers: int) -> Change:
    """Keep some of the PointFields."""
    return lambda message: setattr(message, "fields", [message.fields[n] for n in numbers])


def intrinsics(K: dict[int, float], **values) -> Change:
    """Set entries of K, of the same in P, and fields."""

    def change(message) -> None:
        for at, value in K.items():
            message.k[at] = value
            message.p[at + at // 3] = value
        fields(**values)(message)

    return change


CLOUDS: dict[str, Change] = {
    "no fields": keep_fields(),
    "no x": keep_fields(1, 2, 3),
    "no z": keep_fields(0, 1, 3),
    "z in capitals": field_of_z(name="Z"),
    "a name of 100,000 letters": field_of_z(name="z" * 100_000),
    "a name with control characters": field_of_z(name="\x1b[2J\n[ERROR]"),
    "z of int32": field_of_z(datatype=5),
    "z of type 0": field_of_z(datatype=0),
    "z of type 255": field_of_z(datatype=255),
    "z beyond the point": field_of_z(offset=13),
    "z at the largest offset": field_of_z(offset=UINT32),
    "intensity of type 99": field_of_intensity(datatype=99),
    "intensity beyond the point": field_of_intensity(offset=16),
    "width 0": fields(width=0),
    "height 0": fields(height=0),
    "one point too many": lambda message: fields(width=message.width + 1)(message),
    "the largest width": fields(width=UINT32),
    "the largest size": fields(width=UINT32, height=UINT32),
    "two rows, row_step 0": fields(height=2, row_step=0),
    "two rows, the largest row_step": fields(height=2, row_step=UINT32),
    "point_step 0": fields(point_step=0),
    "point_step 8": fields(point_step=8),
    "the largest point_step": fields(point_step=UINT32),
    "no data": cut(0),
    "data short of a byte": cut(-1),
    "NaN": coordinates(np.nan),
    "infinite": coordinates(-np.inf),
}
IMAGES: dict[str, Change] = {
    "no encoding": fields(encoding=""),
    "unknown encoding": fields(encoding="hsv8"),
    "an encoding of 100,000 letters": fields(encoding="rgb8" * 25_000),
    "an encoding with control characters": fields(encoding="\x1b[2J\n[ERROR]"),
    "width 0": fields(width=0),
    "height 0": fields(height=0),
    "the largest width": fields(width=UINT32),
    "the largest height": fields(height=UINT32),
    "the largest size": fields(width=UINT32, height=UINT32, step=UINT32),
    "step 0": fields(step=0),
    "step short of a byte": fields(step=3 * WIDTH - 1),
    "the largest step": fields(step=UINT32),
    "no data": cut(0),
    "data short of a byte": cut(-1),
    "sixteen bits declared": fields(encoding="rgb16"),
    "four channels declared": fields(encoding="rgba8"),
    "half the width of camera_info": fields(width=WIDTH // 2),
    "half the height of camera_info": fields(height=HEIGHT // 2),
}
CAMERA_INFOS: dict[str, Change] = {
    "all zero": fields(k=[0.0] * 9, p=[0.0] * 12),
    "fx 0": intrinsics({0: 0.0}),
    "fy 0": intrinsics({4: 0.0}),
    "fx negative": intrinsics({0: -60.0}),
    "fx NaN": intrinsics({0: np.nan}),
    "fy infinite": intrinsics({4: np.inf}),
    "cx NaN": intrinsics({2: np.nan}),
    "width 0": fields(width=0),
    "height 0": fields(height=0),
}


def compressed(pixels: np.ndarray, kind: str = ".png") -> bytes:
    """An image file."""
    return cv2.imencode(kind, pixels)[1].tobytes()


_PIXELS = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
_PNG, _JPEG = compressed(_PIXELS), compressed(_PIXELS, ".jpg")
COMPRESSED: dict[str, bytes] = {
    "no data": b"",
    "text": b"no picture at all",
    "half a PNG": _PNG[: len(_PNG) // 2],
    "a PNG of 50,000 x 50,000": declared_size(".png", np.frombuffer(_PNG, np.uint8), 50_000, 50_000).tobytes(),
    "a JPEG of 65,000 x 65,000": declared_size(".jpg", np.frombuffer(_JPEG, np.uint8), 65_000, 65_000).tobytes(),
    "another size than camera_info": compressed(_PIXELS[:, ::2]),
}


@dataclass(frozen=True)
class Kind:
    """change : what is wrong with the message of `source`"""

    name: str
    source: str
    change: Change

    def frame(self, robot: Robot, good: Callable) -> dict[str, Any]:
        """The messages of a frame with it."""
        _, messages = good()
        self.change(messages[self.source])
        return messages


KINDS = tuple(
    Kind(f"{source}: {name}", source, change)
    for source, changes in ((POINTS, CLOUDS), (IMAGE, IMAGES), (CAMERA_INFO, CAMERA_INFOS))
    for name, change in changes.items()
)
COMPRESSED_KINDS = tuple(Kind(f"compressed: {name}", IMAGE, fields(data=data)) for name, data in COMPRESSED.items())


def compressed_frame(robot: Robot) -> tuple[int, dict[str, Any]]:
    """A good frame whose image is a PNG."""
    stamp, messages = robot.good_frame()
    messages[IMAGE] = CompressedImage(header=header(stamp, "camera"), format="png", data=_PNG)
    return stamp, messages


@dataclass(frozen=True)
class Outcome:
    """counted : messages under the kind's reason; answer : seconds to the answer of a good frame after it"""

    kind: str
    counted: int
    answer: float


def disturb(robot: Robot, node: NodeProcess, kinds: tuple[Kind, ...], times: int, good: Callable) -> list[Outcome]:
    """Send each kind `times` times, one source after the other, so that one report serves three kinds.

    Raises RuntimeError where the node ends, counts nothing, loses a frame or answers no good frame.
    """
    by_source = [[kind for kind in kinds if kind.source == source] for source in (POINTS, IMAGE, CAMERA_INFO)]
    outcomes = []
    rounds = max(len(kinds) for kinds in by_source)
    for turn in tqdm.trange(rounds, desc="malformed messages", leave=False, disable=None):
        now = [kinds[turn] for kinds in by_source if turn < len(kinds)]
        before = {kind: robot.counter(_reason(kind)) for kind in now}
        answers = {}
        for kind in now:
            for _ in range(times):
                robot.send(kind.frame(robot, good))
                time.sleep(0.01)  # a sensor's pace; all at once would fill the subscription's queue
            answers[kind] = robot.seconds_to_an_answer(good)
        for kind in now:
            _wait_until_counted(robot, node, kind, before[kind], good)
            outcomes.append(Outcome(kind.name, robot.counter(_reason(kind)) - before[kind], answers[kind]))
    wait_for(lambda: unaccounted(robot.values) == 0, f"an account of every frame; diagnostics: {robot.values}")
    return outcomes


def _reason(kind: Kind) -> str:
    return f"dropped.malformed.{kind.source}"


def _wait_until_counted(robot: Robot, node: NodeProcess, kind: Kind, before: int, good: Callable) -> None:
    """Best effort may lose single messages, so that one more is sent from time to time."""
    end = time.monotonic() + 60
    while robot.counter(_reason(kind)) == before:
        if not node.alive:
            raise RuntimeError(f"{kind.name}: the node ended with code {node.process.returncode}")
        if time.monotonic() > end:
            raise RuntimeError(f"{kind.name}: not counted as {_reason(kind)}; diagnostics: {robot.values}")
        try:
            wait_for(lambda: robot.counter(_reason(kind)) > before, "a count", timeout=3)
        except RuntimeError:
            robot.send(kind.frame(robot, good))


def measure(times: int) -> dict:
    """Both nodes, one after the other: raw images, then compressed ones."""
    outcomes, printed = [], 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = write_fake_bundle(folder / "fake").path
        for is_compressed, kinds in ((False, KINDS), (True, COMPRESSED_KINDS)):
            domain = free_domain()
            parameters = {"bundle": bundle, "backend": "fake", "compressed": str(is_compressed).lower()}
            with running(folder, domain, **parameters) as node:
                robot = Robot(domain, is_compressed)
                try:
                    good = (lambda robot=robot: compressed_frame(robot)) if is_compressed else robot.good_frame
                    wait_for(robot.connected, "subscriptions of the node")
                    robot.seconds_to_an_answer(good)
                    wait_for(lambda robot=robot: robot.values, "diagnostics")
                    outcomes += disturb(robot, node, kinds, times, good)
                finally:
                    robot.close()
                printed += len(node.log().encode())
    return {
        "kinds": len(outcomes),
        "times": times,
        "counted": sum(outcome.counted for outcome in outcomes),
        "slowest_answer_s": max(outcome.answer for outcome in outcomes),
        "printed_bytes": printed,
        "answers": {outcome.kind: round(outcome.answer, 3) for outcome in outcomes},
    }


def main(argv: list[str] | None = None) -> int:
    """1 where the node failed at something, was slow to answer or printed too much."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.malformed", description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=100, help="messages of each kind (default %(default)s)")
    parser.add_argument("--keep", action="store_true", help="keep the figures in benchmarks/results")
    arguments = parser.parse_args(argv)
    use_loopback_profile()
    try:
        result = measure(arguments.times)
    except RuntimeError as error:
        print(f"benchmarks.malformed: {error}", file=sys.stderr)
        return 1
    print(
        f"{result['kinds']} kinds, {result['times']} times each: {result['counted']} counted, slowest answer to a good "
        f"frame {result['slowest_answer_s']:.2f} s, the node printed {result['printed_bytes']} bytes"
    )
    if arguments.keep:
        print(f"kept in {keep('malformed', result)}")
    return int(result["slowest_answer_s"] > ANSWER or result["printed_bytes"] > LOG)


if __name__ == "__main__":
    sys.exit(main())
