"""Frames that one core loads for training in a second, and how many loading processes a GPU's step needs.

    python -m benchmarks.loading [--sizes nano base] [--sequence FOLDER] [--step-ms 60] [--batch 1] [--keep]

OccLE's samples with every target and the joint phase's augmentation, from SemanticKITTI's files: those of a sequence
with voxel labels, or of a synthetic drive of KITTI's shape. First from the files each time, then with decoded frames in
memory. Time is the CPU time of one thread, with the files in the system's cache: a slow disk comes on top. Needs torch.
"""

import argparse
import math
import statistics
import sys
import tempfile
import time
from pathlib import Path

import cv2
import torch
import tqdm

from occ_data import DataError, Drive, open_drive
from occ_data.synthetic import generate
from occ_models.config import ConfigError, load_config
from occ_models.data import FrameDataset
from occ_models.frame_cache import FrameCache
from occ_models.frames import Frame, frames_of
from occ_models.occle.augmentation import SUPERVISED
from occ_models.occle.config import OccLEConfig
from occ_models.sampling import Draw

from .measure import markdown
from .report import publish

SIZES = ("nano", "base")
CACHE_GB = 4.0


def measure(drive: Drive, sizes: list[str], count: int, step_ms: float, batch: int) -> dict:
    """Frames a second of one core, from files and from memory, and the processes that such a step needs."""
    frames = frames_of([drive])
    results = [measure_size(load_config(size, OccLEConfig), frames, count) for size in sizes]
    for result in results:
        for source in ("files", "memory"):
            result[f"workers_{source}"] = workers_for(batch, step_ms, result[f"{source}_per_s"])
    return {"step_ms": step_ms, "batch": batch, "frames": len(frames), "sizes": results}


def measure_size(config: OccLEConfig, frames: list[Frame], count: int) -> dict:
    """`count` draws of the frames in turn, from files and from memory."""
    result = {"size": config.name}
    for source, gigabytes in (("files", 0.0), ("memory", CACHE_GB)):
        cache = FrameCache(gigabytes)
        data, seconds = FrameDataset(frames, config, SUPERVISED, cache=cache), []
        for n in range(len(frames)):  # compiled functions, and the cache
            data[n]
        for n in tqdm.trange(count, desc=f"{config.name} from {source}", unit="frame", leave=False):
            start = time.process_time()
            data[Draw(n % len(frames), n)]
            seconds.append(time.process_time() - start)
        result[f"{source}_per_s"] = 1 / statistics.median(seconds)
        result["frame_bytes"] = cache.used / len(frames)
    return result


def workers_for(batch: int, step_ms: float, frames_per_s: float) -> int:
    """Processes, each on a core of its own, that load a batch within a step."""
    return math.ceil(batch / (step_ms / 1e3) / frames_per_s)


def table(result: dict) -> str:
    """For docs/results.md."""
    rows = [
        [
            f"`{size['size']}`",
            f"{size['files_per_s']:.1f}",
            size["workers_files"],
            f"{size['memory_per_s']:.1f}",
            size["workers_memory"],
            f"{size['frame_bytes'] / 1e6:.1f}",
        ]
        for size in result["sizes"]
    ]
    step = f"batches of {result['batch']} in {result['step_ms']:g} ms"
    files, memory = ((f"frames/s from {source}", f"processes for {step}") for source in ("files", "memory"))
    return markdown(["one core", *files, *memory, "memory for a frame, MB"], rows)


def main(argv: list[str] | None = None) -> int:
    """Measure, print; kept with the other figures on demand."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loading", description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", nargs="+", default=SIZES, help=f"sizes or YAML files (default: {' '.join(SIZES)})")
    parser.add_argument("--sequence", type=Path, help="sequence folder with voxels/*.label (default: a synthetic one)")
    parser.add_argument("--frames", type=int, default=30, help="frames to load (default: %(default)s)")
    parser.add_argument("--step-ms", type=float, default=60.0, help="a GPU's step, milliseconds (default: %(default)g)")
    parser.add_argument("--batch", type=int, default=1, help="frames a step (default: %(default)s)")
    parser.add_argument("--keep", action="store_true", help="keep the figures with the others and fill docs/results.md")
    arguments = parser.parse_args(argv)
    for name in ("frames", "step_ms", "batch"):
        if not getattr(arguments, name) > 0:
            parser.error(f"--{name.replace('_', '-')}: expected more than 0, got {getattr(arguments, name)}")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            source = arguments.sequence or generate(folder, "90", frames=6, seed=1, progress=False)
            drive = open_drive(source)
            result = measure(drive, arguments.sizes, arguments.frames, arguments.step_ms, arguments.batch)
    except ModuleNotFoundError as error:
        needs = f"the synthetic world needs {error.name}; install it with: pip install 'occ_node[synth]'"
        print(f"loading: {needs}, or give --sequence", file=sys.stderr)
        return 1
    except (ConfigError, DataError) as error:
        print(f"loading: {error}", file=sys.stderr)
        return 1
    publish("loading", result, {"loading": table(result)}, arguments.keep)
    return 0


if __name__ == "__main__":
    sys.exit(main())
