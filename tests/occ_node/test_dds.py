"""What processes leave in shared memory, and what is said where it is small."""

import fcntl
import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from occ_node.dds import (
    LOOPBACK_PROFILE,
    SEGMENT_BYTES,
    SHARED_MEMORY,
    free_domain,
    remove_dead_segments,
    shared_memory_shortage,
)

from .live import wait_for

SEGMENT = "fastrtps_0123456789abcdef"


@pytest.fixture
def segment(tmp_path) -> Path:
    """A segment with its lock file."""
    (tmp_path / f"{SEGMENT}_el").touch()
    path = tmp_path / SEGMENT
    path.write_bytes(bytes(1000))
    return path


def test_a_segment_that_nobody_holds_is_removed(segment):
    assert remove_dead_segments(segment.parent) == 1000
    assert not list(segment.parent.iterdir())


def test_a_segment_in_use_stays(segment):
    with segment.with_name(f"{SEGMENT}_el").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert remove_dead_segments(segment.parent) == 0
    assert segment.exists()


@pytest.mark.parametrize("name", ["fastrtps_port7000", "fastrtps_0123", "sem.fastrtps_port7000_mutex", "other"])
def test_files_that_are_no_segments_stay(tmp_path, name):
    for path in (tmp_path / name, tmp_path / f"{name}_el"):
        path.touch()
    assert remove_dead_segments(tmp_path) == 0
    assert len(list(tmp_path.iterdir())) == 2


def test_a_segment_without_its_lock_file_and_links_stay(segment, tmp_path):
    lock = segment.with_name(f"{SEGMENT}_el")
    lock.unlink()
    assert remove_dead_segments(tmp_path) == 0
    lock.symlink_to(segment)
    assert remove_dead_segments(tmp_path) == 0
    assert segment.exists()


def test_a_killed_process_leaves_a_segment_that_the_next_one_removes():
    """With real Fast DDS: the segment of a living process stays, that of a killed one goes."""
    pytest.importorskip("rclpy", reason="rclpy is not installed")
    code = "import rclpy, sys; rclpy.init(); node = rclpy.create_node('one'); print('up', flush=True); sys.stdin.read()"
    environment = os.environ | {"ROS_DOMAIN_ID": str(free_domain())}
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    with process:
        assert process.stdout.readline() == b"up\n"
        (segment,) = _mapped_segments(process.pid)
        remove_dead_segments(SHARED_MEMORY)
        assert segment.exists()
        process.send_signal(signal.SIGKILL)
    assert segment.exists()
    wait_for(lambda: remove_dead_segments(SHARED_MEMORY) >= 0 and not segment.exists(), "the segment to be removed")
    assert not segment.with_name(f"{segment.name}_el").exists()


def test_domains_given_in_a_row_differ_though_nobody_uses_them_yet():
    for _ in range(10):
        assert len({free_domain() for _ in range(8)}) == 8


def test_little_shared_memory_is_named_with_its_remedy():
    assert shared_memory_shortage(2**30) == ""
    text = shared_memory_shortage(64 * 2**20)
    assert f"{SHARED_MEMORY} has 64 MB free" in text and "--shm-size" in text and "\n" not in text


def test_the_segment_size_is_that_of_the_profile():
    sizes = [e.text for e in ElementTree.parse(LOOPBACK_PROFILE).iter() if e.tag.endswith("segment_size")]
    assert sizes == [str(SEGMENT_BYTES)]


def _mapped_segments(pid: int) -> set[Path]:
    maps = Path(f"/proc/{pid}/maps").read_text().split()
    return {Path(word) for word in maps if word.startswith(f"{SHARED_MEMORY}/fastrtps_") and "port" not in word}
