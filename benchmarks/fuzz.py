"""Random damage to messages: every decoder answers with arrays within its contract or a MessageError, nothing else.

`python -m benchmarks.fuzz --messages 100000 --seed 0`. Message n of a seed is always the same:
`--first N --messages 1` repeats one that failed. Memory and time are bounded too; see `Limits`.
"""

import argparse
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import tqdm

from occ_core.decode import MessageError
from occ_core.decode.camera_info import decode_camera_info
from occ_core.decode.cloud import decode_cloud
from occ_core.decode.image import ENCODINGS, decode_compressed_image, decode_image
from occ_core.decode.transforms import matrix_from_transform

from .damage import damaged, damaged_bytes, declared_size


@dataclass(frozen=True)
class Limits:
    """memory_mb : growth of the process's peak over the whole run; seconds : of processor time for one message"""

    memory_mb: float = 300.0
    seconds: float = 2.0


class ContractError(AssertionError):
    """A decoder gave something that its callers do not expect."""


@dataclass(frozen=True)
class Decoder:
    """make : a good message from a random generator; decode : the function; check : raises ContractError"""

    make: Callable
    decode: Callable
    check: Callable


def cloud(random: np.random.Generator) -> SimpleNamespace:
    """A PointCloud2 of one of the usual layouts."""
    height, width = int(random.integers(1, 4)), int(random.integers(1, 40))
    names = ["x", "y", "z", *random.permutation(["intensity", "reflectivity", "ring", "time"])[: random.integers(0, 4)]]
    codes, sizes = (1, 2, 3, 4, 5, 6, 7, 8), (1, 1, 2, 2, 4, 4, 4, 8)
    fields, at = [], 0
    for name in names:
        datatype = int(random.choice((7, 7, 7, 8))) if name in "xyz" else int(random.choice(codes))
        fields.append(SimpleNamespace(name=name, offset=at, datatype=datatype, count=1))
        at += sizes[datatype - 1]
    step = at + int(random.integers(0, 5))
    row = width * step + int(random.integers(0, 9))
    return SimpleNamespace(
        height=height, width=width, fields=fields, is_bigendian=bool(random.integers(2)), point_step=step,
        row_step=row, data=random.integers(0, 256, height * row, np.uint8), is_dense=True,
        header=SimpleNamespace(stamp=SimpleNamespace(sec=int(random.integers(-(2**31), 2**31)), nanosec=0)),
    )  # fmt: skip


def check_cloud(message, result) -> None:
    """(N, 4) float32, N at least 1, all finite, intensity 0 to 1, every point of the message kept or dropped; times, if
    there are any, are finite and of the same number.
    """
    points, dropped, times = result
    expect(times is None or (times.shape == points.shape[:1] and np.isfinite(times).all()), f"times {times}")
    expect(points.dtype == np.float32 and points.ndim == 2 and points.shape[1] == 4, f"points {points.shape}")
    expect(len(points) + dropped == message.width * message.height and len(points) > 0, f"{len(points)} and {dropped}")
    expect(np.isfinite(points).all(), "points that are not finite")
    expect(points[:, 3].min() >= 0 and points[:, 3].max() <= 1, "intensity outside 0 to 1")


def image(random: np.random.Generator) -> SimpleNamespace:
    """An Image of any supported encoding."""
    encoding = str(random.choice(sorted(ENCODINGS)))
    channels, size, _ = ENCODINGS[encoding]
    height, width = (int(n) for n in random.integers(1, 40, 2))
    step = width * channels * size + int(random.integers(0, 5))
    return SimpleNamespace(
        height=height, width=width, encoding=encoding, step=step, is_bigendian=int(random.integers(2)),
        data=random.integers(0, 256, height * step, np.uint8),
    )  # fmt: skip


def check_image(message, result) -> None:
    """(H, W, 3) uint8, contiguous, of the size that the message declares."""
    check_compressed(message, result)
    expect(result.shape[:2] == (message.height, message.width), f"image {result.shape}")


def compressed(random: np.random.Generator) -> SimpleNamespace:
    """A CompressedImage: JPEG or PNG, sometimes of another format that OpenCV reads, or with a false size."""
    pixels = random.integers(0, 256, (*random.integers(1, 40, 2), 3), np.uint8)
    kind = str(random.choice([".jpg", ".png", ".jpg", ".png", ".bmp", ".webp", ".tiff", ".ppm"]))
    data = cv2.imencode(kind, pixels)[1].reshape(-1)
    if random.random() < 0.1:
        data = declared_size(kind, data, *(int(n) for n in random.choice((0, 1, 4000, 30000, 65535, 2**31 - 1), 2)))
    return SimpleNamespace(format=kind[1:], data=data)


def check_compressed(message, result) -> None:
    """(H, W, 3) uint8, contiguous."""
    expect(result.dtype == np.uint8 and result.ndim == 3 and result.shape[2] == 3, f"image {result.shape}")
    expect(result.size > 0 and result.flags.c_contiguous, f"image {result.shape}, not contiguous or empty")


