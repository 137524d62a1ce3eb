"""What was measured of rows, and its mean and spread over the seeds."""

import csv
from pathlib import Path
from statistics import mean, stdev

from occ_models.weights import WEIGHTS

from .rows import Row, folder_of
from .setup import Setup


def measured(setup: Setup, rows: dict[str, Row]) -> dict[str, dict[str, dict[str, list[float]]]]:
    """Figures of each row and phase that are complete for all seeds, also from earlier runs, a list over the seeds."""
    result: dict = {}
    for name, row in rows.items():
        for phase in row.phases(setup.recipe):
            folders = [folder_of(setup.output, name, seed) for seed in setup.seeds]
            if all((folder / phase / WEIGHTS).is_file() for folder in folders):
                found = [figures(folder, phase) for folder in folders]
                result.setdefault(name, {})[phase] = {key: [f[key] for f in found] for key in found[0]}
    return result


def described(setup: Setup) -> dict:
    """What a table's figures were measured with."""
    recipe, phases = setup.recipe, setup.recipe.all_phases
    return {
        "size": setup.size, "seeds": setup.seeds, "drives": {use: len(drives) for use, drives in setup.drives.items()},
        "steps": {phase: getattr(recipe, f"{phase}_steps") for phase in phases},
        "epochs": {phase: getattr(recipe, f"{phase}_epochs") for phase in phases},
    }  # fmt: skip


def figures(folder: Path, phase: str) -> dict[str, float]:
    """Figures that a phase measured at its end."""
    with (folder / phase / "logs" / "metrics.csv").open() as lines:
        rows = [row for row in csv.DictReader(lines) if row.get("iou") or row.get("miou_2d")]
    return {key: float(value) for key, value in rows[-1].items() if value and not key.startswith("train/")}


def spread(values: list[float]) -> str:
    """Mean and standard deviation over the seeds."""
    return f"{mean(values):.2f} ± {stdev(values):.2f}" if len(values) > 1 else f"{values[0]:.2f}"
