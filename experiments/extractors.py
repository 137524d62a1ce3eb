"""OccLE's table 3: image and LiDAR extractors of the semantic branch, their time and what phase I reaches with them.

    python -m experiments.extractors --keep
    python -m experiments.extractors --size base --devices 1 --train kitti/sequences/0[0-7] \\
        --validation kitti/sequences/08 [--unaligned other/sequences/0[0-7]]

Trains phase I alone, once for each extractor and seed, with the 3-D header on the LiDAR's features, so that neither
sensor's figure depends on the other. `ours` is the image backbone of the size and a sparse U-Net of three layers; the
others differ from it in one of the two. Own drives need labels of points for --validation, and for the rows `unaligned`
copies whose pseudo labels `occ-data pseudo-labels --table none --output OTHER` made. Complete trainings are not
repeated. Times are of one frame of a made-up street: the median of the GPU, or of two threads of the CPU.
"""

import sys
from functools import partial

import torch

from benchmarks.measure import markdown, medians, milliseconds
from occ_models.config import ImageEncoderConfig, load_config, to_dict
from occ_models.networks import OCCLE
from occ_models.occle.config import OccLEConfig
from occ_models.occle.semantic import SemanticBranch
from occ_models.recipe import network_of

from .figures import measured, spread
from .occle_tables import occle_setup, parser
from .rows import Row
from .running import run_tables
from .setup import Setup
from .synergy_cost import THREADS, arguments_of_a_branch

REPEATS = 20
UNALIGNED, OURS = "ours, unaligned", "ours, aligned"
BACKBONES = {"ESPNetv2": "espnetv2", "MobileNetV2": "mobilenetv2"}
LAYERS = {"1 layer": 1, "2 layers": 2}
SHOWN = {"image": (*BACKBONES, UNALIGNED, OURS), "LiDAR": (*LAYERS, UNALIGNED, OURS)}


def rows_of(setup: Setup) -> dict[str, Row]:
    """A row for each extractor. An image backbone has as many stages as the size's own."""
    image = load_config(setup.size, OCCLE.config).semantic_image
    stages = image.stages if image.name else len(image.depths)

    def row(data: str = "train", **network) -> Row:
        network = {"semantic_header": "lidar", "sparse_layers": 3, **network}
        return Row({"share": 1.0, "network": network}, ("semantic",), data=data)

    rows = {OURS: row(), UNALIGNED: row("unaligned")}
    for title, name in BACKBONES.items():
        backbone = ImageEncoderConfig(name=name, stages=stages, norm=image.norm)
        rows[title] = row(semantic_image=to_dict(backbone))
    rows |= {title: row(sparse_layers=layers) for title, layers in LAYERS.items()}
    return {name: row for name, row in rows.items() if row.data in setup.drives}


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


def measure(setup: Setup, rows: dict[str, Row]) -> dict:
    """Figures of the rows that are complete, and the time of their extractors."""
    torch.set_num_threads(THREADS)
    found, config = measured(setup, rows), load_config(setup.size, OCCLE.config)
    configs = {name: network_of(config, rows[name].recipe(setup.recipe)) for name in found}
    spent = times(configs, torch.device("cuda" if setup.devices else "cpu"))
    return {name: {**phases, "milliseconds": spent[name]} for name, phases in found.items()}


def tables(setup: Setup, rows: dict) -> dict[str, str]:
    """For docs/results.md."""
    lines = []
    for sensor, names in SHOWN.items():
        for name in (name for name in names if name in rows):
            scores = [spread(rows[name]["semantic"][key]) for key in ("miou_2d", "miou_3d")]
            lines.append([f"{sensor}: {name}", milliseconds(rows[name]["milliseconds"][sensor]), *scores])
    header = ["extractor", "its time, ms", "mIoU of the image", "mIoU of voxels with points"]
    return {"occle_extractors": markdown(header, lines)} if lines else {}


def main(argv: list[str] | None = None) -> int:
    """Train what is missing, print; kept with the other figures when asked."""
    arguments = parser("extractors", __doc__).parse_args(argv)
    return run_tables("occle_extractors", arguments, occle_setup, rows_of, tables, measure)


if __name__ == "__main__":
    sys.exit(main())
