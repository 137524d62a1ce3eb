"""A chart of figures over shares: one panel for each figure, drawn with OpenCV."""

import math
from statistics import mean, stdev

import cv2
import numpy as np

from occ_cli.drawing.canvas import FAINT, INK, PAPER, beside, text_width, write

WIDTH, HEIGHT = 560, 400
LEFT, RIGHT, TOP, BOTTOM = 64, 32, 56, 52
LINE = (31, 98, 173)


def share_chart(figures: dict[str, dict[float, list[float]]]) -> np.ndarray:
    """Panels beside each other, (H, W, 3) uint8 RGB.

    figures : of each panel its title and, for each share above 0 and at most 1, the values over the seeds; drawn are
        their mean and standard deviation, shares on a logarithmic axis
    """
    return beside(*(_panel(title, values) for title, values in figures.items()))


def _panel(title: str, values: dict[float, list[float]]) -> np.ndarray:
    picture = np.full((HEIGHT, WIDTH, 3), PAPER, np.uint8)
    shares = sorted(values)
    means = {share: mean(values[share]) for share in shares}
    spreads = {share: stdev(values[share]) if len(values[share]) > 1 else 0.0 for share in shares}
    largest = max(1.0, *(means[share] + spreads[share] for share in shares))
    step = _tick(largest)
    top = step * math.ceil(1.02 * largest / step)

    def u(share: float) -> int:
        low = math.log(shares[0]) if len(shares) > 1 else -1.0
        high = math.log(shares[-1]) if len(shares) > 1 else 1.0
        return round(LEFT + 24 + (math.log(share) - low) / (high - low) * (WIDTH - LEFT - RIGHT - 48))

    def v(value: float) -> int:
        return round(HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM))

    write(picture, title, (LEFT, 30), 0.58)
    for n in range(round(top / step) + 1):
        at, text = v(n * step), f"{n * step:g}"
        cv2.line(picture, (LEFT, at), (WIDTH - RIGHT, at), INK if n == 0 else (222, 225, 229), 1, cv2.LINE_AA)
        write(picture, text, (LEFT - 8 - text_width(text, 0.42), at + 5), 0.42)
    for share in shares:
        text = f"{100 * share:g} %"
        cv2.line(picture, (u(share), v(0)), (u(share), v(0) + 5), INK, 1, cv2.LINE_AA)
        write(picture, text, (u(share) - text_width(text, 0.42) // 2, v(0) + 21), 0.42)
    below = "share of the frames with voxel labels"
    write(picture, below, ((LEFT + WIDTH - RIGHT - text_width(below, 0.42)) // 2, HEIGHT - 10), 0.42, FAINT)

    points = np.array([(u(share), v(means[share])) for share in shares], np.int32)
    cv2.polylines(picture, [points], False, LINE, 2, cv2.LINE_AA)
    for share, (x, y) in zip(shares, points.tolist(), strict=True):
        low, high = v(means[share] - spreads[share]), v(means[share] + spreads[share])
        for start, end in (((x, low), (x, high)), ((x - 4, low), (x + 4, low)), ((x - 4, high), (x + 4, high))):
            cv2.line(picture, start, end, LINE, 1, cv2.LINE_AA)
        cv2.circle(picture, (x, y), 4, LINE, -1, cv2.LINE_AA)
        text = f"{means[share]:.1f}"
        write(picture, text, (x - text_width(text, 0.42) // 2, high - 9), 0.42)
    return picture


def _tick(largest: float) -> float:
    """The distance of the lines of an axis from 0: 1, 2 or 5 times a power of ten, at most six of them."""
    power = 10.0 ** math.floor(math.log10(largest / 6))
    return next(power * n for n in (1, 2, 5, 10) if largest / (power * n) <= 6)
