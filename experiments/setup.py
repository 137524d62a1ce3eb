"""What all trainings of a table share, from its command line."""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from occ_cli.arguments import positive
from occ_core.machine import usable_cores
from occ_models.config import ConfigError, load_config, overlaid
from occ_models.loading import MOST_WORKERS, loading
from occ_models.networks import Network
from occ_models.recipe import TrainingConfig, load_recipe

STEPS = 400
"""Steps of a phase whose length is 1."""
TRAINING = {"learning_rate": 2e-3, "warmup": 50, "average": 0.99, "checkpoint_every": 250}
"""Of trainings that are so short."""


@dataclass(frozen=True)
class Setup:
    """What all trainings of a table share.

    size : name or file of the network's configuration; recipe : what rows change
    drives : what `occ_data.open_drive` takes, by use: "train", "validation", and others that a table has
    devices : GPUs, 0: the CPU; processes : trainings side by side on each, or on the CPU
    cache_gb : memory for decoded frames, of all together
    """

    network: Network
    size: str
    recipe: Any
    drives: dict[str, list[str]]
    output: Path
    seeds: list[int]
    devices: int = 0
    processes: int = 1
    cache_gb: float = 1.0

    @property
    def together(self) -> int:
        """Trainings side by side."""
        return max(self.devices, 1) * self.processes

    @property
    def machine(self) -> dict[str, Any]:
        """Settings of each training that do not change what is learned: measured once, at its end."""
        workers = min(max(usable_cores() // self.together - 1, 1), MOST_WORKERS) if self.devices else 0
        return {
            "accelerator": "gpu" if self.devices else "cpu", "devices": 1, "nodes": 1, "workers": workers,
            "cache_gb": self.cache_gb / self.together, "validate_every": sys.maxsize,
        }  # fmt: skip


def parser_of(name: str, about: str, output: str) -> argparse.ArgumentParser:
    """The command line that all tables have."""
    parser = argparse.ArgumentParser(
        prog=f"python -m experiments.{name}", description=about, formatter_class=argparse.RawTextHelpFormatter
    )
    drives = "sequence folders, bags, or synthetic:SEED:FRAMES"
    parser.add_argument("--size", default="pico", help="the network's configuration, a name or a file (default: pico)")
    parser.add_argument("--recipe", help="what the rows change, a name or a file (default: the network's, shortened)")
    parser.add_argument("--train", nargs="+", metavar="DRIVE", help=f"{drives} to train on (default: made streets)")
    parser.add_argument("--validation", nargs="+", metavar="DRIVE", help=f"{drives} to measure on")
    parser.add_argument(
        "--steps", type=positive, help=f"steps of a phase of length 1 (default: {STEPS}, or the lengths of --recipe)"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--rows", nargs="+", metavar="ROW", help="rows to train, with the phases they take (default: all)"
    )
    parser.add_argument("--list", action="store_true", help="print rows, phases and steps, and end")
    parser.add_argument("--devices", type=int, default=0, help="GPUs, each training on one (default: 0, the CPU)")
    parser.add_argument("--processes", type=positive, help="trainings side by side: on the CPU 2, on each GPU 1")
    parser.add_argument("--output", type=Path, default=Path(output), help=f"data and trainings (default: {output})")
    parser.add_argument("--keep", action="store_true", help="keep the figures with the others and fill docs/results.md")
    return parser


def setup_of(
    arguments: argparse.Namespace, network: Network, defaults: dict, lengths: dict[str, float],
    make_data: Callable[[Path], dict[str, list[str]]],
) -> Setup:  # fmt: skip
    """The setup that a command line asks for.

    defaults : changes of the network's recipe where `--recipe` names none; lengths : of its phases, in `--steps`
    make_data : makes the synthetic streets in a folder and gives `Setup.drives`

    Raises ConfigError.
    """
    if bool(arguments.train) != bool(arguments.validation):
        raise ConfigError("--train, --validation: expected both, or none of them for synthetic streets")
    found = torch.cuda.device_count() if arguments.devices else 0
    if not 0 <= arguments.devices <= found:
        raise ConfigError(f"--devices {arguments.devices}: expected 0 to {torch.cuda.device_count()}, the GPUs here")
    recipe = load_recipe(arguments.recipe, network.recipe)
    if arguments.recipe is None:
        recipe = overlaid(recipe, {"training": TRAINING, **defaults})
    if arguments.steps or arguments.recipe is None:
        steps = {f"{phase}_steps": round((arguments.steps or STEPS) * length) for phase, length in lengths.items()}
        recipe = replace(recipe, **steps, **{f"{phase}_epochs": 0.0 for phase in lengths})
    load_config(arguments.size, network.config)  # refused before any data are made
    drives = {"train": arguments.train, "validation": arguments.validation}
    if not arguments.train and not arguments.list:
        drives = make_data(arguments.output)
    processes = arguments.processes or (1 if arguments.devices else 2)
    return Setup(
        network,
        arguments.size,
        recipe,
        drives,
        arguments.output,
        arguments.seeds,
        arguments.devices,
        processes,
        loading(TrainingConfig()).cache_gb,
    )
