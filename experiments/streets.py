"""The synthetic streets that tables are trained and measured on where no other data are named."""

from pathlib import Path

from occ_data.synthetic import generate

STREETS, HELD_OUT = range(300, 360), range(200, 206)
FRAMES = 10


def make_streets(root: Path) -> tuple[list[str], list[str]]:
    """Make streets of frames 4 to 6 m apart with their pixels' classes, and streets to measure on, in ROOT/data.

    Returns the folders of both.
    """
    folders = []
    for streets, labels in ((STREETS, True), (HELD_OUT, False)):
        for n in streets:
            if len(list((root / "data" / "sequences" / str(n) / "voxels").glob("*.label"))) < FRAMES:
                generate(root / "data", str(n), FRAMES, n, step=(4.0, 5.0, 6.0)[n % 3], pixel_labels=labels)
        folders.append([str(root / "data" / "sequences" / str(n)) for n in streets])
    return folders[0], folders[1]
