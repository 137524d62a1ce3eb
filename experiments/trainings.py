"""The trainings behind a table: several at a time, those that are complete left alone."""

import os
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from multiprocessing import get_context

import torch
import tqdm

from occ_core.errors import ReportedError
from occ_data import open_drive
from occ_data.parallel import end_with_parent
from occ_models.config import load_config, overlaid
from occ_models.frame_cache import FrameCache
from occ_models.phases import TrainingRun, train
from occ_models.recipe import network_of
from occ_models.weights import WEIGHTS

from .rows import Row, folder_of, with_taken
from .setup import Setup


def train_rows(setup: Setup, rows: dict[str, Row], wanted: Iterable[str]) -> None:
    """Train the rows that are wanted, and the phases that they take from others; those that others wait for come first.

    Raises ReportedError with the row, the seed and the phase.
    """
    phases = with_taken(wanted, rows, setup.recipe)
    jobs = {
        phase: [(name, seed) for name in phases if phase in phases[name] for seed in setup.seeds]
        for phase in setup.recipe.all_phases
    }
    context = get_context("spawn")
    places = context.Queue()
    for number in range(setup.together):
        places.put(number // setup.processes)
    bar = tqdm.tqdm(total=sum(map(len, jobs.values())), unit="training", dynamic_ncols=True)
    pool = ProcessPoolExecutor(setup.together, context, _take_place, (setup.devices, places))
    with bar, pool:
        for phase, waiting in jobs.items():
            bar.set_description(phase)
            running = [pool.submit(_train_phase, setup, rows[name], name, seed, phase, rows) for name, seed in waiting]
            for done in as_completed(running):
                if done.exception():
                    pool.shutdown(cancel_futures=True)
                bar.write(done.result())
                bar.update()


def _take_place(devices: int, places) -> None:
    """What a process does first: one thread on the CPU, or one GPU for itself."""
    end_with_parent()
    place = places.get()
    if devices:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        os.environ["CUDA_VISIBLE_DEVICES"] = visible.split(",")[place] if visible else str(place)
    else:
        torch.set_num_threads(1)


@cache
def _frames(gigabytes: float) -> FrameCache:
    """The frames that all trainings of a process share."""
    return FrameCache(gigabytes)


def _train_phase(setup: Setup, row: Row, name: str, seed: int, phase: str, rows: dict[str, Row]) -> str:
    """One phase of one row, in a process of its own; its output goes to a file. Gives a line for the user."""
    folder, began = folder_of(setup.output, name, seed), time.monotonic()
    link_taken(setup, rows, name, seed)
    what = f"{phase} of {name}, seed {seed}"
    if (folder / phase / WEIGHTS).is_file():
        what = f"{what}: was complete"
    try:
        with (folder / f"{phase}.txt").open("a") as log, redirect_stdout(log), redirect_stderr(log):
            run = run_of(setup, row, name, seed)
            train(run, setup.network.make_phases(run), only=(phase,))
    except ReportedError as error:
        raise type(error)(f"{what}: {error}") from None
    return f"{what}: {time.monotonic() - began:.0f} s, {folder / phase}"


def link_taken(setup: Setup, rows: dict[str, Row], name: str, seed: int) -> None:
    """Make a row's folder, with links to the phases that it takes."""
    folder, row = folder_of(setup.output, name, seed), rows[name]
    folder.mkdir(parents=True, exist_ok=True)
    if row.takes:
        link_taken(setup, rows, row.takes, seed)
    for taken in row.taken(setup.recipe):
        if not (folder / taken).exists():
            (folder / taken).symlink_to(folder_of(setup.output, row.takes, seed).resolve() / taken)


def run_of(setup: Setup, row: Row, name: str, seed: int) -> TrainingRun:
    """A row's training."""
    recipe = overlaid(row.recipe(setup.recipe), {"training": {**setup.machine, "seed": seed}})
    config = network_of(load_config(setup.size, setup.network.config), recipe)
    train_on, measure_on = ([open_drive(drive) for drive in setup.drives[use]] for use in (row.data, "validation"))
    cached = _frames(recipe.training.cache_gb)
    return TrainingRun(config, recipe, train_on, measure_on, folder_of(setup.output, name, seed), shared_cache=cached)
