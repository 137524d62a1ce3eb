"""Cross-plane synergy compared with Conv3D and 3-D deformable attention: operations and time.

    python -m experiments.synergy_cost [--size base nano] [--keep]

Eval mode, one frame, float32, two threads of this CPU, taking turns in one run. Operations are those of convolutions
and matrix products, a multiply-add counting as two, without the samples of deformable attention and the products of
eq. 4. Weights are random: the samples lie in rows, which suits the cache best. Needs torch.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.frames import plain_street
from benchmarks.measure import markdown, medians, milliseconds, ratio
from benchmarks.report import publish
from occ_core import FramePreprocessor
from occ_models.config import ConfigError, load_config
from occ_models.occle.config import OccLEConfig
from occ_models.occle.geometric import GeometricEncoders
from occ_models.occle.lidar import VoxelFeatureEncoder, spread
from occ_models.occle.model import BRANCHES

SIZES = ("base", "nano")
THREADS, REPEATS = 2, 10
TITLES = {"dense": "Conv3D + 3-D deformable attention", "cross-plane": "cross-plane (eq. 3, 4)"}


def arguments_of_a_branch(config: OccLEConfig) -> tuple[Tensor, ...]:
    """image, voxel_grid, active, lifting of a frame: the arguments of `OccLE`'s geometric branch."""
    at = plain_street()
    made = FramePreprocessor(config.preprocess)(at.image, at.points, at.calibration)
    frame = {name: torch.from_numpy(array) for name, array in made.items()}
    counts, table = frame["voxel_counts"], frame["voxel_table"]
    features = VoxelFeatureEncoder(config.voxel_channels, config.preprocess.grid)(frame["voxels"], counts)
    return frame["image"], spread(features, table), spread((counts > 0).float().unsqueeze(1), table), frame["lifting"]


def flop(step: Callable[[], object]) -> int:
    """Operations of convolutions and matrix products, those of attention included."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@torch.no_grad()
def measure(sizes: Sequence[str], repeats: int = REPEATS) -> dict:
    """Parameters, operations and median time of each size and synergy, alone and with its encoders."""
    result = {"threads": torch.get_num_threads(), "sizes": {}}
    for config in (load_config(size, OccLEConfig) for size in sizes):
        arguments, encoders, steps = arguments_of_a_branch(config), parameters(GeometricEncoders(config)), {}
        entry = {name: {} for name in TITLES}
        for name in TITLES:
            branch = BRANCHES[name](config).eval()
            entry[name]["parameters"] = parameters(branch) - parameters(branch.header) - encoders
            steps[name, "synergy"] = partial(branch.synergy, *branch.encode(*arguments))
            steps[name, "branch"] = partial(branch, *arguments)
        times = medians(steps, repeats, config.name)
        for (name, part), step in steps.items():
            entry[name][part] = {"flop": flop(step), **times[name, part]}
        result["sizes"][config.name] = entry
    return result


def tables(result: dict) -> dict[str, str]:
    """For docs/results.md."""
    rows = []
    for size, entry in result["sizes"].items():
        for name, of in entry.items():
            row = [f"`{size}`, {TITLES[name]}", f"{of['parameters'] / 1e6:.2f}"]
            for part in ("synergy", "branch"):
                row += [f"{of[part]['flop'] / 1e9:.1f}", milliseconds(of[part]["median_ms"])]
                row.append("" if name == "dense" else f"{ratio(entry['dense'][part], of[part]):.1f} x")
            rows.append(row)
    header = ["synergy alone; with image and LiDAR encoders", "M parameters", "GFLOP", "ms", "faster"]
    return {"synergy": markdown([*header, "branch, GFLOP", "branch, ms", "branch, faster"], rows)}


def main(argv: list[str] | None = None) -> int:
    """Measure, print; kept with the other figures on demand."""
    parser = argparse.ArgumentParser(prog="python -m experiments.synergy_cost", description=__doc__.partition("\n")[0])
    parser.add_argument("--size", nargs="+", default=SIZES, help="sizes or YAML files (default: base nano)")
    parser.add_argument("--keep", action="store_true", help="keep the figures with the others and fill docs/results.md")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(THREADS)
    try:
        result = measure(arguments.size)
    except ConfigError as error:
        print(f"synergy_cost: {error}", file=sys.stderr)
        return 1
    publish("synergy_cost", result, tables(result), arguments.keep)
    return 0


if __name__ == "__main__":
    sys.exit(main())
