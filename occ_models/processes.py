"""Work that processes which train together share."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch.distributed as distributed


@contextmanager
def shared_work(number: int) -> Iterator[tuple[range, int]]:
    """This process's share of so many items, and its rank; at the end each waits for all."""
    together = distributed.is_available() and distributed.is_initialized()
    rank, world = (distributed.get_rank(), distributed.get_world_size()) if together else (0, 1)
    yield range(rank, number, world), rank
    if together:
        distributed.barrier()
