"""OccLE's claims tested: label share, modules with both heads, geometry, pseudo labels, departures from the paper.

    python -m experiments.occle_tables --keep

trains the network of size `pico` on synthetic streets. With data and a GPU of your own:

    python -m experiments.occle_tables --size small --devices 1 --steps 4000 --output out/tables \\
        --train kitti/sequences/0[0-7] kitti/sequences/09 kitti/sequences/10 --validation kitti/sequences/08

In parts: `--list` prints the rows, `--rows "10 %" none` trains these. Complete phases are not trained again, and the
tables show all rows that are complete.
"""

import argparse
import sys
from pathlib import Path
from statistics import mean

from benchmarks.measure import markdown
from occ_cli.data import main as occ_data
from occ_data import DataError
from occ_models.networks import OCCLE

from .departures import departures_table, paper_table
from .figures import spread
from .occle_rows import ALL, HEADS, LENGTHS, MODULES, SHARES, departures, headed, rows_of
from .running import run_tables
from .setup import Setup, parser_of, setup_of
from .streets import STREETS, make_streets

OUTPUT = "out/occle_tables"
_GEOMETRY = {
    "100 %": ("100 %", "teacher"), "10 %, teacher": (ALL, "teacher"),
    "10 %, teacher, twice as long": ("teacher, longer", "teacher"),
    "10 %, teacher and student, weak": ("weak", "student"), "10 %, weak and middle": ("middle", "student"),
    "10 %, weak, middle and strong": (ALL, "student"),
    "10 %, teacher, five times as long": ("teacher, longest", "teacher"),
    "10 %, weak, middle and strong, student four times as long": ("student, longer", "student"),
    "1 %, teacher": ("1 %", "teacher"), "1 %, weak, middle and strong": ("1 %", "student"),
}  # fmt: skip
_PSEUDO = {"unaligned": "unaligned", "aligned": ALL}
_VARIANTS = {
    "as the paper has it": ALL, "projection weighted by distance": "distance",
    "geometric branch trained on with the teacher's labels": "teacher in phase III",
}  # fmt: skip


def made_data(root: Path) -> dict[str, list[str]]:
    """The streets, and pseudo labels for their images, aligned and not; once."""
    training, held_out = make_streets(root)
    names = [str(n) for n in STREETS]
    command = ["pseudo-labels", str(root / "data"), "--segmenter", "synthetic", "--sequences", *names]
    unaligned = ["--table", "none", "--output", str(root / "unaligned")]
    if occ_data(command) or occ_data([*command, *unaligned]):
        raise DataError(f"{root}: occ-data pseudo-labels failed")
    others = [str(root / "unaligned" / "sequences" / name) for name in names]
    return {"train": training, "validation": held_out, "unaligned": others}


def tables(setup: Setup, rows: dict) -> dict[str, str]:
    """For docs/results.md, of rows that were measured: figures by row and phase."""

    def cells(name: str, phase: str, *keys: str) -> list[str]:
        return [spread(rows[name][phase][key]) for key in keys]

    def has(name: str, phase: str) -> bool:
        return phase in rows.get(name, {})

    def of(name: str, phase: str, key: str, full_phase: str) -> list[str]:
        full = rows.get("100 %", {}).get(full_phase)
        return [f"{100 * mean(rows[name][phase][key]) / mean(full[key]):.0f} %" if full else ""]

    joint = ("joint", "miou", "iou")
    made = {
        "occle_share": (
            ["voxel labels", "mIoU", "IoU", "of full mIoU"],
            [
                [name, *cells(name, *joint), *of(name, "joint", "miou", "joint")]
                for name in SHARES
                if has(name, "joint")
            ],
        ),
        "occle_modules": (
            ["modules, 10 % of the labels", "head", "mIoU", "IoU"],
            [
                ["all three" if name == ALL else name, head, *cells(headed(setup, name, head), *joint)]
                for head in HEADS
                for name in MODULES
                if has(headed(setup, name, head), "joint")
            ],
        ),
        "occle_geometry": (
            ["only the geometric branch", "IoU", "of full"],
            [
                [title, *cells(name, phase, "iou"), *of(name, phase, "iou", "teacher")]
                for title, (name, phase) in _GEOMETRY.items()
                if has(name, phase)
            ],
        ),
        "occle_pseudo": (
            ["semantic branch, pseudo labels", "mIoU of the image", "mIoU of voxels with points"],
            [[t, *cells(n, "semantic", "miou_2d", "miou_3d")] for t, n in _PSEUDO.items() if has(n, "semantic")],
        ),
        "occle_variants": (
            ["phase III, 10 % of the labels", "mIoU", "IoU"],
            [[title, *cells(name, *joint)] for title, name in _VARIANTS.items() if has(name, "joint")],
        ),
    }
    result = {name: markdown(header, lines) for name, (header, lines) in made.items() if lines}
    if has(ALL, "joint"):
        result["occle_paper"] = paper_table(rows, "joint", ALL)
        result["occle_departures"] = departures_table(rows, departures(), OCCLE, "joint", ALL)
    return result


def parser(name: str, about: str) -> argparse.ArgumentParser:
    """The command line of all of OccLE's tables."""
    parser = parser_of(name, about, OUTPUT)
    parser.add_argument(
        "--unaligned", nargs="+", metavar="DRIVE", help="as --train, with pseudo labels that are not aligned"
    )
    return parser


def occle_setup(arguments: argparse.Namespace) -> Setup:
    """What OccLE's trainings share. Raises ConfigError."""
    setup = setup_of(arguments, OCCLE, {}, LENGTHS, made_data)
    if arguments.unaligned:
        setup.drives["unaligned"] = arguments.unaligned
    return setup


def main(argv: list[str] | None = None) -> int:
    """Train what is missing, print; kept with the other figures when asked."""
    arguments = parser("occle_tables", __doc__).parse_args(argv)
    return run_tables("occle_tables", arguments, occle_setup, rows_of, tables)


if __name__ == "__main__":
    sys.exit(main())
