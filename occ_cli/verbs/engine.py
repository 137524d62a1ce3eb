"""Build, list, prove or remove the TensorRT engines of this machine's GPU.

examples:
  occ-node engine build --bundle occle-nano                   before the robot needs it; the node would build it itself
  occ-node engine build --bundle occle-nano --precision f32
  occ-node engine inspect                                     what is in the cache, for which GPU and TensorRT
  occ-node engine verify --bundle occle-nano                  the golden sample on the engine as it lies there
  occ-node engine clean

Engines lie in $OCC_NODE_ENGINE_CACHE or ~/.cache/occ_node. One is built again where the network, TensorRT or the GPU
is another, and runs only where its labels are those of the bundle's golden sample."""

import argparse
from functools import partial
from pathlib import Path

from ..arguments import add_traceback

_COLUMNS = ("bundle", "precision", "gpu", "capability", "tensorrt", "onnx", "MiB", "built in", "created", "flags")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, text in (
        ("build", "build a bundle's engine where the cache has none that passes"),
        ("inspect", "list the engines in the cache"),
        ("verify", "run the golden sample on a built engine"),
        ("clean", "remove all engines and say which"),
    ):
        action = actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        add_traceback(action)
        action.add_argument("--engine-cache", default="", metavar="DIR", help="folder of built engines")
        if name in ("build", "verify"):
            action.add_argument("--bundle", default="occle-nano", help="a folder or a name (default occle-nano)")
            action.add_argument("--precision", default="auto", help="f32, f16, int8, or auto: f16 where there is one")


def command(arguments: argparse.Namespace) -> int:
    return {"build": _build, "inspect": _inspect, "verify": _verify, "clean": _clean}[arguments.action](arguments)


def _build(arguments: argparse.Namespace) -> int:
    backend = _load(arguments, build=True)
    print(f"ready: {backend.description}")
    backend.close()
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    backend = _load(arguments, build=False)
    print(f"good: {backend.description}; {backend.golden}")
    backend.close()
    return 0


def _load(arguments: argparse.Namespace, build: bool):
    """The bundle's engine. Raises BundleError, and RunFailed where this machine has no engine for it."""
    from occ_runtime import BackendError, Bundle, find_bundle
    from occ_runtime.tensorrt import TensorRtBackend

    from ..errors import RunFailed

    bundle, say = Bundle.load(find_bundle(arguments.bundle)), partial(print, flush=True)
    try:
        return TensorRtBackend(bundle, None, arguments.precision, arguments.engine_cache, say, build)
    except BackendError as error:
        raise RunFailed(str(error)) from None


def _inspect(arguments: argparse.Namespace) -> int:
    from occ_runtime.tensorrt import EngineCache

    cache = EngineCache(arguments.engine_cache)
    rows = [_row(sidecar, entry) for sidecar, entry in cache.entries()]
    if not rows:
        print(f"no engines in {cache.folder}")
        return 0
    widths = [max(len(row[n]) for row in (_COLUMNS, *rows)) for n in range(len(_COLUMNS))]
    for row in (_COLUMNS, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print(f"{len(rows)} in {cache.folder}")
    return 0


def _row(sidecar: Path, entry: dict) -> tuple[str, ...]:
    try:
        key, plan = entry["key"], entry["plan"]
        return (
            entry["bundle"], key["precision"], key["gpu"], key["compute_capability"], key["tensorrt"],
            key["onnx_sha256"][:12], f"{plan['bytes'] / 2**20:.1f}", f"{entry['build_seconds']:.0f} s",
            entry["created"], ", ".join(key["flags"]),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError):
        return (f"{sidecar.name}: unreadable", *[""] * (len(_COLUMNS) - 1))


def _clean(arguments: argparse.Namespace) -> int:
    from occ_runtime.tensorrt import EngineCache

    cache = EngineCache(arguments.engine_cache)
    removed = cache.clean(print)
    for file, size in removed:
        print(f"removed {file} ({size / 2**20:.1f} MiB)")
    print(f"{len(removed)} files removed from {cache.folder}")
    return 0
