"""What is read of an ONNX file before a runtime loads it: whether its weights are in other files.

A bundle's manifest has the hash of the ONNX file alone, and the names of other files may lead anywhere.
"""

from collections.abc import Iterator

# Message -> number of a field -> the message in it (onnx.proto), as far as tensors can be in it.
_NESTED = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_VARINT, _FIXED64, _BYTES, _START, _END, _FIXED32 = range(6)


def has_external_data(model: bytes) -> bool:
    """Whether any tensor of a serialised ONNX model is kept in another file.

    Where the bytes are no ONNX model, what comes before the damage counts: the runtime refuses the rest.
    """
    waiting = [("model", memoryview(model))]
    while waiting:
        kind, message = waiting.pop()
        for field, content in _fields(message):
            if kind == "tensor" and (field == _EXTERNAL_DATA or (field == _DATA_LOCATION and content)):
                return True
            if field in _NESTED[kind] and isinstance(content, memoryview):
                waiting.append((_NESTED[kind][field], content))
    return False


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Numbers of the fields of a protocol buffer, and what they hold, as far as it can be read."""
    place = 0
    try:
        while place < len(message):
            tag, place = _varint(message, place)
            wire = tag & 7
            content: memoryview | int = 0
            if wire == _VARINT:
                content, place = _varint(message, place)
            elif wire in (_FIXED64, _FIXED32):
                place += 8 if wire == _FIXED64 else 4
            elif wire == _BYTES:
                length, place = _varint(message, place)
                content, place = message[place : place + length], place + length
            elif wire not in (_START, _END):
                return
            yield tag >> 3, content
    except IndexError:
        return


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """The number and the place behind it. Raises IndexError at the end of the message."""
    value = 0
    for shift in range(0, 70, 7):
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise IndexError("no number of at most ten bytes")
