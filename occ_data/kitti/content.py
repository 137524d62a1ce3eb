"""A file's bytes, or one line that says why not."""

from pathlib import Path

from occ_core.files import FileError, read_bytes

from ..drive import DataError


def read_file(path: str | Path) -> bytes:
    """All bytes of a file. Raises DataError."""
    try:
        return read_bytes(path)
    except FileError as error:
        raise DataError(str(error)) from None


def file_size(path: Path) -> int:
    """Bytes in a file. Raises DataError."""
    try:
        return path.stat().st_size
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
