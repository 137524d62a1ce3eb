"""Files that appear whole or not at all: written beside their place, then renamed."""

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml


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
    return write_text(path, yaml.safe_dump(content, sort_keys=False))
