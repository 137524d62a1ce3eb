import json
import os
import stat
import threading

import pytest
import yaml

from occ_core.files import (
    FileError,
    read_bytes,
    read_mapping,
    read_text,
    read_yaml,
    replacing,
    write_bytes,
    write_json,
    write_text,
    write_yaml,
)


def test_a_file_and_its_folder_are_made(tmp_path):
    assert write_text(tmp_path / "new" / "a.txt", "ä").read_bytes() == "ä".encode()
    assert json.loads(write_json(tmp_path / "a.json", {"b": [1]}).read_text()) == {"b": [1]}
    assert yaml.safe_load(write_yaml(tmp_path / "a.yaml", {"z": 1, "a": 2}).read_text()) == {"z": 1, "a": 2}


def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = write_bytes(tmp_path / "a", b"old")
    with pytest.raises(RuntimeError), replacing(path) as part:
        part.write_bytes(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_the_file_appears_only_when_it_is_complete(tmp_path):
    path = tmp_path / "a"
    with replacing(path) as part:
        part.write_bytes(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"


def test_permissions_are_those_of_an_ordinary_file(tmp_path):
    (tmp_path / "ordinary").write_bytes(b"")
    path = write_bytes(tmp_path / "a", b"")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "ordinary").stat().st_mode)


def test_writers_of_one_file_do_not_disturb_each_other(tmp_path):
    path, contents = tmp_path / "a", [bytes([n]) * 100_000 for n in range(8)]
    threads = [threading.Thread(target=write_bytes, args=(path, content)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in contents
    assert os.listdir(tmp_path) == ["a"]


def test_what_was_written_is_read(tmp_path):
    assert read_text(write_text(tmp_path / "a.txt", "ä")) == "ä"
    assert read_yaml(write_yaml(tmp_path / "a.yaml", {"z": [1, 2]})) == {"z": [1, 2]}
    assert read_mapping(write_text(tmp_path / "empty.yaml", "")) == {}


def test_only_regular_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")  # to open one without a writer would block
    (tmp_path / "endless").symlink_to("/dev/zero")
    (tmp_path / "nowhere").symlink_to(tmp_path / "missing")
    for name, reason in {
        "pipe": "a pipe or a device; expected a file",
        "endless": "a pipe or a device; expected a file",
        ".": "Is a directory",
        "nowhere": "No such file",
        "a\0b": "null",
    }.items():
        with pytest.raises(FileError, match=f"cannot be read: .*{reason}"):
            read_bytes(tmp_path / name)


def test_a_file_larger_than_expected_is_not_read(tmp_path):
    path = write_bytes(tmp_path / "a", b"12345")
    assert read_bytes(path, limit=5) == b"12345"
    with pytest.raises(FileError, match="5 bytes; expected at most 4"):
        read_bytes(path, limit=4)
    with (tmp_path / "large.yaml").open("wb") as stream:
        stream.truncate(1 << 40)  # without a byte on disk
    with pytest.raises(FileError, match="expected at most"):
        read_yaml(tmp_path / "large.yaml")


@pytest.mark.parametrize(
    ("content", "reason"), [(b"a: \xff", "not UTF-8"), (b"a: *b", "anchors and aliases"), (b"- a", "keys and values")]
)
def test_a_yaml_file_that_cannot_be_used_is_named(tmp_path, content, reason):
    with pytest.raises(FileError, match=f"a.yaml: .*{reason}"):
        read_mapping(write_bytes(tmp_path / "a.yaml", content))
