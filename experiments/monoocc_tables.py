"""MonoOcc's claims tested: its Tables II and III, small classes, proposals, depth, departures from the paper.

    python -m experiments.monoocc_tables --keep

trains the network of size `pico` on synthetic streets. With data and a GPU of your own:

    python -m experiments.monoocc_tables --size small --devices 1 --steps 4000 --output out/tables \\
        --train kitti/sequences/0[0-7] kitti/sequences/09 kitti/sequences/10 --validation kitti/sequences/08

In parts: `--list` prints the rows, `--rows none 2D` trains these. Complete phases are not trained again, and the tables
show all rows that are complete.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean

import tqdm

from benchmarks.measure import markdown
from occ_core.files import read_mapping, write_yaml
from occ_data import Drive, open_drive
from occ_models.config import load_config
from occ_models.frame_cache import FrameCache
from occ_models.monoocc.config import MonoOccConfig
from occ_models.networks import MONOOCC

from .departures import departures_table, paper_table
from .figures import figures, spread
from .monoocc_quality import measure
from .monoocc_rows import (
    DEFAULTS,
    DEPARTURES,
    LARGER,
    LENGTHS,
    SHARED,
    TABLE_2,
    UNSEEN,
    rows_of,
    write_teachers,
)
from .rows import Row, folder_of
from .running import run_tables
from .setup import Setup, parser_of, setup_of
from .streets import make_streets

OUTPUT = "out/monoocc_tables"
# The streets' frames are 4 to 6 m apart, like every fifth or sixth scan of a drive.
VIEWS = (0, 1, 2, 3, 4)
VARIANTS = {
    SHARED: SHARED, "all, full embedding": "network.embedding", "all, folded sheet": "network.self_attention",
    "all, what was never observed is called free": UNSEEN, "none": "none", LARGER: LARGER,
}  # fmt: skip
GROUPS = {
    "ground": ("road", "parking", "sidewalk", "other-ground", "terrain"),
    "large things": ("building", "fence", "vegetation", "car", "truck", "other-vehicle"),
    "small things": (
        "bicycle", "motorcycle", "person", "bicyclist", "motorcyclist", "trunk", "pole", "traffic-sign",
    ),
    "long tail (each below 0.3 % of SemanticKITTI)": (
        "bicycle", "motorcycle", "truck", "other-vehicle", "person", "bicyclist", "motorcyclist", "pole",
        "traffic-sign",
    ),
}  # fmt: skip


def made_data(root: Path) -> dict[str, list[str]]:
    """The streets; once."""
    training, held_out = make_streets(root)
    return {"train": training, "validation": held_out}


def measured(setup: Setup, rows: dict[str, Row]) -> dict[str, dict]:
    """Figures of the students and of the shared teacher that are complete for all seeds, also from earlier runs: a list
    over the seeds each.
    """
    result, held_out = {}, [open_drive(drive) for drive in setup.drives["validation"]]
    cache = FrameCache(setup.cache_gb)
    for name in tqdm.tqdm(rows, desc="measuring", unit="row"):
        folders = [folder_of(setup.output, name, seed) for seed in setup.seeds]
        if all((folder / "model.safetensors").is_file() for folder in folders):
            found = [row_figures(folder, held_out, cache) for folder in folders]
            result[name] = {"student": {key: [f[key] for f in found] for key in found[0]}}
    if SHARED in result:
        found = [figures(folder_of(setup.output, SHARED, seed), "teacher") for seed in setup.seeds]
        result[SHARED]["teacher"] = {key: [f[key] for f in found] for key in ("iou", "miou")}
    return result


def row_figures(folder: Path, drives: Sequence[Drive], cache: FrameCache) -> dict[str, float]:
    """IoU, mIoU, mean IoU of each group's classes that occur, and what the first stage measures; kept in the folder."""
    kept = folder / "figures.yaml"
    if kept.is_file():
        return read_mapping(kept)
    labels, proposals, depth = measure(folder, drives, cache)
    result = {key: labels[key] for key in ("iou", "miou")}
    for group, names in GROUPS.items():
        result[group] = mean(labels["class_iou"][name] for name in names)
    result |= {f"proposal_{key}": proposals[key] for key in ("iou", "precision", "recall")}
    write_yaml(kept, result | {key: depth[key] for key in ("abs_rel", "delta")})
    return read_mapping(kept)


def tables(setup: Setup, rows: dict) -> dict[str, str]:
    """For docs/results.md, of rows that were measured: figures by row and phase."""

    def lines(shown: dict[str, str], phase: str = "student") -> list[list[str]]:
        found = {title: rows[name][phase] for title, name in shown.items() if phase in rows.get(name, {})}
        return [[title, *(spread(of[key]) for key in ("miou", "iou"))] for title, of in found.items()]

    base = rows.get("none", {}).get("student")

    def group_cells(name: str) -> list[str]:
        of = rows[name]["student"]
        return [f"{spread(of[g])} ({mean(of[g]) - mean(base[g]):+.2f})" for g in GROUPS]

    header = ["network", "mIoU", "IoU"]
    ablation = [*lines({name: name for name in TABLE_2}), *lines({"teacher": SHARED}, "teacher")]
    variants = lines(VARIANTS)
    made = (
        {"monoocc_ablation": markdown(["student, and its privileged teacher", *header[1:]], ablation)}
        if ablation
        else {}
    )
    if variants:
        made["monoocc_variants"] = markdown(header, variants)
    if base:
        names = [n for n in ("none", "2D", "distillation", "conditioned", SHARED) if n in rows]
        groups = [[name, *group_cells(name)] for name in names]
        made["monoocc_groups"] = markdown(["mean IoU of classes (against none)", *GROUPS], groups)
    if SHARED in rows:
        made["monoocc_paper"] = paper_table(rows, "student", SHARED)
        made["monoocc_departures"] = departures_table(rows, DEPARTURES, MONOOCC, "student", SHARED)
    return made


def large_teacher(arguments: argparse.Namespace) -> MonoOccConfig:
    """The privileged teacher with the larger backbone. Raises ConfigError."""
    large = load_config(arguments.teacher or f"{arguments.size}-l", MonoOccConfig)
    return large if arguments.train else replace(large, views=VIEWS)


def monoocc_setup(arguments: argparse.Namespace) -> Setup:
    """What MonoOcc's trainings share, and the files of its teachers. Raises ConfigError."""
    large = large_teacher(arguments)
    setup = setup_of(arguments, MONOOCC, DEFAULTS, LENGTHS, made_data)
    write_teachers(setup, large)
    return setup


def main(argv: list[str] | None = None) -> int:
    """Train what is missing, print; kept with the other figures when asked."""
    parser = parser_of("monoocc_tables", __doc__, OUTPUT)
    parser.add_argument("--teacher", help="network of the privileged teacher, a name or a file (default: SIZE-l)")
    arguments = parser.parse_args(argv)
    rows = lambda setup: rows_of(setup, large_teacher(arguments))  # noqa: E731
    return run_tables("monoocc_tables", arguments, monoocc_setup, rows, tables, measured)


if __name__ == "__main__":
    sys.exit(main())
