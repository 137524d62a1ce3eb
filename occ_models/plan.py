"""What a training will do, printed before it starts: steps, losses, widths and an estimate of GPU hours."""

from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from .config import load_config, to_dict
from .data import collate, inputs_of
from .frames import data_sets
from .layers.head import OccupancyNetwork
from .phases import Phase, TrainingRun, differences
from .recipe import frames_per_step, load_recipe, network_of

F16_PEAKS = {"RTX 4090": 165.2, "H200": 989.5}
"""Published dense peaks in float16 with float32 sums, 1e12 operations a second (as `benchmarks.graph_cost`)."""


def gpu_hours(flop: float, frames: int, peak: float, devices: int = 1) -> float:
    """An estimate, not measured: a tenth of the peak, at least 50 ms a frame, a tenth on top where devices share work.

    flop : of a frame's training step; peak : 1e12 operations a second
    """
    step = max(flop / (0.1e12 * peak), 0.05)
    return frames / devices * step * (1.1 if devices > 1 else 1) / 3600


def parameters_and_flop(config, phase: Phase, make_model: Callable[..., OccupancyNetwork]) -> tuple[int, int]:
    """Of a network its parameters, and the operations of a step on one of a phase's frames, at most: the whole network
    forward, and twice as many backward. Counted are convolutions and matrix products, on tensors without memory.
    """
    batch = collate([phase.validation[0]])
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        model = make_model(config).eval()
        model(*(tensor.to("meta") for tensor in inputs_of(batch, config)))
    return sum(p.numel() for p in model.parameters()), 3 * counter.get_total_flops()


def plan_of(run: TrainingRun, phases: list[Phase], make_model: Callable[..., OccupancyNetwork]) -> str:
    """The text that `occ-train` prints before it starts."""
    training, network = run.recipe.training, to_dict(run.config)
    together, devices = frames_per_step(training), training.devices * training.nodes
    parameters, flop = parameters_and_flop(run.config, phases[-1], make_model)
    lines = [f"network {run.config.name}: {parameters / 1e6:.1f} M parameters"]
    made = run.config.preprocess
    shapes = made.image_size, made.grid.shape, made.grid.coarsen(made.lifting_factor).shape
    lines.append("  image {}, voxels {}, feature grid {}".format(*(" x ".join(map(str, shape)) for shape in shapes)))
    lines += [f"  {name}: {_plain(value)}" for name, value in network.items() if name not in ("name", "preprocess")]
    total, hours = 0, dict.fromkeys(F16_PEAKS, 0.0)
    for phase in phases:
        seen, name, of_phase = phase.steps * together, phase.name, flop
        if phase.config:
            size, of_phase = parameters_and_flop(phase.config, phase, make_model)
            name = f"{phase.name} ({phase.config.name}, {size / 1e6:.1f} M parameters)"
        total += seen
        for gpu, peak in F16_PEAKS.items():
            hours[gpu] += gpu_hours(of_phase, seen, peak, devices)
        weights = ", ".join(f"{name} {weight:g}" for name, weight in phase.loss_weights.items() if weight)
        lines.append(
            f"{name}: {seen / phase.frames:.4g} epochs of {phase.frames:,} frames, {together} a step: "
            f"{phase.steps:,} steps; {drawn(phase)}; loss weights: {weights}"
        )
    if shares := run.recipe.training.shares:
        drawn_from = zip(data_sets(run.train), shares, strict=True)
        lines.append("draws: " + ", ".join(f"{share / sum(shares):.3g} from {name}" for name, share in drawn_from))
    lines += departures(run)
    shown = ", ".join(f"{spent:.1f} h on {devices} x {gpu}" for gpu, spent in hours.items())
    lines.append(f"estimate, not measured: {total:,} frames seen, {shown}")
    return "\n".join(lines)


def departures(run: TrainingRun) -> list[str]:
    """Settings of the recipe and of the network that are other than in the recipe and network of the paper."""
    paper = load_recipe(run.recipe.paper, type(run.recipe))
    network = network_of(load_config(paper.size, type(run.config)), paper)
    lines = []
    for what, ours, its in (("recipe", run.recipe, paper), ("network", run.config, network)):
        found = differences(to_dict(its), to_dict(ours)).items()
        values = [f"{name} {_plain(value)} ({_plain(before)})" for name, (before, value) in found if name != "name"]
        if values:
            lines.append(f"{what}, other than the paper's (its values in brackets): {', '.join(values)}")
    return lines or ["every setting is the paper's"]


def _plain(value) -> str:
    """A setting's value as one would write it in a sentence: no brackets or quotes of Python."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(entry)}" for name, entry in value.items())
    if isinstance(value, list | tuple):
        return " ".join(map(_plain, value)) or "none"
    if isinstance(value, bool):
        return str(value).lower()
    return "none" if value == "" else str(value)


def drawn(phase: Phase) -> str:
    """How often a phase draws frames with voxel labels."""
    if phase.labelled_draws is None:
        return "every frame alike"
    return f"{phase.labelled_draws:.3g} of the draws with voxel labels"
