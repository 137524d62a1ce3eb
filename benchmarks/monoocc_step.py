"""One step of MonoOcc's training, S and L, on SemanticKITTI-shaped data: time of its parts and memory.

    python -m benchmarks.monoocc_step [--sizes small-l base] [--recompute] [--sequence FOLDER] [--keep]

As `benchmarks.training_step` measures OccLE's: one frame (with all its views), float32, the GPU or two CPU threads.
With `--recompute` operations count as often as they are computed.
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch

from occ_data import DataError
from occ_models.config import ConfigError, load_config
from occ_models.monoocc.config import MonoOccConfig
from occ_models.monoocc.model import MonoOcc
from occ_models.monoocc.tasks import DepthTask, OccupancyLosses, OccupancyTask
from occ_models.recipe import TrainingConfig

from .measure import markdown
from .report import publish
from .training_step import PARTS, THREADS, Phases, load_batch, measure

SIZES = ("small-l", "base")


def phases(config: MonoOccConfig, training: TrainingConfig) -> Phases:
    """The tasks of the student's phases; of L, which starts from S's depth phase, only the second."""
    if len(config.views) == 1:
        yield "depth", DepthTask(MonoOcc(config), training, 1)
    yield "occupancy", OccupancyTask(MonoOcc(config), training, 1, OccupancyLosses())


def measure_size(size: str, sequence: Path | None, repeats: int, recompute: bool) -> dict:
    """As `training_step.measure`, with the number of views."""
    torch.set_num_threads(THREADS)
    config, training = load_config(size, MonoOccConfig), TrainingConfig(recompute=recompute)
    tasks = partial(phases, training=training)
    result = measure(config, load_batch(config, sequence, 1), repeats, tasks)
    return {**result, "views": len(config.views), "recompute": recompute}


def table(results: list[dict]) -> str:
    """For docs/results.md."""
    rows = []
    for result in results:
        for phase, measured in result["phases"].items():
            seconds = measured["seconds"]
            rows.append(
                [
                    f"`{result['size']}`, {phase}" + (", recomputed" if result["recompute"] else ""),
                    f"{result['views']}",
                    f"{result['parameters'] / 1e6:.1f}",
                    f"{measured['flop'] / 1e12:.2f}",
                    *(f"{seconds[part]:.3g}" for part in PARTS),
                    f"{measured['peak_bytes'] / 1e9:.1f}",
                ]
            )
    header = ["phase", "views", "M parameters", "TFLOP a frame", *(f"{part}, s" for part in PARTS), "peak, GB"]
    return markdown([f"{results[0]['device']}: {header[0]}", *header[1:]], rows)


def main(argv: list[str] | None = None) -> int:
    """Measure, print; kept with the other figures on demand."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.monoocc_step", description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", nargs="+", default=SIZES, help=f"sizes or YAML files (default: {' '.join(SIZES)})")
    parser.add_argument(
        "--repeats", type=int, default=0, help="steps after the first, which then does not count (default: %(default)s)"
    )
    parser.add_argument("--recompute", action="store_true", help="as that of occ-train: less memory, more time")
    parser.add_argument(
        "--sequence", type=Path, help="sequence folder with voxels/*.label (default: a synthetic frame)"
    )
    parser.add_argument("--keep", action="store_true", help="keep the figures with the others and fill docs/results.md")
    arguments = parser.parse_args(argv)
    results = []
    try:
        for size in arguments.sizes:
            # A process each: the memory that a process reports is the largest that it ever had.
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                results.append(
                    pool.submit(measure_size, size, arguments.sequence, arguments.repeats, arguments.recompute).result()
                )
    except BrokenProcessPool:
        print(f"monoocc_step: {size}: the process was killed, as by a system out of memory", file=sys.stderr)
        return 1
    except (ConfigError, DataError) as error:
        print(f"monoocc_step: {error}", file=sys.stderr)
        return 1
    publish("monoocc_step", {"sizes": results}, {"monoocc_step": table(results)}, arguments.keep)
    return 0


if __name__ == "__main__":
    sys.exit(main())
