"""Compressed bags, expanded no further than they declare: a few kilobytes can hold gigabytes of zeros."""

import bz2
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from lz4.frame import LZ4FrameDecompressor
from rosbags import rosbag1
from rosbags.rosbag2 import storage_mcap

from ..drive import DataError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CHUNK_LIMIT = 1 << 30
"""Bytes of one expanded chunk of a bag. Writers end a chunk at about 1 MB, or after one larger message."""
MESSAGE_LIMIT = 1 << 28
"""Bytes of one expanded message: an image of 64 megapixels in colour takes 192 MB."""
_FRAME_HEADER = 18


class ExpansionError(DataError):
    """Compressed data that expands to more than was declared or than any bag holds."""


def expand_message(data: bytes) -> bytes:
    """A message that was compressed by itself (zstd). Raises ExpansionError."""
    return _bounded(zstd.ZstdDecompressor(), data, MESSAGE_LIMIT, "a message")


def check_files(paths: Iterable[Path]) -> None:
    """Refuse files that were compressed as a whole (zstd) where the disk cannot hold them. Raises ExpansionError."""
    free = shutil.disk_usage(tempfile.gettempdir()).free
    for path in paths:
        free -= _expanded_size(path, free)
        if free < 0:
            raise ExpansionError(f"{path}: expands to more than {tempfile.gettempdir()} has room for")


def limit_expansion() -> None:
    """Let rosbags expand chunks with the functions of this file."""
    storage_mcap.DECOMPRESSORS |= {"zstd": _chunk(zstd.ZstdDecompressor), "lz4": _chunk(LZ4FrameDecompressor)}
    rosbag1.reader.decompressors |= {"bz2": _chunk(bz2.BZ2Decompressor), "lz4": _chunk(LZ4FrameDecompressor)}


def _chunk(make):
    def expand(data: bytes, size: int = CHUNK_LIMIT) -> bytes:
        return _bounded(make(), data, min(size, CHUNK_LIMIT), "a chunk")

    return expand


def _bounded(decompressor, data: bytes, limit: int, what: str) -> bytes:
    expanded = decompressor.decompress(data, max_length=limit + 1)
    if len(expanded) <= limit and not decompressor.eof:
        raise ExpansionError(f"{what} is cut off: its compressed data ends early")
    if len(expanded) > limit:
        raise ExpansionError(f"{what} expands to more than the {limit:,} bytes declared or allowed")
    return expanded


def _expanded_size(path: Path, enough: int) -> int:
    """Bytes; counted, up to more than `enough`, where the file does not say it."""
    with path.open("rb") as file:
        declared = zstd.get_frame_info(file.read(_FRAME_HEADER)).decompressed_size
    if declared is not None:
        return declared
    size = 0
    with zstd.open(path, "rb") as expanded:
        while size <= enough and (block := expanded.read(1 << 20)):
            size += len(block)
    return size
