"""Most memory that the tensors of one training step of MonoOcc hold at once, counted without computing.

    python -m benchmarks.monoocc_memory [--sizes base paper-l base-l paper-teacher-l] [--keep]

One frame (with all its views), float32, on tensors without memory: the step of a size that a machine could not compute
is counted in seconds. Weights, gradients, the moving average and AdamW's two moments are included; losses, and what
libraries take for single operators, are not.
"""

import argparse
import sys
import weakref

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from occ_models.config import ConfigError, load_config
from occ_models.memory import recompute_activations
from occ_models.monoocc.config import MonoOccConfig
from occ_models.monoocc.model import MonoOcc

from .measure import markdown
from .report import publish

SIZES = ("base", "paper-l", "base-l", "paper-teacher-l")


class Held(TorchDispatchMode):
    """Bytes of the tensors that operators made and that are still there, and the most at once."""

    def __init__(self):
        super().__init__()
        self.now = self.peak = 0
        self._sizes: dict[int, int] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for value in tree_leaves(result):
            if isinstance(value, torch.Tensor):
                self._add(value.untyped_storage())
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key not in self._sizes:
            self._sizes[key] = storage.nbytes()
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._drop, key)

    def _drop(self, key: int) -> None:
        self.now -= self._sizes.pop(key)


def step_memory(config: MonoOccConfig, recompute: bool) -> dict[str, int]:
    """Bytes that a forward pass keeps, and the peak of a step."""
    pre, views = config.preprocess, len(config.views)
    x, y, z = pre.grid.coarsen(pre.lifting_factor).shape
    shapes = (3, *pre.image_size[::-1]), (x * y, z, 2), (x * y, z), pre.depth_shape
    with torch.device("meta"):
        model = MonoOcc(config).train()
    with FakeTensorMode(allow_non_fake_inputs=True):
        model.to_empty(device="cpu")
        if recompute:
            recompute_activations(model)
        inputs = [torch.empty(views, *shape) for shape in shapes]
        weights = sum(p.nbytes for p in model.parameters())
        with Held() as held:
            output = model(*inputs)
            kept = held.now
            sum(result.sum() for result in output).backward()
    return {"kept_bytes": kept, "peak_bytes": held.peak + 4 * weights}  # itself, average, two moments


def table(results: list[dict]) -> str:
    """For docs/results.md."""
    rows = [
        [
            f"`{result['size']}`",
            *(
                f"{result[how][what] / 1e9:.1f}"
                for how in ("plain", "recompute")
                for what in ("kept_bytes", "peak_bytes")
            ),
        ]
        for result in results
    ]
    columns = ("kept after the forward pass, GB", "**peak**, GB")
    return markdown(["counted, float32", *columns, *(f"{c}, `--recompute`" for c in columns)], rows)


def main(argv: list[str] | None = None) -> int:
    """Count, print; kept with the other figures on demand."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.monoocc_memory", description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", nargs="+", default=SIZES, help=f"sizes or YAML files (default: {' '.join(SIZES)})")
    parser.add_argument("--keep", action="store_true", help="keep the figures with the others and fill docs/results.md")
    arguments = parser.parse_args(argv)
    try:
        configs = [load_config(size, MonoOccConfig) for size in arguments.sizes]
    except ConfigError as error:
        print(f"monoocc_memory: {error}", file=sys.stderr)
        return 1
    results = [
        {"size": config.name, "plain": step_memory(config, False), "recompute": step_memory(config, True)}
        for config in configs
    ]
    publish("monoocc_memory", {"sizes": results}, {"monoocc_memory": table(results)}, arguments.keep)
    return 0


if __name__ == "__main__":
    sys.exit(main())
