"""Trainings behind a table on any data: the synthetic streets, or drives that the command line names."""

import argparse
import os
from dataclasses import dataclass, replace
from multiprocessing import current_process
from pathlib import Path

import torch

from occ_data import DataError, Drive, open_drive
from occ_models.config import ConfigError
from occ_models.recipe import TrainingConfig

from .occle_runs import SIZE, STEPS, TRAINING, make_data
from .table_runs import HELD_OUT, STREETS


@dataclass(frozen=True)
class TableRun:
    """What the trainings of a table have in common.

    root : folder of the trainings, and of the synthetic streets; size : network, a shipped one or a YAML file
    train, unaligned, validation : drives as `open_drive` takes them; `unaligned` are those of `train` with pseudo
        labels of the rule table `none`, () where there are none
    steps : of phase II's teacher, those of the other phases are multiples of it
    devices : GPUs over which the trainings are spread, one each; 0: all on the CPU
    """

    root: Path
    size: str
    train: tuple[str, ...]
    unaligned: tuple[str, ...]
    validation: tuple[str, ...]
    steps: int
    devices: int

    def training(self, seed: int, steps: int) -> TrainingConfig:
        """Settings of one training, which is measured at its end. Where there are GPUs, a process of `run_jobs` takes
        one of them for all its trainings.
        """
        number = current_process().name.rpartition("-")[2]
        if self.devices and number.isdecimal():
            os.environ["CUDA_VISIBLE_DEVICES"] = str(int(number) % self.devices)
        accelerator = "gpu" if self.devices else "cpu"
        return replace(TRAINING, seed=seed, validate_every=steps, accelerator=accelerator)


def drives(names: tuple[str, ...]) -> list[Drive]:
    """The drives of these names. Raises DataError for one that cannot be opened."""
    return [open_drive(name) for name in names]


def add_options(parser: argparse.ArgumentParser, output: Path) -> None:
    """The options of every table that can be made on any data."""
    add = parser.add_argument
    add("--size", default=SIZE, help=f"network: a shipped one or a YAML file (default: {SIZE})")
    add("--train", nargs="+", default=[], metavar="DRIVE", help="drives to train on (default: synthetic streets)")
    add("--validation", nargs="+", default=[], metavar="DRIVE", help="drives to measure on; goes with --train")
    add(
        "--steps", type=int, default=STEPS,
        help=f"of phase II's teacher; phase I has three times as many, phase III twice (default: {STEPS})",
    )  # fmt: skip
    add("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add("--devices", type=int, default=0, help="GPUs over which the trainings are spread; 0: the CPU (default)")
    add("--processes", type=int, default=2, help="trainings side by side, one CPU thread each (default: 2)")
    add("--output", type=Path, default=output, help=f"data and trainings (default: {output})")
    add("--keep", action="store_true", help="keep the figures with the others and fill docs/results.md")


def table_run(arguments: argparse.Namespace, unaligned: list[str]) -> TableRun:
    """What the command line asks for; makes the synthetic streets where it names no drives. Raises DataError and
    ConfigError.
    """
    if bool(arguments.train) != bool(arguments.validation):
        raise DataError("--train and --validation: expected both, or neither for the synthetic streets")
    if unaligned and not arguments.train:
        raise DataError("--unaligned: goes with --train; the synthetic streets have labels of both kinds")
    found = torch.cuda.device_count() if arguments.devices else 0
    if not 0 <= arguments.devices <= found:
        raise ConfigError(f"--devices {arguments.devices}: expected 0 to {found}, the GPUs of this machine")
    root = arguments.output
    if arguments.train:
        named = tuple(arguments.train), tuple(unaligned), tuple(arguments.validation)
        for names in named:
            drives(names)
    else:
        make_data(root)
        named = tuple(
            tuple(str(root / data / "sequences" / str(n)) for n in names)
            for data, names in (("data", STREETS), ("unaligned", STREETS), ("data", HELD_OUT))
        )
    return TableRun(root, arguments.size, *named, steps=arguments.steps, devices=arguments.devices)
