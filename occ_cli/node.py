"""occ-node: the command line. One verb a file; what a verb needs is imported when it runs."""

import argparse
import os
import sys
import traceback

from .errors import CommandError, RunFailed
from .verbs import bag, demo, engine, evaluate, infer, play, render, run

_VERBS = {
    "demo": demo, "run": run, "play": play, "bag": bag, "infer": infer, "evaluate": evaluate, "render": render,
    "engine": engine,
}  # fmt: skip
_EXAMPLES = """examples:
  occ-node demo                                  a synthetic drive through the real node, pictures in out/demo
  occ-node demo --bag drive.bag --loop 5         the same with your own camera and LiDAR recording
  occ-node run --bundle occle-nano --points /velodyne_points --image /camera/image_raw --camera-info /camera/camera_info
  occ-node infer --bundle occle-nano --dataset KITTI --sequences 08 --output predictions
  occ-node infer --image street.jpg --calib calib.txt --output out        one picture, with a camera-only bundle
  occ-node evaluate --dataset KITTI --predictions predictions --sequences 08
  occ-node engine build --bundle occle-nano      TensorRT for this machine's GPU, before the robot needs it

`occ-node VERB --help` explains each. Exit codes: 0 done, 1 failed on the way, 2 unusable input, 130 interrupted."""


def parser() -> argparse.ArgumentParser:
    """The parser of all verbs; each verb's module adds its own arguments."""
    top = argparse.ArgumentParser(
        prog="occ-node",
        description="Semantic occupancy for ROS 2: camera and LiDAR, or a camera alone, in; labelled voxels out.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"occ-node {_version()}")
    top.add_argument("--traceback", action="store_true", help="show where in the code an error came from")
    verbs = top.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, module in _VERBS.items():
        summary, _, text = module.__doc__.partition("\n")
        verb = verbs.add_parser(
            name, help=summary.rstrip("."), description=summary, epilog=text.strip() or None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        module.add_arguments(verb)
        verb.set_defaults(command=module.command)
    return top


def main(argv: list[str] | None = None) -> int:
    """Run one verb; gives the process's exit code."""
    os.environ.setdefault("TQDM_MININTERVAL", "0.1" if sys.stderr.isatty() else "10")  # a log wants few lines
    arguments = parser().parse_args(argv)
    try:
        return arguments.command(arguments) or 0
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `occ-node ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        code = _exit_code(error)
        if code is None or arguments.traceback:
            traceback.print_exc()
        else:
            print(f"occ-node {arguments.verb}: {' '.join(str(error).split())}", file=sys.stderr)
        return code or 1


def _exit_code(error: Exception) -> int | None:
    """2 for input that is unusable, 1 for a run that failed, None for a fault of the program."""
    if isinstance(error, RunFailed):
        return 1
    from occ_core import CalibrationError
    from occ_data.bags import BagError
    from occ_data.kitti import DataError
    from occ_runtime import BackendError, BundleError

    unusable = (CommandError, BagError, DataError, CalibrationError, BundleError, BackendError, OSError)
    return 2 if isinstance(error, unusable) else None


def _version() -> str:
    from occ_node import __version__

    return __version__


if __name__ == "__main__":
    sys.exit(main())
