"""A file's bytes, or one line that says why not."""

from pathlib import Path

from ..drive import DataError


def read_file(path: str | Path) -> bytes:
    """All bytes of a file. Raises DataError."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None


def file_size(path: Path) -> int:
    """Bytes in a file. Raises DataError."""
    try:
        return path.stat().st_size
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
