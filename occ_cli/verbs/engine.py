"""Build, list, verify or remove the TensorRT engines of this machine's GPU.

examples:
  occ-node engine build --bundle occle-nano                   in advance; without it the node builds at its start
  occ-node engine build --bundle occle-nano --precision f32
  occ-node engine inspect                                     the engines in the cache, with GPU and TensorRT
  occ-node engine verify --bundle occle-nano                  run the golden sample on the built engine
  occ-node engine clean

Engines are stored in $OCC_NODE_ENGINE_CACHE or ~/.cache/occ_node. An engine is built again when the network, TensorRT
or the GPU changes, and is used only if its labels agree with the bundle's golden sample."""

import argparse
from functools import partial
from pathlib import Path

from ..arguments import add_traceback

_COLUMNS = ("bundle", "precision", "gpu", "capability", "tensorrt", "onnx", "MiB", "built in", "created", "flags")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, text in (
        ("build", "build a bundle's engine unless the cache has one that passes the golden sample"),
        ("inspect", "list the engines in the cache"),
        ("verify", "run the golden sample on a built engine"),
        ("clean", "remove all engines and list them"),
    ):
        action = actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        add_traceback(action)
        action.set_defaults(verb_parser=action)  # whose usage an error shows
        action.add_argument("--engine-cache", default="", metavar="DIR", help="folder of built engines")
        if name in ("build", "verify"):
            action.add_argument("--bundle", help="a folder or a name (default occle-nano)")
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
    from occ_runtime import OCCLE, BackendError, BackendOptions, Bundle, find_bundle
    from occ_runtime.tensorrt import TensorRtBackend

    from ..errors import RunFailed

    bundle = Bundle.load(find_bundle(arguments.bundle or OCCLE))
    options = BackendOptions(
        precision=arguments.precision, engine_cache=arguments.engine_cache, report=partial(print, flush=True)
    )
    try:
        return TensorRtBackend(bundle, options, build)
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
