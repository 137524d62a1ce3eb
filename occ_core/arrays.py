"""NumPy's files. Their headers are read first: a few bytes can claim any size, and NumPy allocates what they claim."""

import io
import math
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from .files import MAX_BYTES, FileError, read_bytes


def read_npy(path: str | Path) -> np.ndarray:
    """The array of a `.npy` file. Raises FileError."""
    return _reading(path, "NumPy array", lambda data: _array(io.BytesIO(data), len(data)))


def read_npz(path: str | Path, limit: int = MAX_BYTES) -> dict[str, np.ndarray]:
    """The arrays of a `.npz` file by name. Raises FileError, also where they take more than `limit` bytes."""
    return _reading(path, "readable npz archive", lambda data: _arrays(data, limit))


def _reading(path, kind: str, read):
    data = read_bytes(path)
    try:
        return read(data)
    except Exception as error:  # numpy, zipfile and zlib raise errors of many classes
        raise FileError(f"{path}: not a {kind}: {' '.join(str(error).split())[:200]}") from None


def _arrays(data: bytes, limit: int) -> dict[str, np.ndarray]:
    arrays = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for member in archive.infolist():
            with archive.open(member) as stream:
                array = _array(stream, limit)
            arrays[member.filename.removesuffix(".npy")] = array
            limit -= array.nbytes
    return arrays


def _array(stream: IO[bytes], limit: int) -> np.ndarray:
    """Raises ValueError where the header claims more than `limit` bytes."""
    # Version 1 is what numpy writes; in the others the header itself may be of any length.
    if (version := np.lib.format.read_magic(stream)) != (1, 0):
        raise ValueError(f"format version {version}; expected (1, 0)")
    shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(stream)
    claimed = math.prod(shape) * dtype.itemsize
    if dtype.hasobject or min(shape, default=0) < 0 or claimed > limit:
        raise ValueError(f"{dtype}{list(shape)} of {claimed:,} bytes; expected numbers of at most {limit:,} bytes")
    flat = np.frombuffer(stream.read(claimed), dtype, math.prod(shape))
    return (flat.reshape(shape[::-1]).T if fortran_order else flat.reshape(shape)).copy()
