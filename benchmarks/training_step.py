"""One step of each phase of OccLE's training on SemanticKITTI-shaped data: time of its parts and memory.

    python -m benchmarks.training_step [--size base] [--recipe paper] [--recompute] [--sequence FOLDER] [--keep]

In float32, on the GPU where there is one, otherwise on two threads of the CPU. Without a sequence, on a frame of the
synthetic world. Memory is what the steps up to this phase need beside the interpreter, its libraries and the data: by
how much the process' largest size grows on a CPU, torch's largest allocation on a GPU. With `--recompute` operations
count as often as they are computed. Needs torch and lightning.
"""

import argparse
import resource
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import torch
import tqdm
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from occ_data import DataError, open_drive
from occ_data.synthetic import generate
from occ_models.config import ConfigError, load_config, map_shape
from occ_models.data import FrameDataset, collate
from occ_models.frames import frames_of
from occ_models.occle.config import OccLEConfig
from occ_models.occle.model import OccLE
from occ_models.occle.projection import Projection
from occ_models.occle.recipe import OccLERecipe
from occ_models.occle.tasks import GeometricTask, JointLosses, JointTask, SemanticTask
from occ_models.plan import F16_PEAKS, gpu_hours
from occ_models.recipe import load_recipe, network_of, steps_of
from occ_models.training import Task

from .measure import markdown
from .report import publish

THREADS, REPEATS = 2, 3
PARTS = ("forward", "backward", "optimiser")
OURS = OccLERecipe()
PAPERS_FRAMES = 3834  # SemanticKITTI's training split


def load_batch(config, sequence: Path | None, size: int) -> dict:
    """`size` frames of a sequence with voxel labels, or of a synthetic drive; repeated where it has fewer."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            sequence = sequence or generate(folder, "90", frames=1, seed=1, progress=False)
        except ModuleNotFoundError as error:
            needs = f"the synthetic world needs {error.name}; install it with: pip install 'occ_node[synth]'"
            raise DataError(f"{needs}, or give --sequence") from None
        data = FrameDataset(frames_of([open_drive(sequence)]), config)
        return collate([data[n % len(data)] for n in range(size)])


class Stopwatch:
    """Seconds of each part, from lap to lap, with the device's work done."""

    def __init__(self, device: torch.device):
        self.device, self.seconds = device, defaultdict(list)
        self.lap()

    def lap(self, part: str | None = None) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        now = time.perf_counter()
        if part:
            self.seconds[part].append(now - self.since)
        self.since = now


class Operations(TorchDispatchMode):
    """Operations of convolutions and matrix products. Torch's own counter also keeps each module's tensors alive, so
    that activations which are computed again would never be freed.
    """

    def __init__(self):
        super().__init__()
        self.flop = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            self.flop += count(*args, **(kwargs or {}), out_val=result)
        return result


Phases = Iterator[tuple[str, Task]]


def phases(config: OccLEConfig, recipe: OccLERecipe = OURS) -> Phases:
    """The task of each phase of the paper, one after another, each with a fresh network and a recipe's losses."""
    training, weights = recipe.training, asdict(recipe.loss_weights)
    yield "semantic", SemanticTask(OccLE(config), training, 1, weights)
    yield "geometric", GeometricTask(OccLE(config), training, 1, True, weights, recipe.occupied_weight)
    grid, plain = config.preprocess.grid.coarsen(config.preprocess.lifting_factor), recipe.projection_scale == "plain"
    projection = Projection(config.channels, grid, map_shape(config), plain=plain)
    used = JointLosses(affinity_mass=recipe.affinity_mass, projection=projection, freeze_geometric=True)
    yield "joint", JointTask(OccLE(config), training, 1, used, weights)


