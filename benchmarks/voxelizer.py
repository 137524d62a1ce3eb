"""The voxelizer against its numpy reference, on a cloud of 120,000 points."""

import numpy as np

from occ_core import KITTI_GRID, VoxelizerConfig
from occ_core.voxelizer import occupancy_grid, occupancy_grid_ref, voxelize, voxelize_ref
from occ_runtime import Bundle, find_bundle

from .frames import frames
from .measure import Options, markdown, medians, milliseconds, ratio

POINTS = 120_000


def measure(options: Options) -> dict:
    """Times of both, for the default settings and for the bundle's."""
    random = np.random.default_rng(0)
    scan = frames(None)[0].points
    cloud = scan[random.choice(len(scan), POINTS, replace=len(scan) < POINTS)]
    cloud[:, :3] += random.normal(0, 0.01, (POINTS, 3)).astype(np.float32)  # drawn twice is not the same point twice
    bundle = Bundle.load(find_bundle(options.bundle), verify=False).preprocess.voxelizer
    results = {}
    for name, config in {"0.2 m, 35 points a voxel": VoxelizerConfig(), f"as {options.bundle} has it": bundle}.items():
        steps = {
            "fast": lambda config=config: voxelize(cloud, KITTI_GRID, config),
            "reference": lambda config=config: voxelize_ref(cloud, KITTI_GRID, config),
        }
        results[name] = medians(steps, options.repeats(50), f"voxelizer, {name}")
    steps = {
        "fast": lambda: occupancy_grid(cloud, KITTI_GRID),
        "reference": lambda: occupancy_grid_ref(cloud, KITTI_GRID),
    }
    results["occupancy grid alone"] = medians(steps, options.repeats(50), "occupancy grid")
    return {"points": POINTS, "steps": results}


def tables(result: dict) -> dict[str, str]:
    """For docs/results.md."""
    rows = [
        [
            name,
            milliseconds(times["fast"]["median_ms"]),
            milliseconds(times["reference"]["median_ms"]),
            f"{ratio(times['reference'], times['fast']):.0f} x",
        ]
        for name, times in result["steps"].items()
    ]
    return {"voxelizer": markdown([f"{result['points']:,} points, ms", "numba", "numpy", "faster"], rows)}
