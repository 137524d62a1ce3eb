"""What this process may use of the machine: cores and memory, limits of containers included."""

import os
from contextlib import suppress
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_MEMORY = Path("/proc/meminfo")


def usable_cores() -> int:
    """Cores that this process may run on, within the quota of its control group."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):  # no control groups, or no quota: "max"
        quota, period = (_CGROUP / "cpu.max").read_text().split()
        allowed = min(allowed, max(1, int(quota) // int(period)))
    return allowed


def free_memory() -> int:
    """Bytes that can be taken without swapping; 0 where the system does not say."""
    free = []
    with suppress(OSError, IndexError, ValueError):
        lines = dict(line.split(":") for line in _MEMORY.read_text().splitlines())
        free.append(1024 * int(lines["MemAvailable"].split()[0]))
    with suppress(OSError, ValueError):  # no control groups, or no limit: "max"
        limit, used = (int((_CGROUP / f"memory.{name}").read_text()) for name in ("max", "current"))
        free.append(max(0, limit - used))
    return min(free, default=0)
