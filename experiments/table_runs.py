"""Trainings behind the tables on the synthetic world: their streets, and running several rows at a time."""

import argparse
import csv
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing import get_context
from pathlib import Path
from statistics import mean, stdev

import torch
import tqdm

from occ_data.kitti import Sequence
from occ_data.synthetic import generate

STREETS, HELD_OUT = range(300, 360), range(200, 206)
FRAMES = 10


def arguments_of(argv: list[str] | None, name: str, about: str, output: Path) -> argparse.Namespace:
    """The command line of a benchmark that trains rows."""
    parser = argparse.ArgumentParser(
        prog=f"python -m experiments.{name}", description=about, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--processes", type=int, default=2, help="trainings side by side, one thread each")
    parser.add_argument("--output", type=Path, default=output, help=f"data and trainings (default: {output})")
    parser.add_argument("--keep", action="store_true", help="keep the figures with the others and fill docs/results.md")
    return parser.parse_args(argv)


def make_streets(root: Path) -> None:
    """Make streets of frames 4 to 6 m apart with their pixels' classes, and streets to measure on, in ROOT/data."""
    for streets, labels in ((STREETS, True), (HELD_OUT, False)):
        for n in streets:
            if len(list((root / "data" / "sequences" / str(n) / "voxels").glob("*.label"))) < FRAMES:
                generate(root / "data", str(n), FRAMES, n, step=(4.0, 5.0, 6.0)[n % 3], pixel_labels=labels)


def streets(root: Path, names: Iterable[int], data: str = "data") -> list[Sequence]:
    """Sequences of ROOT/data."""
    return [Sequence(root / data / "sequences" / str(n)) for n in names]


def folder_of(root: Path, name: str, seed: int) -> Path:
    """Folder of a row's training."""
    return root / f"seed{seed}" / name.replace(" %", "").replace(", ", "-").replace(" ", "-")


def run_jobs(train: Callable, jobs: list[tuple], processes: int, title: str) -> None:
    """`train(*job)` for each job, `processes` of them at a time, each with one thread."""
    torch.set_num_threads(1)
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for _ in tqdm.tqdm(pool.map(train, *zip(*jobs, strict=True)), total=len(jobs), desc=title, unit="training"):
            pass


def train_row(folder: Path, phase: str, takes: dict[str, Path], train: Callable[[], object]) -> None:
    """One phase of one row; phases from other rows are linked, and the output goes to a file."""
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    for taken, other in takes.items():
        if not (folder / taken).exists():
            os.symlink(other.resolve() / taken, folder / taken)
    with (folder / f"{phase}.txt").open("a") as log, redirect_stdout(log), redirect_stderr(log):
        train()


def figures(folder: Path, phase: str) -> dict[str, float]:
    """Figures that a phase measured at its end."""
    with (folder / phase / "logs" / "metrics.csv").open() as lines:
        rows = [row for row in csv.DictReader(lines) if row.get("iou") or row.get("miou_2d")]
    return {key: float(value) for key, value in rows[-1].items() if value and not key.startswith("train/")}


def spread(values: list[float]) -> str:
    """Mean and standard deviation over the seeds."""
    return f"{mean(values):.2f} ± {stdev(values):.2f}" if len(values) > 1 else f"{values[0]:.2f}"


def same(names: Iterable[str]) -> dict[str, str]:
    """Rows shown under their own names."""
    return {name: name for name in names}
