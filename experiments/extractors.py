"""OccLE's table 3: image and LiDAR extractors of the semantic branch, their time and what phase I reaches with them.

    python -m experiments.extractors [--size base --train KITTI/sequences/0[0-7] --validation KITTI/sequences/08] \\
        [--unaligned OTHER/sequences/0[0-7]] [--keep]

Trains phase I alone, once for each extractor and seed, with the 3-D header on the LiDAR's features, so that neither
sensor's figure depends on the other. `ours` is the image backbone of the size, or its sparse U-Net in three layers; the
others differ from it in one of the two. Own drives need labels of points for --validation, and for the rows `unaligned`
copies whose pseudo labels `occ-data pseudo-labels --table none --output OTHER` made. Complete trainings are not
repeated. Times are of one frame of a made-up street: the median of the GPU, or of two threads of the CPU.
"""

import argparse
import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from benchmarks.measure import markdown, medians, milliseconds
from benchmarks.report import publish
from occ_core.errors import InputError
from occ_models.config import ImageEncoderConfig, load_config
from occ_models.frame_cache import FrameCache
from occ_models.occle.config import OccLEConfig
from occ_models.occle.recipe import OccLERecipe
from occ_models.occle.semantic import SemanticBranch
from occ_models.occle.trainer import OccLETraining
from occ_models.phases import TrainingRun, train

from .synergy import THREADS, arguments_of_a_branch
from .table_data import TableRun, add_options, drives, table_run
from .table_runs import figures, folder_of, run_jobs, spread, train_row

OUTPUT = Path("out/extractors")
REPEATS = 20


@dataclass(frozen=True)
class Extractors:
    """One training. backbone : of the image, "" for the size's own; layers : of the sparse U-Net of the LiDAR."""

    backbone: str = ""
    layers: int = 3
    aligned: bool = True


ROWS = {
    "ESPNetv2": Extractors("espnetv2"),
    "MobileNetV2": Extractors("mobilenetv2"),
    "ours, unaligned": Extractors(aligned=False),
    "ours, aligned": Extractors(),
    "1 layer": Extractors(layers=1),
    "2 layers": Extractors(layers=2),
}
SHOWN = {
    "image": ("ESPNetv2", "MobileNetV2", "ours, unaligned", "ours, aligned"),
    "LiDAR": ("1 layer", "2 layers", "ours, unaligned", "ours, aligned"),
}


def config_of(size: str, row: Extractors) -> OccLEConfig:
    """The network of a row. An image backbone has as many stages as the size's own."""
    config = load_config(size, OccLEConfig)
    widths = config.sparse_widths or tuple(config.channels << n for n in range(3))
    image = config.semantic_image
    if row.backbone:
        stages = image.stages if image.name else len(image.depths)
        image = ImageEncoderConfig(name=row.backbone, stages=stages, norm=image.norm)
    return replace(config, semantic_image=image, sparse_widths=widths[: row.layers], semantic_header="lidar")


_CACHE = FrameCache(4.0)


def train_extractors(table: TableRun, name: str, seed: int) -> None:
    """Phase I of one row."""
    row, folder, steps = ROWS[name], folder_of(table.root, name, seed), 3 * table.steps
    recipe = OccLERecipe(share=1.0, semantic_steps=steps, training=table.training(seed, steps))

    def train_phase() -> None:
        training = drives(table.train if row.aligned else table.unaligned)
        validation, config = drives(table.validation), config_of(table.size, row)
        run = TrainingRun(config, recipe, training, validation, folder, shared_cache=_CACHE)
        train(run, OccLETraining(run).phases(), only=("semantic",))

    train_row(folder, "semantic", {}, train_phase)


@torch.no_grad()
def times(configs: dict[str, OccLEConfig], device: torch.device, repeats: int = REPEATS) -> dict[str, dict[str, float]]:
    """Median milliseconds of each network's image and LiDAR extractor, taking turns. Weights are random."""
    steps = {}
    for name, config in configs.items():
        branch = SemanticBranch(config).eval().to(device)
        image, grid, active, _ = (value.to(device) for value in arguments_of_a_branch(config))
        steps[name, "image"] = partial(_timed, device, branch.image, image)
        steps[name, "LiDAR"] = partial(_timed, device, branch.lidar, grid, active)
    found = medians(steps, repeats, "extractors")
    return {name: {of: found[name, of]["median_ms"] for of in SHOWN} for name in configs}


def _timed(device: torch.device, extractor: torch.nn.Module, *arguments: torch.Tensor) -> None:
    extractor(*arguments)
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measure(table: TableRun, seeds: list[int], rows: list[str]) -> dict:
    """Figures of the rows, lists over the seeds, and times."""
    device = torch.device("cuda" if table.devices else "cpu")
    torch.set_num_threads(THREADS)
    result = {
        "size": table.size, "seeds": seeds, "steps": 3 * table.steps, "train": table.train,
        "validation": table.validation, "timed_on": torch.cuda.get_device_name() if table.devices else "cpu",
        "times": times({name: config_of(table.size, ROWS[name]) for name in rows if ROWS[name].aligned}, device),
        "rows": {},
    }  # fmt: skip
    for name in rows:
        found = [figures(folder_of(table.root, name, seed), "semantic") for seed in seeds]
        result["rows"][name] = {key: [f[key] for f in found] for key in ("miou_2d", "miou_3d")}
    return result


def tables(result: dict) -> dict[str, str]:
    """For docs/results.md. Labels do not change a network's time."""
    lines = []
    for sensor, names in SHOWN.items():
        for name in names:
            if row := result["rows"].get(name):
                time = result["times"][name.replace("unaligned", "aligned")][sensor]
                lines.append([f"{sensor}: {name}", milliseconds(time), spread(row["miou_2d"]), spread(row["miou_3d"])])
    header = ["extractor", "its time, ms", "mIoU of the image", "mIoU of voxels with points"]
    return {"occle_extractors": markdown(header, lines)}


def main(argv: list[str] | None = None) -> int:
    """Train what is missing, print; kept with the other figures when asked."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.extractors", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--unaligned", nargs="+", default=[], metavar="DRIVE", help="--train's drives with unaligned pseudo labels"
    )
    add_options(parser, OUTPUT)
    arguments = parser.parse_args(argv)
    try:
        config_of(arguments.size, ROWS["ours, aligned"])
        table = table_run(arguments, arguments.unaligned)
        rows = [name for name, row in ROWS.items() if row.aligned or table.unaligned]
        jobs = [(table, name, seed) for name in rows for seed in arguments.seeds]
        run_jobs(train_extractors, jobs, arguments.processes, "semantic")
    except InputError as error:
        print(f"extractors: {error}", file=sys.stderr)
        return 1
    result = measure(table, arguments.seeds, rows)
    publish("occle_extractors", result, tables(result), arguments.keep)
    return 0


if __name__ == "__main__":
    sys.exit(main())
