"""`python -m benchmarks`: measure, print, keep, and fill the tables of docs/results.md."""

import argparse
import os
import sys
from pathlib import Path

from occ_data.kitti import DataError
from occ_node.dds import use_loopback_profile
from occ_runtime import OCCLE, BundleError

from .measure import Options, machine_name
from .report import publish

NAMES = ("end_to_end", "camera_only", "markers", "voxelizer", "quality", "install", "memory")
SLOW = ("install", "memory")


def main(argv: list[str] | None = None) -> int:
    """Returns the exit code; one line on stderr where something is missing."""
    arguments = parse(argv)
    data = Path(arguments.data) if arguments.data else None
    options = Options(arguments.bundle, data, arguments.quick)
    chosen = arguments.only or [
        name
        for name in NAMES
        if name not in SLOW or (name == "install" and arguments.install) or (name == "memory" and arguments.soak)
    ]
    print(f"{machine_name()}: {', '.join(chosen)}", flush=True)
    use_loopback_profile()
    try:
        for name in chosen:
            run(name, options)
    except (BundleError, DataError, RuntimeError, ValueError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    if options.quick:
        print("quick: the figures above say only that everything runs; nothing was kept")
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--bundle", default=OCCLE, help="engine bundle, by name or path (default: %(default)s)")
    parser.add_argument(
        "--data",
        default=os.environ.get("OCC_NODE_DATA"),
        help="SemanticKITTI data set with real frames to measure on too (default: $OCC_NODE_DATA)",
    )
    parser.add_argument("--install", action="store_true", help="also install into a fresh environment (minutes)")
    parser.add_argument("--soak", action="store_true", help="also watch the node's memory over 2,000 frames (minutes)")
    parser.add_argument("--only", nargs="+", choices=NAMES, metavar="NAME", help=f"some of: {', '.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help="a few repetitions, nothing kept: does everything run?")
    return parser.parse_args(argv)


def run(name: str, options: Options) -> None:
    """One benchmark, from measurement to table."""
    # Imported one by one: each needs other packages, and none should be asked for what it does not measure.
    if name == "end_to_end":
        from . import end_to_end as benchmark
    elif name == "camera_only":
        from . import camera_only as benchmark
    elif name == "markers":
        from . import markers as benchmark
    elif name == "voxelizer":
        from . import voxelizer as benchmark
    elif name == "quality":
        from . import quality as benchmark
    elif name == "install":
        from . import install as benchmark
    else:
        from . import memory as benchmark
    result = benchmark.measure(options)
    publish(name, result, benchmark.tables(result), kept=not options.quick)


if __name__ == "__main__":
    sys.exit(main())
