"""The camera-only network: messages in, messages out, as `end_to_end` has it, and the memory of a run."""

import resource
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from occ_data.synthetic import generate
from occ_runtime import MONOOCC

from . import end_to_end
from .measure import Options


def measure(options: Options) -> dict:
    """Stage times of every backend, and the largest size of a process that labels ten frames."""
    return {**end_to_end.measure(replace(options, bundle=MONOOCC)), "peak_bytes": peak_memory(options.repeats(10))}


def peak_memory(frames: int) -> int:
    """Bytes resident at most during `occ-node infer` on a synthetic drive."""
    with tempfile.TemporaryDirectory() as folder:
        generate(folder, "90", frames=frames, seed=1, voxels_every=0, progress=False)
        output = str(Path(folder) / "out")
        arguments = ["--bundle", MONOOCC, "--dataset", folder, "--sequences", "90", "--output", output]
        subprocess.run([sys.executable, "-m", "occ_cli.node", "infer", *arguments], check=True)
    return 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss


def tables(result: dict) -> dict[str, str]:
    """For docs/results.md."""
    (table,) = end_to_end.tables(result).values()
    memory = f"`occ-node infer` holds at most {result['peak_bytes'] / 1e9:.2f} GB."
    return {"camera_only": f"{table}\n\n{memory}"}
