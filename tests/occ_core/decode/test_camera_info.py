from types import SimpleNamespace

import numpy as np
import pytest

from occ_core.decode import CameraInfoError
from occ_core.decode.camera_info import decode_camera_info

K = (60.0, 0.0, 48.0, 0.0, 60.0, 16.0, 0.0, 0.0, 1.0)
P = (50.0, 0.0, 40.0, -9.0, 0.0, 50.0, 10.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def region(x=0, y=0, width=0, height=0):
    return SimpleNamespace(x_offset=x, y_offset=y, width=width, height=height, do_rectify=False)


def info(**changes):
    unbinned = {"binning_x": 0, "binning_y": 0, "roi": region()}
    return SimpleNamespace(**{"width": 96, "height": 32, "k": K, "p": P, "d": []} | unbinned | changes)


def test_the_rectified_lens_without_its_stereo_offset():
    intrinsics = decode_camera_info(info())
    assert intrinsics.K == (50.0, 0.0, 40.0, 0.0, 50.0, 10.0, 0.0, 0.0, 1.0)
    assert intrinsics.calibration(np.eye(4)).image_size == (96, 32)


def test_the_plain_lens_where_P_is_not_filled():
    assert decode_camera_info(info(p=(0.0,) * 12)).K == K


@pytest.mark.parametrize(("d", "distorted"), [([], False), ([0.0] * 5, False), ([-0.3, 0.1, 0, 0, 0], True)])
def test_distortion_is_noticed(d, distorted):
    assert decode_camera_info(info(d=d)).distorted is distorted


@pytest.mark.parametrize("unfilled", ["p", "k"])
@pytest.mark.parametrize(
    ("binning", "roi", "size"),
    [
        ((0, 0), (), (96, 32)), ((1, 1), (0, 0, 96, 32), (96, 32)), ((2, 2), (), (48, 16)), ((4, 2), (), (24, 16)),
        ((0, 0), (16, 8, 64, 16), (64, 16)), ((2, 1), (16, 8, 64, 16), (32, 16)), ((5, 3), (), (19, 10)),
    ],
)  # fmt: skip
def test_the_region_is_cut_and_then_binned(binning, roi, size, unfilled):
    """A point of the sensor is where the cut and binned image has it, whichever of K and P is filled."""
    message = info(binning_x=binning[0], binning_y=binning[1], roi=region(*roi))
    setattr(message, unfilled, (0.0,) * len(getattr(message, unfilled)))
    whole, part = decode_camera_info(info(k=message.k, p=message.p)), decode_camera_info(message)
    assert part.image_size == size
    point = np.array([0.3, -0.1, 1.0])
    expected = (np.reshape(whole.K, (3, 3)) @ point)[:2] - (roi[:2] or (0, 0))
    expected /= np.maximum(binning, 1)
    np.testing.assert_allclose((np.reshape(part.K, (3, 3)) @ point)[:2], expected)
    np.testing.assert_allclose(np.multiply(part.offset, (*np.maximum(binning, 1), 1)), whole.offset)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"k": (0.0,) * 9, "p": (0.0,) * 12}, "camera_info: focal length: expected fx > 0 and fy > 0, got 0 and 0"),
        ({"width": 0}, r"camera_info: image_size: expected positive \(width, height\), got \(0, 32\)"),
        ({"p": (np.nan,) * 12}, "camera_info: P: "),
        ({"k": (*K[:8], 0.0), "p": (0.0,) * 12}, "camera_info: K: expected the rows .* 0 0 1, got 0 ... and 0 0 0"),
        ({"p": (*P[:10], 0.0, 0.0)}, "camera_info: K: expected the rows .* 0 0 1, got 0 ... and 0 0 0"),
        (
            {"p": (1e300, *P[1:])},
            r"K: expected pixels up to 1e\+06, got fx, fy, cx, cy of 1e\+300, 50, 40",
        ),
        ({"p": (*P[:2], -1e300, *P[3:])}, r"camera_info: K: expected pixels up to 1e\+06"),
        ({"p": (1e-300, *P[1:])}, r"camera_info: K: expected pixels up to 1e\+06"),
        ({"p": (*P[:3], 1e300, *P[4:])}, "camera_info: P, T_cam_lidar: expected translations"),
        ({"width": 2**32 - 1}, r"camera_info: image_size: expected at most 1e\+06"),
        ({"roi": region(90, 0, 10, 10)}, r"camera_info: roi is 10x10 at \(90, 0\); expected a part of 96x32"),
        ({"roi": region(0, 30, 96, 3)}, "camera_info: roi"),
        ({"roi": region(5, 5)}, "camera_info: roi is 0x0"),
        ({"binning_x": 97}, r"camera_info: image_size: expected positive \(width, height\), got \(0, 32\)"),
    ],
)
def test_refusals(changes, text):
    with pytest.raises(CameraInfoError, match=text):
        decode_camera_info(info(**changes))
