"""What a trained network writes to files for others to learn from; processes that train together share the work."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.distributed as distributed
from torch import Tensor
from torch.utils.data import DataLoader, Subset
from tqdm import tqdm

from .data import FrameDataset, collate, inputs_of
from .layers.head import OccupancyNetwork


@contextmanager
def shared_work(number: int) -> Iterator[tuple[range, int]]:
    """This process's share of `number` items, and its rank; at the end each process waits for all."""
    together = distributed.is_available() and distributed.is_initialized()
    rank, world = (distributed.get_rank(), distributed.get_world_size()) if together else (0, 1)
    yield range(rank, number, world), rank
    if together:
        distributed.barrier()


def write_missing(
    teacher: OccupancyNetwork,
    data: FrameDataset,
    files: dict[int, Path],
    output: Callable[..., Tensor],
    write: Callable[[Path, Tensor], None],
) -> None:
    """Write the teacher's output for each item of a data set whose file is missing.

    data : not augmented; files : by item; output : the teacher's inputs -> what is written, called without gradients
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    teacher.to(device).eval()
    items = list(files)
    with shared_work(len(items)) as (mine, rank):
        missing = [items[n] for n in mine if not files[items[n]].is_file()]
        loader = DataLoader(Subset(data, missing), collate_fn=collate)
        for item, batch in zip(missing, tqdm(loader, desc="teacher", unit="frame", disable=rank > 0), strict=True):
            with torch.no_grad():
                result = output(*(tensor.to(device) for tensor in inputs_of(batch, teacher.config)))
            write(files[item], result)
