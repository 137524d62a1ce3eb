"""Which frames keep their voxel labels, and which frames make up each batch."""

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler

from occ_core.errors import InputError


def labelled_frames(count: int, share: float, seed: int = 0) -> np.ndarray:
    """Interval sampling (OccLE section 4.1.1): which of `count` frames in a row keep their labels, (count,) bool.

    The seed moves the first of them within its interval. A share of 0 keeps none; a larger one that
    selects no frame is an InputError.
    """
    if not 0 <= share <= 1:
        raise InputError(f"label share: expected a number from 0 to 1, got {share}")
    kept = np.zeros(count, bool)
    number = round(share * count)
    if share > 0 and not number:
        raise InputError(f"label share: {share} of {count} frames selects none; expected at least {1 / count:.2g}")
    offset = np.random.default_rng(seed).random()
    kept[((np.arange(number) + offset) * count / max(number, 1)).astype(int)] = True
    return kept


def turns_of(shares: Sequence[float]) -> list[int]:
    """The numbers of groups in the order of one round, in which each has its share of the turns, spread evenly.

    Shares count in relation to each other, to within one in a hundred of the largest.
    """
    parts = [max(Fraction(share / max(shares)).limit_denominator(100), Fraction(1, 100)) for share in shares]
    counts = [int(part * math.lcm(*(p.denominator for p in parts))) for part in parts]
    counts = [count // math.gcd(*counts) for count in counts]
    return [group for _, group in sorted(((k + 0.5) / n, group) for group, n in enumerate(counts) for k in range(n))]


class Draw(NamedTuple):
    """A frame to load, and the number of the draw: it seeds the frame's augmentation."""

    item: int
    number: int


class Draws(Sampler[list[Draw]]):
    """Batches of draws, determined by the seed and the step.

    A training that continues at step `start`, or runs in `world` processes, draws the same frames as an uninterrupted
    one, or as a single process with a batch `world` times as large.

    kinds : one or two kinds of frames, for each its groups of items. The groups of a kind take turns, and a group gives
        every item once before it repeats one. Kinds and groups without items are left out.
    first : share of the draws that are of the first of two kinds, spread evenly
    shares : how often each group is drawn compared with the others; empty: all alike
    """

    def __init__(
        self, kinds: list[list[list[int]]], batch: int, steps: int, seed: int,
        start: int = 0, rank: int = 0, world: int = 1, first: float = 0.5, shares: Sequence[float] = (),
    ):  # fmt: skip
        present = [[n for n, group in enumerate(kind) if group] for kind in kinds]
        self.kinds = [[kind[n] for n in groups] for kind, groups in zip(kinds, present, strict=True) if groups]
        self._turns = [turns_of([shares[n] if shares else 1.0 for n in groups]) for groups in present if groups]
        self.first = Fraction(first).limit_denominator(10**6) if len(self.kinds) == 2 else Fraction(1)
        self.batch, self.steps, self.seed = batch, steps, seed
        self.start, self.rank, self.world = start, rank, world

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[Draw]]:
        for step in range(self.start, self.steps):
            first = (step * self.world + self.rank) * self.batch
            yield [self.draw(first + n) for n in range(self.batch)]

    def draw(self, number: int) -> Draw:
        """The draw of that number."""
        before, after = (math.ceil(n * self.first) for n in (number, number + 1))  # draws of the first kind
        kind, turn = (0, before) if after > before else (1, number - before)
        turns = self._turns[kind]
        rounds, turn = divmod(turn, len(turns))
        group = turns[turn]
        items = self.kinds[kind][group]
        passes, place = divmod(rounds * turns.count(group) + turns[:turn].count(group), len(items))
        order = np.random.default_rng((self.seed, kind, group, passes)).permutation(len(items))
        return Draw(items[order[place]], number)