def camera_info(random: np.random.Generator) -> SimpleNamespace:
    """A CameraInfo with P filled or not."""
    f, cx, cy = random.uniform(10, 2000, 3)
    K = np.array([f, 0, cx, 0, f, cy, 0, 0, 1])
    P = np.array([f, 0, cx, 45, 0, f, cy, 0, 0, 0, 1, 0]) * random.integers(2)
    height, width = (int(n) for n in random.integers(1, 4000, 2))
    binning_x, binning_y = (int(n) for n in random.integers(0, 3, 2))
    roi = SimpleNamespace(x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    return SimpleNamespace(
        height=height, width=width, k=K, p=P, d=random.normal(size=random.integers(0, 6)),
        binning_x=binning_x, binning_y=binning_y, roi=roi,
    )  # fmt: skip


def check_camera_info(message, result) -> None:
    """Nine finite numbers, positive focal lengths, a positive size; a Calibration can be made of it."""
    K, (width, height), distorted, _ = result
    expect(len(K) == 9 and np.isfinite(K).all() and K[0] > 0 and K[4] > 0, f"K {K}")
    roi = message.roi
    whole = not (roi.x_offset or roi.y_offset or roi.width or roi.height)
    columns, rows = (message.width, message.height) if whole else (roi.width, roi.height)
    expected = columns // max(message.binning_x, 1), rows // max(message.binning_y, 1)
    expect((width, height) == expected and min(expected) > 0, f"size {width}x{height}")
    expect(isinstance(distorted, bool), f"distorted {distorted!r}")
    result.calibration(np.eye(4))


def transform(random: np.random.Generator) -> SimpleNamespace:
    """A geometry_msgs/Transform."""
    q = random.normal(size=4)
    q /= np.linalg.norm(q)
    return SimpleNamespace(
        translation=SimpleNamespace(**dict(zip("xyz", random.normal(size=3), strict=True))),
        rotation=SimpleNamespace(**dict(zip("xyzw", q, strict=True))),
    )


def check_transform(message, result) -> None:
    """(4, 4), finite, a rotation in its left 3 x 3."""
    expect(result.shape == (4, 4) and np.isfinite(result).all(), f"{result}")
    rotation = result[:3, :3]
    expect(np.abs(rotation @ rotation.T - np.eye(3)).max() < 1e-6 and np.linalg.det(rotation) > 0, "no rotation")


def expect(condition: bool, text: str) -> None:
    """Raises ContractError."""
    if not condition:
        raise ContractError(text)


DECODERS = {
    "cloud": Decoder(cloud, partial(decode_cloud, times=True), check_cloud),
    "image": Decoder(image, decode_image, check_image),
    "compressed image": Decoder(compressed, decode_compressed_image, check_compressed),
    "camera_info": Decoder(camera_info, decode_camera_info, check_camera_info),
    "transform": Decoder(transform, matrix_from_transform, check_transform),
}


def one_message(seed: int, number: int, limits: Limits) -> tuple[str, str]:
    """Make, damage and decode message `number`; gives (decoder, "arrays" or "refused").

    Raises whatever the decoder raises besides MessageError, warnings too, and ContractError.
    """
    random = np.random.default_rng((seed, number))
    name = list(DECODERS)[number % len(DECODERS)]
    decoder = DECODERS[name]
    message = damaged(decoder.make(random), random)
    if hasattr(message, "data"):
        message.data = damaged_bytes(np.asarray(message.data), random)
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            result, outcome = decoder.decode(message), "arrays"
        except MessageError as error:
            expect(bool(str(error)), "an error without a text")
            outcome = "refused"
    taken = time.process_time() - start
    expect(taken < limits.seconds, f"{taken:.1f} s for one message; expected less than {limits.seconds:g} s")
    if outcome == "arrays":
        decoder.check(message, result)
    return name, outcome


def peak_megabytes() -> float:
    """The largest resident memory that this process had so far."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def fuzz(messages: int, seed: int, first: int = 0, limits: Limits | None = None) -> tuple[Counter, list[int], float]:
    """(how often each outcome came from each decoder, numbers of the messages that failed, MB that memory grew)."""
    limits = limits or Limits()
    outcomes: Counter[tuple[str, str]] = Counter()
    failed: list[int] = []
    for n in range(len(DECODERS)):  # what is loaded at the first use is no growth
        one_message(seed, first + n, Limits(seconds=60))
    before = peak_megabytes()
    for number in tqdm.trange(first, first + messages, desc="fuzz", unit="message", leave=False, disable=None):
        try:
            outcomes[one_message(seed, number, limits)] += 1
        except Exception:
            failed.append(number)
            print(f"message {number} of seed {seed}:", file=sys.stderr)
            traceback.print_exc(limit=-2)
    return outcomes, failed, peak_megabytes() - before


def main(argv: list[str] | None = None) -> int:
    """1 where a message failed or memory grew too much."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=100_000, help="how many (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="other seeds make other messages (default %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="number of the first message (default %(default)s)")
    arguments = parser.parse_args(argv)
    limits = Limits()
    outcomes, failed, grown = fuzz(arguments.messages, arguments.seed, arguments.first, limits)
    for name in DECODERS:
        print(f"{name:17} {outcomes[name, 'arrays']:7} decoded {outcomes[name, 'refused']:7} refused")
    print(f"{len(failed)} of {arguments.messages} messages failed; peak memory grew by {grown:.0f} MB")
    return int(bool(failed) or grown > limits.memory_mb)


if __name__ == "__main__":
    sys.exit(main())
