"""Files: read where they are regular and of plausible size; written so that they appear whole or not at all."""

import json
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import InputError
from .yaml_text import dump_yaml, parse_yaml, shown

MAX_BYTES = 1 << 30
"""Of a file that is read whole. The largest that the project reads are a few MB, weights some hundred."""
MAX_YAML_BYTES = 1 << 20


class FileError(InputError):
    """A file that cannot be read; the message names it and says why."""


def read_bytes(path: str | Path, limit: int = MAX_BYTES) -> bytes:
    """All bytes of a regular file. Raises FileError for what is missing, a folder, a pipe or a device, or larger than
    `limit` bytes.
    """
    try:
        # A pipe without a writer would block at the opening.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as stream:
            found = os.fstat(stream.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise FileError(f"{path}: cannot be read: a pipe or a device; expected a file")
            if found.st_size > limit:
                raise FileError(f"{path}: {found.st_size:,} bytes; expected at most {limit:,}")
            return stream.read()
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"{path!r}: cannot be read: {error}") from None  # a null character in the name


def read_text(path: str | Path, limit: int = MAX_BYTES) -> str:
    """A UTF-8 text file; see `read_bytes`."""
    try:
        return read_bytes(path, limit).decode()
    except UnicodeDecodeError:
        raise FileError(f"{path}: cannot be read: not UTF-8 text") from None


def read_yaml(path: str | Path) -> Any:
    """The content of a YAML file; see `parse_yaml` for what is refused. Raises FileError."""
    text = read_text(path, MAX_YAML_BYTES)
    try:
        return parse_yaml(text)
    except InputError as error:
        raise FileError(f"{path}: cannot be read: {error}") from None


def read_mapping(path: str | Path) -> dict:
    """The content of a YAML file of keys and values; an empty file holds none. Raises FileError."""
    content = read_yaml(path)
    if content is not None and not isinstance(content, dict):
        raise FileError(f"{path}: expected keys and values; got {shown(content)}")
    return content or {}


@contextmanager
def replacing(path: str | Path, durable: bool = False) -> Iterator[Path]:
    """A temporary path to write to, in the folder of `path`, which is made where it is missing.

    After the block the file takes the place of `path` in one step; where the block raises, it is removed and `path`
    stays as it was. Processes that write the same file at once do not disturb each other.

    durable : flush the file to disk first, so that a loss of power cannot leave an empty one
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        yield part
        if durable:
            with part.open("rb") as stream:
                os.fsync(stream.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_bytes(path: str | Path, content: bytes, durable: bool = False) -> Path:
    """Write a binary file; gives its path. durable : see `replacing`."""
    with replacing(path, durable) as part:
        part.write_bytes(content)
    return Path(path)


def write_text(path: str | Path, content: str, durable: bool = False) -> Path:
    """Write a UTF-8 text file; gives its path."""
    return write_bytes(path, content.encode(), durable)


def write_json(path: str | Path, content: Any, durable: bool = False) -> Path:
    """Write an indented JSON file; gives its path."""
    return write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n", durable)


def write_yaml(path: str | Path, content: Any) -> Path:
    """Write a YAML file with its keys in the order given; gives its path."""
    return write_text(path, dump_yaml(content))
