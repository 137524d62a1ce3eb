"""Damage to messages: numbers at the edges of their types, fields that are missing or double, bytes cut and changed."""

import copy
import struct
import zlib
from array import array
from types import SimpleNamespace
from typing import Any

import numpy as np

_UNSIGNED = (0, 1, 2, 3, 7, 8, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1)
_FLOATS = (0.0, -0.0, 1.0, -1.0, float("nan"), float("inf"), float("-inf"), 1e-320, 1e-30, 1e30, 1e308, -1e308)
_TEXTS = ("", "x", "X", "y", "z", "intensity", "rgb8", "bayer_rggb16", "mono16", "16UC1", "é\n\x1b[31m", "a" * 10_000)


def damaged(message: SimpleNamespace, random: np.random.Generator) -> SimpleNamespace:
    """A copy with up to four fields changed; one message in five stays as it is. `data` is left alone."""
    message = copy.deepcopy(message)
    if random.random() < 0.2:
        return message
    for _ in range(random.integers(1, 5)):
        part = message
        while True:
            name = str(random.choice([name for name in vars(part) if name != "data"]))
            value = getattr(part, name)
            if isinstance(value, list):
                _change_list(value, random)
                if not value:
                    break
                part = value[random.integers(len(value))]
            elif isinstance(value, SimpleNamespace):
                part = value
            else:
                setattr(part, name, _other(value, random))
                break
    return message


def damaged_bytes(data: np.ndarray, random: np.random.Generator) -> Any:
    """The bytes, perhaps cut, longer or changed, as one of the types that live messages and bags have."""
    data = data.copy()
    kind = random.integers(8)
    if kind == 0:
        data = data[: random.integers(len(data) + 1)]
    elif kind == 1:
        data = np.concatenate([data, random.integers(0, 256, random.integers(1, 100), np.uint8)])
    elif kind == 2 and len(data):
        data[random.integers(0, len(data), random.integers(1, 20))] = random.integers(0, 256)
    elif kind == 3:
        data = data[:0]
    elif kind == 4 and len(data):  # a run of one byte: 0xff is NaN, and 0x7f is large
        start = random.integers(len(data))
        data[start : start + random.integers(1, 400)] = random.choice((0, 0x7F, 0x80, 0xFF))
    return (data, data.tobytes(), array("B", data.tobytes()))[random.integers(3)]


def declared_size(kind: str, data: np.ndarray, width: int, height: int) -> np.ndarray:
    """A picture whose header declares another size, with a right checksum: a small file that asks for much memory."""
    encoded = bytearray(data.tobytes())
    if kind == ".png":
        encoded[16:24] = struct.pack(">II", width, height)
        encoded[29:33] = struct.pack(">I", zlib.crc32(encoded[12:29]))
    elif kind == ".jpg" and (at := encoded.find(b"\xff\xc0")) >= 0:
        encoded[at + 5 : at + 9] = struct.pack(">HH", min(height, 65535), min(width, 65535))
    elif kind == ".bmp":
        encoded[18:26] = struct.pack("<ii", width, height)
    elif kind == ".ppm":
        encoded[:] = b"P6\n%d %d\n255\n" % (width, height) + encoded[-100:]
    return np.frombuffer(bytes(encoded), np.uint8)


def _change_list(values: list, random: np.random.Generator) -> None:
    """Sometimes remove, repeat or swap entries."""
    kind = random.integers(6)
    if kind == 0:
        values.clear()
    elif kind == 1 and values:
        del values[random.integers(len(values))]
    elif kind == 2 and values:
        values.append(copy.deepcopy(values[random.integers(len(values))]))
    elif kind == 3:
        random.shuffle(values)


def _other(value: Any, random: np.random.Generator) -> Any:
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return int(random.choice([*_UNSIGNED, max(0, value - 1), value + 1, 2 * value, int(random.integers(2**32))]))
    if isinstance(value, str):
        return str(random.choice([*_TEXTS, value[:-1], value + "8", value.upper()]))
    if isinstance(value, np.ndarray):
        values = value.copy()
        if len(values):
            values[random.integers(0, len(values), random.integers(1, 4))] = random.choice(_FLOATS)
        return values
    return float(random.choice([*_FLOATS, 1.001 * value, 2 * value, random.normal()]))
