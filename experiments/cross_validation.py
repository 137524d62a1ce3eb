"""Recipes compared by cross-validation over drives, under every condition of `benchmarks.robustness`.

    python -m experiments.cross_validation --network occle --train KITTI/sequences/0[0-9] --size nano \\
        --recipes supervised mine.yaml --steps joint=1200 --processes 2

Fold k leaves out every third drive, from drive k on: it trains on the others, and on --also, and is measured on those
left out. --steps gives all recipes the same length. With "{fold}" in --initial, the number of the fold, a recipe starts
where another one ended: --initial out/cross_validation/robust/fold{fold}. What is complete is not trained or measured
again, and a training that was interrupted continues. Folders: OUTPUT/RECIPE/foldK.
"""

import argparse
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import mean

import torch
from tqdm import tqdm

from benchmarks.completion_rows import Predict, constant_prediction, measure
from benchmarks.frames import Frame
from benchmarks.report import publish
from benchmarks.robustness import table
from export.torch_engine import TorchBackend
from occ_core import CLOUD_TENSORS, FramePreprocessor, Occupancy
from occ_core.errors import InputError
from occ_core.files import read_text, write_json
from occ_data import Drive, open_drive
from occ_data.parallel import end_with_parent
from occ_models.checkpoint import load_checkpoint
from occ_models.confidence import PLAIN, read_confidence, write_confidence
from occ_models.config import load_config
from occ_models.layers.head import OccupancyNetwork
from occ_models.networks import NETWORKS, Network
from occ_models.phases import TrainingRun, train
from occ_models.recipe import load_recipe, network_of
from occ_models.weights import WEIGHTS

FOLDS = 3
OUTPUT = Path("out/cross_validation")
FIGURES = "conditions.json"


def fold_of(drives: list, fold: int) -> tuple[list, list]:
    """Those to train on, and those left out."""
    held_out = drives[fold::FOLDS]
    return [drive for drive in drives if drive not in held_out], held_out


def folder_of(root: Path, recipe: str, fold: int) -> Path:
    """Of one training."""
    return root / Path(recipe).stem / f"fold{fold}"


def with_steps(recipe, steps: dict[str, int], seed: int):
    """The recipe with these lengths of its phases, measured once at the end of each."""
    lengths = {f"{phase}_steps": n for phase, n in steps.items()} | {f"{phase}_epochs": 0.0 for phase in steps}
    if unknown := [phase for phase in steps if phase not in recipe.all_phases]:
        raise InputError(f"--steps {unknown[0]}: expected phases of {', '.join(recipe.all_phases)}")
    longest = replace(recipe.training, seed=seed, validate_every=10**9, workers=0)
    return replace(recipe, training=longest, **lengths)


def network_named(name: str) -> Network:
    """The entry of `NETWORKS`."""
    return next(network for network in NETWORKS if network.name == name)


def train_fold(arguments: argparse.Namespace, recipe_name: str, fold: int) -> None:
    """Train and measure one recipe on one fold, in a process of its own; its output goes to OUTPUT/.../log.txt."""
    torch.set_num_threads(1)
    folder = folder_of(arguments.output, recipe_name, fold)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log.txt").open("a") as log, redirect_stdout(log), redirect_stderr(log):
        network = network_named(arguments.network)
        recipe = with_steps(load_recipe(_given(recipe_name), network.recipe), arguments.steps, arguments.seed)
        training, held_out = fold_of([open_drive(source) for source in arguments.train], fold)
        training = [*training, *(open_drive(source) for source in arguments.also)]
        config = network_of(load_config(arguments.size or recipe.size, network.config), recipe)
        initial = arguments.initial and Path(arguments.initial.replace("{fold}", str(fold)))
        run = TrainingRun(config, recipe, training, held_out, folder, initial)
        if not (folder / WEIGHTS).is_file():
            train(run, network.make_phases(run))
        if read_confidence(folder).offset != arguments.offset:
            write_confidence(folder, replace(PLAIN, offset=arguments.offset), {})
            (folder / FIGURES).unlink(missing_ok=True)
        if not (folder / FIGURES).is_file():
            measure_fold(folder, training[: len(arguments.train) - len(held_out)], held_out, arguments.every)


def _given(recipe: str) -> str | None:
    """What `load_recipe` takes: "default" stands for the defaults."""
    return None if recipe == "default" else recipe


def measure_fold(folder: Path, training: list[Drive], held_out: list[Drive], every: int) -> None:
    """Figures of a trained network on the drives left out, into its folder."""
    model = load_checkpoint(folder)
    grid, needs_cloud = model.config.preprocess.grid, any(name in CLOUD_TENSORS for name in model.config.inputs)
    constant = constant_prediction(training, grid)
    write_json(folder / FIGURES, measure(predict_with(model), grid, needs_cloud, held_out, every, constant))


