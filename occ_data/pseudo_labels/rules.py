"""The aligner: rule tables that merge dataset-specific and open-vocabulary segmentation (OccLE, section 3.2, App. B).

A table is a YAML file:

    about: what it is
    prompts: {trunk: 0.3}             phrases for the open-vocabulary segmenter: the score from which a mask counts
    rules:                            in order: where two hold, the later one wins; where none holds, the pixel is 255
      - class: trunk
        when: {all: [{mask: trunk}, {ids: {174: vegetation}}]}

A condition is one of `ids: {id: name, ...}` (the MSeg class is one of these; id and name must belong together),
`mask: prompt`, `all: [...]`, `any: [...]` and `not: ...`.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from occ_core.files import FileError, read_bytes, read_yaml
from occ_core.taxonomy import CLASS_NAMES, IGNORE
from occ_core.yaml_text import shown

from ..kitti import DataError
from .mseg import NAMES, UNLABELED

TABLES = ("sane", "paper", "none")
_MOST_PROMPTS = 6
_CONDITIONS = "ids, mask, all, any, not"

Condition = Callable[[int, frozenset[str]], bool]
"""Whether a rule holds for an MSeg id and the prompts whose masks cover the pixel."""


@dataclass(frozen=True, eq=False)
class Table:
    """A rule table, checked.

    prompts : phrase -> the score from which its mask counts
    rules : (class, condition), in order
    sha256 : of the file
    """

    name: str
    prompts: dict[str, float]
    rules: list[tuple[int, Condition]]
    sha256: str

    def class_of(self, mseg_id: int, held: frozenset[str]) -> int:
        """The class of a pixel by the rules themselves."""
        return next((number for number, holds in reversed(self.rules) if holds(mseg_id, held)), IGNORE)

    def truth_table(self) -> np.ndarray:
        """(2^prompts * 256,) uint8: the class for each set of masks (bit n: prompt n) and MSeg id."""
        held = np.full((2 ** len(self.prompts), 256), IGNORE, np.uint8)
        for count in range(len(self.prompts) + 1):
            for chosen in combinations(enumerate(self.prompts), count):
                row, names = sum(1 << n for n, _ in chosen), frozenset(name for _, name in chosen)
                held[row, : UNLABELED + 1] = [self.class_of(number, names) for number in range(UNLABELED + 1)]
                held[row, 255] = held[row, UNLABELED]
        return held.reshape(-1)


def load_table(name: str | Path) -> Table:
    """A table of the package ("sane", "paper", "none") or a YAML file; DataError names what is wrong in it."""
    path = Path(__file__).parent / "tables" / f"{name}.yaml" if name in TABLES else Path(name)
    try:
        text, content = read_bytes(path), read_yaml(path)
    except FileError as error:
        raise DataError(f"{error}; tables: {', '.join(TABLES)}, or a YAML file") from None
    if not isinstance(content, dict) or set(content) != {"about", "prompts", "rules"}:
        raise DataError(f"{path}: expected exactly the keys about, prompts and rules")
    prompts = _prompts(path, content["prompts"])
    if not isinstance(content["rules"], list):
        raise DataError(f"{path}: rules: expected a list")
    rules = [_rule(f"{path}: rule {n}", rule, prompts) for n, rule in enumerate(content["rules"], 1)]
    return Table(path.stem, prompts, rules, hashlib.sha256(text).hexdigest())


class Aligner:
    """Applies a table to whole images."""

    def __init__(self, table: Table):
        self.table = table
        self._classes = table.truth_table()

    def __call__(self, ids: np.ndarray, scores: Mapping[str, np.ndarray]) -> np.ndarray:
        """Classes (H, W) uint8: 1..19, 255 where no rule holds.

        Parameters
        ----------
        ids : (H, W) uint8 or uint16 MSeg universal ids; 194 and 255 are unlabeled
        scores : prompt -> (H, W) in 0..1, the score of the mask over each pixel, 0 outside masks

        Raises DataError for other ids, and where a prompt of the table is missing or of another shape.
        """
        _check(self.table, ids, scores)
        code = ids.astype(np.uint16)
        for n, (prompt, least) in enumerate(self.table.prompts.items()):
            code |= (_covers(scores[prompt], least)).astype(np.uint16) << (8 + n)
        return self._classes[code]


def align_ref(table: Table, ids: np.ndarray, scores: Mapping[str, np.ndarray]) -> np.ndarray:
    """What `Aligner` does, a pixel at a time."""
    _check(table, ids, scores)
    out = np.empty(ids.shape, np.uint8)
    for v, u in np.ndindex(ids.shape):
        held = frozenset(prompt for prompt, least in table.prompts.items() if _covers(scores[prompt][v, u], least))
        out[v, u] = table.class_of(min(int(ids[v, u]), UNLABELED), held)
    return out


def _covers(score, least):
    return (score > 0) & (score >= least)


def _check(table: Table, ids: np.ndarray, scores: Mapping[str, np.ndarray]) -> None:
    unknown = (ids > UNLABELED) & (ids != 255)
    if unknown.any():
        raise DataError(f"MSeg id {int(ids[unknown][0])}: expected 0..{UNLABELED - 1}, or {UNLABELED} or 255 unlabeled")
    for prompt in table.prompts:
        if prompt not in scores:
            raise DataError(f"table {table.name}: no mask for its prompt {prompt!r}; got {sorted(scores) or 'none'}")
        if scores[prompt].shape != ids.shape:
            raise DataError(f"mask {prompt!r}: shape {scores[prompt].shape}; expected {ids.shape}, that of the ids")


def _prompts(path: Path, content) -> dict[str, float]:
    if not isinstance(content, dict) or len(content) > _MOST_PROMPTS:
        raise DataError(f"{path}: prompts: expected at most {_MOST_PROMPTS} lines 'phrase: score'")
    for phrase, score in content.items():
        if not isinstance(phrase, str) or not phrase.replace(" ", "").isalnum():
            raise DataError(f"{path}: prompts: {shown(phrase)}: expected a phrase of letters, digits and spaces")
        if not isinstance(score, int | float) or not 0 <= score <= 1:
            raise DataError(f"{path}: prompts: {phrase}: {shown(score)}: expected a score in 0..1")
    return content


def _rule(where: str, rule, prompts) -> tuple[int, Condition]:
    if not isinstance(rule, dict) or set(rule) != {"class", "when"}:
        raise DataError(f"{where}: expected exactly the keys class and when")
    if rule["class"] not in CLASS_NAMES[1:]:
        raise DataError(f"{where}: unknown class {shown(rule['class'])}; expected one of {', '.join(CLASS_NAMES[1:])}")
    return CLASS_NAMES.index(rule["class"]), _condition(f"{where} ({rule['class']})", rule["when"], prompts)


def _condition(where: str, node, prompts) -> Condition:
    if not isinstance(node, dict) or len(node) != 1:
        raise DataError(f"{where}: {shown(node)}: expected one of {_CONDITIONS}")
    ((kind, value),) = node.items()
    if kind == "ids" and isinstance(value, dict):
        return _ids(where, value)
    if kind == "mask":
        if not isinstance(value, str) or value not in prompts:
            raise DataError(
                f"{where}: unknown prompt {shown(value)}; the table's prompts: {', '.join(prompts) or 'none'}"
            )
        return lambda mseg_id, held: value in held
    if kind == "not":
        part = _condition(where, value, prompts)
        return lambda mseg_id, held: not part(mseg_id, held)
    if kind in ("all", "any") and isinstance(value, list):
        parts, quantifier = [_condition(where, part, prompts) for part in value], all if kind == "all" else any
        return lambda mseg_id, held: quantifier(part(mseg_id, held) for part in parts)
    raise DataError(f"{where}: {shown(node)}: expected one of {_CONDITIONS}")


def _ids(where: str, names: dict) -> Condition:
    for number, name in names.items():
        if not isinstance(number, int) or not 0 <= number < len(NAMES):
            raise DataError(f"{where}: unknown id {shown(number)}; MSeg's are 0..{len(NAMES) - 1}")
        if NAMES[number] != name:
            raise DataError(f"{where}: id {number} is {NAMES[number]} in MSeg, not {str(name)[:100]}")
    chosen = frozenset(names)
    return lambda mseg_id, held: mseg_id in chosen
