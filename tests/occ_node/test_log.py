"""What reaches the log, and how often."""

import tracemalloc

import pytest

from occ_core.decode import ImageError
from occ_core.decode.image import decode_image
from occ_node.counters import Counters, Drop
from occ_node.log import Log


class Lines:
    """A logger that keeps its lines."""

    def __init__(self):
        self.lines = []

    def error(self, text):
        self.lines.append(text)

    warning = error


class Bad:
    """An image of an unknown encoding."""

    def __init__(self, encoding):
        self.encoding = encoding


@pytest.fixture
def logger():
    return Lines()


def test_an_error_is_logged_once_a_period_whatever_its_numbers(logger):
    log = Log(logger)
    for number in range(100):
        log.error(Drop.MALFORMED_IMAGE, f"image: {number} bytes")
    log.error(Drop.MALFORMED_POINTS, "points: 1 bytes")
    assert logger.lines == ["image: 0 bytes", "points: 1 bytes"]


def test_a_warning_is_logged_once_whatever_its_numbers(logger):
    log = Log(logger)
    for number in range(100):
        log.warn_once(f"image: {number}x10 is squeezed")
    assert logger.lines == ["image: 0x10 is squeezed"]


def test_messages_that_each_hold_another_text_fill_neither_log_nor_memory(logger):
    counters = Counters(on_error=Log(logger).error)
    tracemalloc.start()
    for number in range(600):
        # digits alone would count as the same error
        with pytest.raises(ImageError) as error:
            decode_image(Bad(chr(0x4E00 + number) + "\x1b[2J\n[INFO] forged " + "x" * 1_000_000))
        counters.error(Drop.MALFORMED_IMAGE, str(error.value))
        del error
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 200_000
    assert sum(map(len, logger.lines)) < 10_000
    assert all(line.isprintable() for line in logger.lines)
    assert len(counters.counts().last_error) < 500
    assert counters.counts().dropped["malformed.image"] == 600


def test_the_error_of_a_library_is_one_line():
    counters = Counters()
    counters.error(Drop.FAILED, "frame failed: error:\n  many\x1b lines\n" + "y" * 10_000)
    assert counters.counts().last_error.isprintable()
    assert len(counters.counts().last_error) < 600
