"""The figures of a training: one CSV file that goes on after a stop, and TensorBoard beside it."""

import csv
import functools
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from occ_core.files import read_text, write_text

FIGURES = "metrics.csv"


class TrainingLog(Logger):
    """Figures in FOLDER/metrics.csv, a row for each time that some are logged, and in TensorBoard's files beside it.

    `step` counts the steps done. A training that goes on from a checkpoint drops what was logged after that checkpoint,
    and appends.

    done : gives the number of steps done
    """

    def __init__(self, folder: Path, done: Callable[[], int]):
        super().__init__()
        self.folder, self._done = folder, done
        self._columns: list[str] | None = None
        self._board = None

    @property
    def name(self) -> str:
        return ""

    @property
    def version(self) -> str:
        return ""

    @property
    def save_dir(self) -> str:
        return str(self.folder)

    @rank_zero_only
    def go_on(self) -> None:
        """Begin to log after the steps that are done."""
        rows = [row for row in self._rows() if int(row["step"]) <= self._done()]
        self._columns = list(rows[0]) if rows else ["step"]
        self._write(rows)
        self._board = _board(self.folder, self._done())

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Lightning's own count of steps is not used: it differs from that of a checkpoint."""
        if self._columns is None:
            self.go_on()
        row = {"step": self._done(), **{name: value for name, value in metrics.items() if name != "epoch"}}
        new = [name for name in row if name not in self._columns]
        if new:
            self._columns += new
            self._write(self._rows())
        with (self.folder / FIGURES).open("a", newline="") as stream:
            csv.DictWriter(stream, self._columns).writerow(row)
        if self._board is not None:
            for name, value in row.items():
                if name != "step":
                    self._board.add_scalar(name, value, row["step"])

    @rank_zero_only
    def log_hyperparams(self, *_, **__) -> None:
        """Settings are in files of their own."""

    @rank_zero_only
    def picture(self, name: str, picture: np.ndarray) -> None:
        """Show an RGB picture (H, W, 3) uint8 in TensorBoard."""
        if self._board is not None:
            self._board.add_image(name, picture, self._done(), dataformats="HWC")

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Close the files; what is logged later opens them again."""
        if self._board is not None:
            self._board.close()
        self._board, self._columns = None, None

    def _rows(self) -> list[dict[str, str]]:
        """The whole rows of the file, with all columns."""
        path = self.folder / FIGURES
        lines = csv.DictReader(io.StringIO(read_text(path))) if path.is_file() else []
        # A stop may have cut the last line short.
        return [row for row in lines if None not in row.values() and row.get("step", "").isdigit()]

    def _write(self, rows: list[dict[str, str]]) -> None:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self._columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.folder / FIGURES, text.getvalue())


def _board(folder: Path, done: int):
    """TensorBoard's writer, None where it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        _say_no_board()
        return None
    return SummaryWriter(str(folder), purge_step=done + 1 if done else None)


@functools.cache
def _say_no_board() -> None:
    """One line a process."""
    print(f"tensorboard is not installed: figures go to logs/{FIGURES} alone (pip install tensorboard)", flush=True)