def measure(config, batch: dict, repeats: int = REPEATS, phases: Callable[..., Phases] = phases) -> dict:
    """Medians over the steps after the first, in which operations are counted and the optimiser makes its state; with
    no repeats, the times of the first.

    phases : configuration -> the tasks to measure
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    batch = {name: value.to(device) if torch.is_tensor(value) else value for name, value in batch.items()}
    before, result = peak_memory(device), {}
    torch.manual_seed(0)
    for phase, task in phases(config):
        task = task.to(device).train()
        optimizer, watch, flop = task.configure_optimizers()["optimizer"], Stopwatch(device), 0
        for turn in tqdm.trange(1 + repeats, desc=f"{config.name}, {phase}", unit="step", leave=False):
            with nullcontext() if turn else Operations() as counter:
                watch.lap()
                loss = sum(task.weighted_losses(batch).values())
                watch.lap("forward")
                loss.backward()
                watch.lap("backward")
            flop = flop or counter.flop
            torch.nn.utils.clip_grad_norm_(task.learning(), task.training_config.clip)
            optimizer.step()
            optimizer.zero_grad()
            task.average.update_parameters(task.model)
            watch.lap("optimiser")
        result[phase] = {
            "loss": loss.item(),
            "flop": flop,
            "seconds": {part: statistics.median(watch.seconds[part][min(repeats, 1) :]) for part in PARTS},
            "peak_bytes": peak_memory(device) - before,
        }
    return {
        "size": config.name,
        "batch": len(batch["labels"]),
        "device": torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads",
        "parameters": sum(p.numel() for p in task.model.parameters()),
        "phases": result,
    }


def peak_memory(device: torch.device) -> int:
    """Most memory held so far, bytes."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated()
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def tables(result: dict) -> dict[str, str]:
    """For docs/results.md: the measured step, and, of the paper's recipe, an estimate of all of it."""
    steps, rows, estimates = paper_steps(), [], []
    for phase, measured in result["phases"].items():
        seconds = measured["seconds"]
        rows.append(
            [
                phase,
                f"{measured['flop'] / result['batch'] / 1e12:.2f}",
                *(f"{seconds[part]:.3g}" for part in PARTS),
                f"{sum(seconds.values()):.3g}",
                f"{measured['peak_bytes'] / 1e9:.1f}",
            ]
        )
        flop = measured["flop"] / result["batch"]
        cells = [f"{gpu_hours(flop, steps[phase], peak, n):.1f}" for peak in F16_PEAKS.values() for n in (1, 8)]
        estimates.append([phase, f"{steps[phase]:,}", *cells])
    recipe = result["recipe"]
    with_recipe = f" with `--recipe {recipe}`" if recipe else ""
    title = f"`{result['size']}`{with_recipe}, {result['parameters'] / 1e6:.1f} M parameters, batch {result['batch']}"
    header = [
        f"{title}, {result['device']}",
        "TFLOP a frame",
        *(f"{part}, s" for part in PARTS),
        "**step**, s",
        "peak, GB",
    ]
    columns = [f"{n} x {gpu}, h" for gpu in F16_PEAKS for n in (1, 8)]
    made = {section_of(recipe): markdown(header, rows)}
    if recipe == OccLERecipe.paper:
        made["training_cost"] = markdown(["estimated, not measured", "frames seen", *columns], estimates)
    return made


def section_of(recipe: str | None) -> str:
    """Name of the figures of a recipe's steps, and of their table."""
    return f"training_step_{recipe}" if recipe else "training_step"


def paper_steps() -> dict[str, int]:
    """Frames that each phase of the paper's recipe sees."""
    recipe = load_recipe("paper", OccLERecipe)
    frames = dict.fromkeys(recipe.all_phases, PAPERS_FRAMES) | {"teacher": round(recipe.share * PAPERS_FRAMES)}
    steps = {phase: steps_of(recipe, phase, count) for phase, count in frames.items()}
    return {"semantic": steps["semantic"], "geometric": steps["teacher"] + steps["student"], "joint": steps["joint"]}


def main(argv: list[str] | None = None) -> int:
    """Measure, print; kept with the other figures on demand."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training_step", description=__doc__.partition("\n")[0])
    parser.add_argument("--size", default="base", help="size or YAML file (default: %(default)s)")
    parser.add_argument("--recipe", help="whose network and losses are measured, as that of occ-train")
    parser.add_argument("--recompute", action="store_true", help="as that of occ-train: less memory, more time")
    parser.add_argument("--batch", type=int, default=1, help="frames a step (default: %(default)s)")
    parser.add_argument(
        "--repeats", type=int, default=REPEATS, help="steps after the first; 0: the first one counts (%(default)s)"
    )
    parser.add_argument(
        "--sequence", type=Path, help="sequence folder with voxels/*.label (default: a synthetic frame)"
    )
    parser.add_argument("--keep", action="store_true", help="keep the figures with the others and fill docs/results.md")
    arguments = parser.parse_args(argv)
    if arguments.batch < 1:
        parser.error(f"--batch: expected at least 1, got {arguments.batch}")
    torch.set_num_threads(THREADS)
    try:
        recipe = load_recipe(arguments.recipe, OccLERecipe)
        recipe = replace(recipe, training=replace(recipe.training, recompute=arguments.recompute))
        config = network_of(load_config(arguments.size, OccLEConfig), recipe)
        batch, tasks = load_batch(config, arguments.sequence, arguments.batch), partial(phases, recipe=recipe)
        result = measure(config, batch, arguments.repeats, tasks)
        result |= {"recipe": arguments.recipe, "recompute": arguments.recompute}
    except (ConfigError, DataError) as error:
        print(f"training_step: {error}", file=sys.stderr)
        return 1
    publish(section_of(arguments.recipe), result, tables(result), arguments.keep)
    return 0


if __name__ == "__main__":
    sys.exit(main())
