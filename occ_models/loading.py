"""How many processes load frames, and how much memory decoded frames may take: from the machine where not stated."""

from typing import NamedTuple

from occ_core.machine import free_memory, usable_cores

from .recipe import TrainingConfig

MOST_WORKERS = 8
WORKER_BYTES = 1e9
"""What one loading process is reckoned to need."""
MOST_CACHE_GB = 32.0


class Loading(NamedTuple):
    """What each training process of this machine has: loading processes, and gigabytes for the frames they share."""

    workers: int
    cache_gb: float

    def __str__(self) -> str:
        return f"{self.workers} loading processes, {self.cache_gb:.1f} GB for decoded frames"


def loading(training: TrainingConfig, cores: int | None = None, memory: int | None = None) -> Loading:
    """What the settings say; where they are -1, a core for each process that trains and one for each that loads, a
    quarter of the free memory for decoded frames and at most half for loading processes.

    cores, memory : usable cores and free bytes; None: this machine's
    """
    cores = usable_cores() if cores is None else cores
    memory = free_memory() if memory is None else memory
    workers, cache = training.workers, training.cache_gb
    if workers < 0:
        affordable = int(memory / 2 / training.devices / WORKER_BYTES)
        workers = max(1, min(cores // training.devices - 1, affordable, MOST_WORKERS))
    if cache < 0:
        cache = min(memory / 4e9, MOST_CACHE_GB)
    return Loading(workers, cache / training.devices)
