"""DDS on this machine only: a Fast DDS profile for large messages, its shared memory, and free domains."""

import fcntl
import os
import random
import re
import shutil
import socket
import stat
import sys
from collections import deque
from pathlib import Path

from occ_core.errors import ReportedError

LOOPBACK_PROFILE = Path(__file__).parent / "config" / "fastdds_loopback.xml"
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  where Linux keeps it; Fast DDS makes the files
SEGMENT_BYTES = 67_108_864
"""What each process of the loopback profile takes there: `segment_size` of the profile."""
_PROCESSES = 3
"""Processes that there should be room for: the node, a player, and a recorder or viewer."""
_SEGMENT = re.compile(r"fast(rtps|dds)_[0-9a-f]{16}")
_LAST_DOMAIN = 101
"""The ports of higher domains are among the ephemeral ones. Domain 0 is the default, used by everyone else."""
_reservations: deque[socket.socket] = deque(maxlen=8)
"""Each holds a port of a domain that `free_domain` gave, which nobody else then gets while its first node starts."""


def use_loopback_profile() -> None:
    """Set it for this process and its children. Call before rclpy is imported; processes that talk must share it."""
    # Jazzy's Fast DDS reads the old name, later ones the new.
    os.environ["FASTRTPS_DEFAULT_PROFILES_FILE"] = str(LOOPBACK_PROFILE)
    os.environ["FASTDDS_DEFAULT_PROFILES_FILE"] = str(LOOPBACK_PROFILE)
    prepare_shared_memory()


def prepare_shared_memory() -> None:
    """Remove what killed processes left; one line on stderr where there is too little room for the loopback profile."""
    if SHARED_MEMORY.is_dir():
        remove_dead_segments(SHARED_MEMORY)
        if shortage := shared_memory_shortage(shutil.disk_usage(SHARED_MEMORY).free):
            print(f"[WARN] {shortage}", file=sys.stderr, flush=True)


def remove_dead_segments(folder: Path) -> int:
    """Remove this user's Fast DDS segments whose processes have ended, as after SIGKILL; gives their bytes.

    A process locks `<segment>_el` before it makes the segment and until it ends: where the lock can be taken, nobody
    writes to the segment any more. Processes that still read from it keep what they have mapped.
    """
    freed = 0
    for segment in folder.iterdir():
        lock = folder / f"{segment.name}_el"
        if not (_SEGMENT.fullmatch(segment.name) and _is_own_file(segment) and _is_own_file(lock)):
            continue
        try:
            descriptor = os.open(lock, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:  # another process has just removed it
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            size = segment.stat().st_size
            segment.unlink()
            lock.unlink()
            freed += size
        except OSError:  # locked by a living process, or just removed
            continue
        finally:
            os.close(descriptor)
    return freed


def shared_memory_shortage(free: int) -> str:
    """One line with the remedy where `free` bytes are too few for the loopback profile, else empty."""
    needed = _PROCESSES * SEGMENT_BYTES
    if free >= needed:
        return ""
    return (
        f"{SHARED_MEMORY} has {free / 2**20:.0f} MB free; each process with the loopback profile takes "
        f"{SEGMENT_BYTES / 2**20:.0f} MB, and without them large messages may be lost. Give it {needed / 2**20:.0f} MB "
        f"or more: docker run --shm-size=512m, or mount -o remount,size=512m {SHARED_MEMORY}"
    )


def _is_own_file(path: Path) -> bool:
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()


def free_domain() -> int:
    """A ROS domain, 1 to 101, that no process on this machine uses or was given just now; a random one. The newest
    eight stay reserved for this process. Raises ReportedError where all are in use.
    """
    domains = list(range(1, _LAST_DOMAIN + 1))
    random.shuffle(domains)
    for domain in domains:
        ports = 7400 + 250 * domain
        reservation = _bind(ports + 249)  # the last of the domain's ports
        if reservation is None:
            continue
        if probe := _bind(ports + 10):  # the first participant's discovery port
            probe.close()
            _reservations.append(reservation)
            return domain
        reservation.close()
    raise ReportedError(f"every ROS domain from 1 to {_LAST_DOMAIN} is in use on this machine")


def _bind(port: int) -> socket.socket | None:
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        bound.bind(("127.0.0.1", port))
        return bound
    except OSError:
        bound.close()
        return None
