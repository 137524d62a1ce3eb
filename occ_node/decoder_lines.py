"""What libpng, libjpeg and OpenCV write on stderr about images: as few lines as the node's own errors."""

import os
import tempfile
from collections.abc import Callable

from .counters import Drop
from .log import Log

_BEGINNINGS = (
    b"libpng ", b"Corrupt JPEG", b"Premature end of JPEG", b"Invalid ", b"Unsupported ", b"Inconsistent ", b"Warning: ",
    b"[ WARN:", b"[ERROR:",
)  # fmt: skip
"""Of lines that are those libraries' own. OpenCV's level cannot be set in all of its versions."""


class DecoderLines:
    """Wraps the decoder of compressed images.

    The libraries write to the process's stderr themselves. During a call it is a file; lines of other threads go on to
    stderr after it, a few milliseconds late. Use on one thread.
    """

    def __init__(self, decode: Callable, log: Log):
        self._decode, self._log = decode, log

    def __call__(self, message):
        """The decoder's result; raises what it raises."""
        with tempfile.TemporaryFile() as file:
            stderr = os.dup(2)
            os.dup2(file.fileno(), 2)
            try:
                return self._decode(message)
            finally:
                os.dup2(stderr, 2)
                os.close(stderr)
                file.seek(0)
                self._pass_on(file.read())

    def _pass_on(self, written: bytes) -> None:
        for line in written.splitlines(keepends=True):
            if line.startswith(_BEGINNINGS):
                self._log.error(Drop.MALFORMED_IMAGE, f"image: {line.decode(errors='replace').strip()}")
            else:
                os.write(2, line)
