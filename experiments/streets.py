"""The synthetic streets that tables are trained and measured on where no other data are named."""

from functools import partial
from pathlib import Path

import tqdm

from occ_core.machine import usable_cores
from occ_data.parallel import in_order
from occ_data.synthetic import generate

STREETS, HELD_OUT = range(300, 360), range(200, 206)
FRAMES = 10


def make_streets(root: Path) -> tuple[list[str], list[str]]:
    """Make streets of frames 4 to 6 m apart with their pixels' classes, and streets to measure on, in ROOT/data.

    Returns the folders of both.
    """
    folders = {n: root / "data" / "sequences" / str(n) for n in (*STREETS, *HELD_OUT)}
    missing = [n for n, folder in folders.items() if len(list((folder / "voxels").glob("*.label"))) < FRAMES]
    made = in_order(partial(_make_street, root / "data"), missing, usable_cores())
    for _ in tqdm.tqdm(made, "streets", len(missing), unit="street", disable=not missing):
        pass
    return [str(folders[n]) for n in STREETS], [str(folders[n]) for n in HELD_OUT]


def _make_street(root: Path, n: int) -> None:
    generate(root, str(n), FRAMES, n, step=(4.0, 5.0, 6.0)[n % 3], pixel_labels=n in STREETS, progress=False)
