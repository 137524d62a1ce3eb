"""A short animation as GIF: the camera above, the voxels below."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from occ_core.files import write_bytes

from .canvas import fit_width

MAX_BYTES = 8_000_000
_WIDTHS = (640, 560, 480, 400, 320)


def stacked(*pictures: np.ndarray, width: int = 640) -> np.ndarray:
    """Pictures one below the other, scaled to one width."""
    return np.vstack([fit_width(picture, width) for picture in pictures])


def save_gif(path: Path, frames: Sequence[np.ndarray], frames_per_second: float) -> Path:
    """Write (H, W, 3) uint8 RGB frames, scaled down until the file is below MAX_BYTES; gives its path.

    All frames share one palette without dithering, so that pixels that do not change cost nothing.
    """
    if not frames:
        raise ValueError(f"{path}: an animation needs at least one frame")
    data = b""
    for width in _WIDTHS:
        data = _encode([fit_width(frame, width) for frame in frames], round(1000 / frames_per_second))
        if len(data) <= MAX_BYTES:
            break
    return write_bytes(path, data)


def _encode(frames: list[np.ndarray], milliseconds: int) -> bytes:
    from PIL import Image

    sample = np.concatenate([frame[::3, ::3] for frame in frames[:: max(1, len(frames) // 8)]])
    palette = Image.fromarray(sample).quantize(192, method=Image.Quantize.MEDIANCUT)
    pictures = [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    out = io.BytesIO()
    pictures[0].save(
        out, "GIF", save_all=True, append_images=pictures[1:], duration=milliseconds, loop=0, optimize=False
    )
    return out.getvalue()