def predict_with(model: OccupancyNetwork) -> Predict:
    """A network without a bundle, on the CPU, as the node runs one."""
    backend, preprocess = TorchBackend(model, "eager", device="cpu"), FramePreprocessor(model.config.preprocess)
    needs_cloud = any(name in CLOUD_TENSORS for name in model.config.inputs)

    def predict(frame: Frame) -> Occupancy:
        inputs = preprocess(frame.image, frame.points if needs_cloud else None, frame.calibration)
        outputs = backend.infer(inputs)
        hits = inputs["occupancy"][0] if needs_cloud else None
        return Occupancy(outputs["labels"][0], outputs["confidence"][0], model.config.preprocess.grid, hits)

    return predict


def mean_rows(folds: list[dict[str, dict]]) -> dict[str, dict]:
    """The mean of each figure over the folds that have it, for rows that all folds have."""
    result = {}
    for name in folds[0]:
        if all(name in rows for rows in folds):
            found = {key: [rows[name][key] for rows in folds if rows[name][key] is not None] for key in folds[0][name]}
            result[name] = {key: mean(values) if values else None for key, values in found.items()}
    return result


def _steps(text: str) -> tuple[str, int]:
    phase, _, number = text.partition("=")
    if not number.isdecimal() or not int(number):
        raise argparse.ArgumentTypeError(f"expected PHASE=STEPS, such as joint=1200; got {text!r}")
    return phase, int(number)


def main(argv: list[str] | None = None) -> int:
    """Train and measure what is missing, print a table for each recipe; kept with the other figures when asked."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.cross_validation", description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--network", choices=[network.name for network in NETWORKS], default=NETWORKS[0].name)
    parser.add_argument("--train", nargs="+", required=True, metavar="DRIVE", help="with voxel truth; 3 or more")
    parser.add_argument("--also", nargs="+", default=[], metavar="DRIVE", help="to train on in every fold")
    parser.add_argument("--recipes", nargs="+", default=["default"], help="names, YAML files, or default")
    parser.add_argument("--size", help="network configuration (default: what each recipe names)")
    parser.add_argument("--steps", nargs="+", type=_steps, default=[], metavar="PHASE=N", help="of all recipes")
    parser.add_argument("--initial", metavar="FOLDER", help='with the weights to start from; may contain "{fold}"')
    parser.add_argument("--offset", type=float, default=0.0, help="of the occupancy logits, as in occ-train calibrate")
    parser.add_argument("--every", type=int, default=1, help="of the frames left out, measure every Nth")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2, help="trainings side by side, one thread each")
    parser.add_argument("--output", type=Path, default=OUTPUT, help=f"trainings (default: {OUTPUT})")
    parser.add_argument("--keep", action="store_true", help="keep the figures and fill docs/results.md")
    arguments = parser.parse_args(argv)
    arguments.steps = dict(arguments.steps)
    try:
        check(arguments)
        jobs = [(recipe, fold) for fold in range(FOLDS) for recipe in arguments.recipes]
        with ProcessPoolExecutor(arguments.processes, get_context("spawn"), end_with_parent) as pool:
            done = pool.map(partial(train_fold, arguments), *zip(*jobs, strict=True))
            list(tqdm(done, "cross-validation", len(jobs), unit="training"))
    except InputError as error:
        print(f"experiments.cross_validation: {error}", file=sys.stderr)
        return error.exit_code
    used = {key: getattr(arguments, key) for key in ("network", "size", "steps", "every", "seed", "offset")}
    used |= {key: [open_drive(source).name for source in getattr(arguments, key)] for key in ("train", "also")}
    for recipe in arguments.recipes:
        folds = [json.loads(read_text(folder_of(arguments.output, recipe, fold) / FIGURES)) for fold in range(FOLDS)]
        rows, title = mean_rows(folds), f"cross_validation {arguments.network} {Path(recipe).stem}"
        print(f"\n{recipe}, mean of {FOLDS} folds")
        publish(title, {**used, "rows": rows}, {title: table(rows)}, arguments.keep)
    return 0


def check(arguments: argparse.Namespace) -> None:
    """Raise InputError for what no fold could be trained with."""
    if len(arguments.train) < FOLDS:
        raise InputError(f"--train: {len(arguments.train)} drives; expected {FOLDS} or more")
    names = [Path(recipe).stem for recipe in arguments.recipes]
    if len(set(names)) < len(names):
        raise InputError(f"--recipes {' '.join(names)}: expected different names, as their folders have them")
    for recipe in arguments.recipes:
        with_steps(load_recipe(_given(recipe), network_named(arguments.network).recipe), arguments.steps, 0)
    for source in arguments.train:
        if not open_drive(source).voxel_frames:
            raise InputError(f"{source}: no voxel truth; occ-data ground-truth makes it")


if __name__ == "__main__":
    sys.exit(main())
