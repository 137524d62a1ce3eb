"""The text beside a bundle that says what it was trained on, what it can do and what not: from its manifest alone."""

from typing import Any

from occ_runtime import BundleInfo
from occ_runtime.manifest import FAILURES

_UNKNOWN = "Not recorded."
_FIGURES = ("iou", "precision", "recall", "miou", "miou_present", "frames")


def model_card(info: BundleInfo, with_checkpoint: bool, with_picture: bool = False) -> str:
    """Markdown. with_checkpoint, with_picture : the bundle holds the weights to train on, and FAILURES"""
    training, width, height = info.training, *info.preprocess.image_size
    sizes = " x ".join(map(str, info.preprocess.grid.shape))
    parts = [
        f"# {info.name}, version {info.version}",
        f"Labels {sizes} voxels of {info.preprocess.grid.voxel_size:g} m with SemanticKITTI's 19 classes. Network: "
        f"{info.model}, size {info.size}; inputs: {', '.join(spec.name for spec in info.inputs)}; image "
        f"{width} x {height}. Weights: {info.license}.",
        "## Trained on", _list(training.get("data")),
        "## Sensors it saw", _list(training.get("rigs")),
        "## Training", _list(_lengths(training.get("recipe", {}))),
        "## Figures", _metrics({k: v for k, v in info.metrics.items() if k != "confidence"}),
        "## Confidence", _confidence(info.metrics.get("confidence")),
        "## Known failures", _list(training.get("known_failures")),
        *([f"![Frames on which it fails]({FAILURES})"] if with_picture else []),
        "## Use", f"`occ-node run` with `-p bundle:={info.name}`, or `occ-node infer --bundle {info.name}`.",
    ]  # fmt: skip
    if with_checkpoint:
        parts.append(
            "`model.safetensors` has the weights of all heads and `config.yaml` the network: `occ-train "
            f"{info.model} --initial FOLDER` goes on from them."
        )
    return "\n\n".join(parts) + "\n"


def _list(lines: Any) -> str:
    return "\n".join(f"- {line}" for line in lines) if lines else _UNKNOWN


def _lengths(recipe: dict[str, Any]) -> list[str]:
    """Steps and epochs of each phase, and how many frames make a step."""
    lengths = [
        f"{key.replace('_', ' ')}: {n:g}" for key, n in recipe.items() if key.endswith(("steps", "epochs")) and n
    ]
    shared = recipe.get("training", recipe)
    settings = ("batch", "accumulate", "learning_rate")
    frames = [f"{key.replace('_', ' ')}: {shared[key]}" for key in settings if key in shared]
    return lengths + frames


def _metrics(metrics: dict[str, Any]) -> str:
    """One table of what every data set has; other figures as they are."""
    if not metrics:
        return _UNKNOWN
    tabled = {name: row for name, row in metrics.items() if isinstance(row, dict) and "iou" in row}
    lines = [f"- {name}: {value}" for name, value in metrics.items() if name not in tabled]
    if tabled:
        keys = [key for key in _FIGURES if any(key in row for row in tabled.values())]
        head = [f"| data | {' | '.join(keys)} |", f"| --- |{' ---: |' * len(keys)}"]
        rows = [f"| {name} | {' | '.join(_shown(row.get(key)) for key in keys)} |" for name, row in tabled.items()]
        lines = [*head, *rows, "", *lines] if lines else [*head, *rows]
    return "\n".join(lines)


def _shown(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _confidence(figures: dict[str, Any] | None) -> str:
    """What `occ-train calibrate` measured."""
    if not figures:
        return "Not calibrated: the sigmoid of the network's logits."
    before, after = (figures["occupancy"][when] for when in ("before", "after"))
    shares = list(after["all"]["risk"])
    lines = [
        f"The probability that a voxel is free or occupied as labelled, fitted on {figures['frames']} frames of "
        f"{', '.join(figures['drives'])}, which also gave these percentages.",
        "",
        f"| decisions | calibration error | {' | '.join(f'wrong among the most confident {s}' for s in shares)} |",
        f"| --- | ---: |{' ---: |' * len(shares)}",
    ]
    for title, summary in (("before", before), ("calibrated", after)):
        for name, row in summary.items():
            risks = " | ".join(f"{risk:.2f}" for risk in row["risk"].values())
            lines.append(f"| {name}, {title} | {row['ece']:.2f} | {risks} |")
    return "\n".join(lines)
