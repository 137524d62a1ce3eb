"""Trainings of the smallest MonoOcc on a tiny data set."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")
pytest.importorskip("lightning", reason="needs lightning (the train extra)")

from safetensors.torch import load_file  # noqa: E402

from occ_data import Sequence  # noqa: E402
from occ_models.config import load_config, save_config  # noqa: E402
from occ_models.frame_cache import FrameCache  # noqa: E402
from occ_models.monoocc.config import MonoOccConfig  # noqa: E402
from occ_models.monoocc.recipe import MonoOccRecipe  # noqa: E402
from occ_models.monoocc.trainer import MonoOccTraining  # noqa: E402
from occ_models.phases import Phase, TrainingRun, train  # noqa: E402
from occ_models.recipe import TrainingConfig  # noqa: E402

MONO, MONO_L = (Path(__file__).parent / f"{name}.yaml" for name in ("mono_pico", "mono_pico_l"))
QUICK = TrainingConfig(
    batch=1, warmup=1, average=0.5, validate_every=2, checkpoint_every=2, workers=0, accelerator="cpu"
)  # fmt: skip
STEPS = {f"{phase}_steps": 2 for phase in MonoOccRecipe.all_phases}
PLAIN = MonoOccRecipe(training=QUICK, **STEPS)
TAUGHT = replace(PLAIN, teacher=str(MONO_L))
CACHE = FrameCache(0.5)  # of all trainings here


def run_of(sequence, output, recipe=PLAIN, initial=None, **network) -> TrainingRun:
    held_out = sequence.with_name("held_out")  # quick to measure on
    if not held_out.exists():
        shutil.copytree(sequence, held_out)
        for n in range(3):
            (held_out / "voxels" / f"{n:06d}.label").unlink()
    config = replace(load_config(MONO, MonoOccConfig), **network)
    return TrainingRun(config, recipe, [Sequence(sequence)], [Sequence(held_out)], output, initial, CACHE)


def phases_of(run: TrainingRun) -> dict[str, Phase]:
    return {phase.name: phase for phase in MonoOccTraining(run).phases()}


def start(sequence, output, recipe=PLAIN, initial=None, only=(), **network) -> Path:
    run = run_of(sequence, output, recipe, initial, **network)
    return train(run, MonoOccTraining(run).phases(), only)


def weights(folder: Path) -> dict:
    return load_file(folder / "model.safetensors")


def parts_that_differ(before: dict, after: dict) -> set[str]:
    return {name.partition(".")[0] for name, value in before.items() if not torch.equal(value, after[name])}


def files(folder: Path) -> dict[Path, tuple]:
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


def another(folder: Path, path=MONO_L, **changed) -> str:
    """File of a configuration that differs."""
    config = load_config(path, MonoOccConfig)
    preprocess = replace(config.preprocess, **changed.pop("preprocess", {}))
    save_config(replace(config, preprocess=preprocess, **changed), folder / "another.yaml")
    return str(folder / "another.yaml")
