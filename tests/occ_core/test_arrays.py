import io
import zipfile

import numpy as np
import pytest

from occ_core.arrays import read_npy, read_npz
from occ_core.files import FileError


def header(shape: str, dtype: str = "<f4") -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (118 - len(text) - 1) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize("array", [np.arange(6.0).reshape(2, 3), np.asfortranarray(np.eye(3)[:2]), np.uint8(3)])
def test_arrays_are_read_as_they_were_written(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    found = read_npy(tmp_path / "a.npy")
    assert found.dtype == array.dtype and np.array_equal(found, array)
    np.savez_compressed(tmp_path / "a.npz", **{"inputs/image": array, "b": np.zeros(3)})
    both = read_npz(tmp_path / "a.npz")
    assert both.keys() == {"inputs/image", "b"} and np.array_equal(both["inputs/image"], array)
    both["b"][0] = 1  # writable


@pytest.mark.parametrize(
    "content",
    [
        b"", b"not numpy", header("(1099511627776,)"), header("(10000000000000000000000000, 3)"), header("(4,)"),
        header("(-4, -4)"), header("(1,)", "|O"), header("(1, 2, ["), b"\x93NUMPY\x02\x00" + b"\xff" * 8,
    ],
)  # fmt: skip
def test_what_a_header_only_claims_is_refused(tmp_path, content):
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(FileError, match=r"a\.npy: not a NumPy array") as caught:
        read_npy(tmp_path / "a.npy")
    assert "\n" not in str(caught.value)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", content)
    with pytest.raises(FileError, match=r"a\.npz: not a readable npz"):
        read_npz(tmp_path / "a.npz")


def test_an_archive_that_expands_beyond_the_limit_is_refused(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros(600, np.uint8), b=np.zeros(600, np.uint8))
    assert len(read_npz(tmp_path / "a.npz", 1200)) == 2
    with pytest.raises(FileError, match="of 600 bytes; expected numbers of at most 500 bytes"):
        read_npz(tmp_path / "a.npz", 1100)


def test_no_archive(tmp_path):
    (tmp_path / "a.npz").write_bytes(io.BytesIO(b"PK nothing").getvalue())
    with pytest.raises(FileError, match=r"a\.npz: not a readable npz"):
        read_npz(tmp_path / "a.npz")
