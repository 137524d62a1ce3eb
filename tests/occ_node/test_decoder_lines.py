"""Lines of the libraries that decode images."""

import os

import cv2
import numpy as np
import pytest

from occ_core.decode import ImageError
from occ_core.decode.image import decode_compressed_image
from occ_node.decoder_lines import DecoderLines
from occ_node.log import Log


class Compressed:
    """With the fields of a CompressedImage."""

    format = "png"

    def __init__(self, data):
        self.data = data


class Lines(list):
    """A logger that keeps its lines."""

    error = list.append


def encoded(ending: str) -> np.ndarray:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    return cv2.imencode(ending, pixels)[1].ravel()


def test_what_libpng_says_is_in_the_log_once_and_stderr_stays_clean(capfd):
    data, lines = encoded(".png"), Lines()
    data[len(data) // 2 : len(data) // 2 + 40] = 0
    decode = DecoderLines(decode_compressed_image, Log(lines))
    for _ in range(50):
        with pytest.raises(ImageError, match="cannot be decoded"):
            decode(Compressed(data))
    assert capfd.readouterr().err == ""
    assert sum("libpng error" in line for line in lines) == 1
    assert len(lines) <= 8


def test_what_libjpeg_says_of_an_image_that_can_be_read(capfd):
    data, lines = encoded(".jpg"), Lines()
    data[len(data) // 2 : len(data) // 2 + 40] = 0
    assert DecoderLines(decode_compressed_image, Log(lines))(Compressed(data)).shape == (64, 64, 3)
    assert capfd.readouterr().err == ""
    assert lines and lines[0].startswith("image: Corrupt JPEG data")


def test_lines_of_others_go_on_to_stderr(capfd):
    def decode(message):
        os.write(2, b"[INFO] of another thread\n")
        return message

    lines = Lines()
    assert DecoderLines(decode, Log(lines))("result") == "result"
    assert capfd.readouterr().err == "[INFO] of another thread\n"
    assert not lines
