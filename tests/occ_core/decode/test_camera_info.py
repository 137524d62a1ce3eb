from types import SimpleNamespace

import numpy as np
import pytest

from occ_core.decode import CameraInfoError
from occ_core.decode.camera_info import decode_camera_info

K = (60.0, 0.0, 48.0, 0.0, 60.0, 16.0, 0.0, 0.0, 1.0)
P = (50.0, 0.0, 40.0, -9.0, 0.0, 50.0, 10.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def info(**changes):
    return SimpleNamespace(**{"width": 96, "height": 32, "k": K, "p": P, "d": []} | changes)


def test_the_rectified_lens_without_its_stereo_offset():
    intrinsics = decode_camera_info(info())
    assert intrinsics.K == (50.0, 0.0, 40.0, 0.0, 50.0, 10.0, 0.0, 0.0, 1.0)
    assert intrinsics.calibration(np.eye(4)).image_size == (96, 32)


def test_the_plain_lens_where_P_is_not_filled():
    assert decode_camera_info(info(p=(0.0,) * 12)).K == K


@pytest.mark.parametrize(("d", "distorted"), [([], False), ([0.0] * 5, False), ([-0.3, 0.1, 0, 0, 0], True)])
def test_distortion_is_noticed(d, distorted):
    assert decode_camera_info(info(d=d)).distorted is distorted


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"k": (0.0,) * 9, "p": (0.0,) * 12}, "camera_info: focal length: expected fx > 0 and fy > 0, got 0 and 0"),
        ({"width": 0}, r"camera_info: image_size: expected positive \(width, height\), got \(0, 32\)"),
        ({"p": (np.nan,) * 12}, "camera_info: P: "),
    ],
)
def test_refusals(changes, text):
    with pytest.raises(CameraInfoError, match=text):
        decode_camera_info(info(**changes))
