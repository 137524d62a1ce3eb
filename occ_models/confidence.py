"""What turns a network's occupancy logits into a decision and a probability; `confidence.yaml` beside its weights."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path

from occ_core import NUM_CLASSES
from occ_core.files import read_mapping, write_yaml

from .config import ConfigError

CONFIDENCE = "confidence.yaml"


@dataclass(frozen=True)
class Confidence:
    """How a network decides, and what its logits mean.

    offset : a voxel is occupied where its occupancy logit plus this is positive
    temperatures, shifts : by the label that a voxel gets, 0 free to 19: the probability that it is occupied is
        sigmoid(logit / temperature + shift) (Platt scaling; temperature scaling where the shift is 0: Guo et al. 2017,
        section 4)
    """

    offset: float = 0.0
    temperatures: tuple[float, ...] = (1.0,) * NUM_CLASSES
    shifts: tuple[float, ...] = (0.0,) * NUM_CLASSES

    def __post_init__(self):
        if not math.isfinite(self.offset):
            raise ConfigError(f"offset: expected a number, got {self.offset}")
        if len(self.temperatures) != NUM_CLASSES or not all(0 < t < math.inf for t in self.temperatures):
            raise ConfigError(f"temperatures: expected {NUM_CLASSES} positive numbers, got {self.temperatures}")
        if len(self.shifts) != NUM_CLASSES or not all(map(math.isfinite, self.shifts)):
            raise ConfigError(f"shifts: expected {NUM_CLASSES} numbers, got {self.shifts}")


PLAIN = Confidence()
"""The logits as they are."""


def read_confidence(folder: str | Path) -> Confidence:
    """Of the folder with a network's weights; PLAIN where it has no confidence.yaml. Raises ConfigError."""
    path = Path(folder) / CONFIDENCE
    if not path.is_file():
        return PLAIN
    values = read_mapping(path)
    if set(values) - {"figures"} != {"offset", "temperatures", "shifts"}:
        raise ConfigError(f"{path}: expected the keys offset, temperatures, shifts, figures; got {', '.join(values)}")
    try:
        lists = [tuple(float(number) for number in values[key]) for key in ("temperatures", "shifts")]
        return Confidence(float(values["offset"]), *lists)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    except (TypeError, ValueError):
        raise ConfigError(f"{path}: expected a number as the offset, lists of numbers as the others") from None


def confidence_figures(folder: str | Path) -> dict:
    """What the calibration measured; empty where there was none."""
    path = Path(folder) / CONFIDENCE
    return read_mapping(path).get("figures", {}) if path.is_file() else {}


def write_confidence(folder: str | Path, confidence: Confidence, figures: dict) -> Path:
    """Write what `read_confidence` and `confidence_figures` read."""
    values = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(confidence).items()}
    return write_yaml(Path(folder) / CONFIDENCE, values | {"figures": figures})
