import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from occ_core.decode.cloud import decode_cloud
from occ_core.decode.intensity import DECIDING, SCALES, Intensity

from .test_cloud import message, xyz

COUNT = 2000


def raw(scale, seed=0):
    return np.random.default_rng(seed).uniform(0, scale, COUNT).astype(np.float32)


def normalised(intensity, values, full=None):
    values = values.copy()
    intensity.normalise(values, full)
    return values


@given(
    scale=st.sampled_from(SCALES), seed=st.integers(0, 99), clouds=st.integers(1, DECIDING + 2),
    outliers=st.lists(st.tuples(st.integers(0, COUNT - 1), st.floats(width=32)), max_size=COUNT // 100),
)  # fmt: skip
def test_a_few_outliers_never_change_the_scale(scale, seed, clouds, outliers):
    values = raw(scale, seed)
    for place, value in outliers:
        values[place] = value
    intensity = Intensity()
    for _ in range(clouds):
        out = normalised(intensity, values)
        assert intensity.scale == scale and out.min() >= 0 and out.max() <= 1
    assert intensity.decided == (clouds >= DECIDING) and not intensity.problem


def test_one_bright_point_does_not_darken_its_cloud():
    values = raw(255)
    values[7] = 260
    points = decode_cloud(message(xyz(COUNT) | {"intensity": values})).points
    np.testing.assert_allclose(points[:, 3], np.minimum(values / 255, 1), rtol=1e-6)


def test_most_of_the_first_clouds_decide_and_nothing_after_them():
    intensity = Intensity()
    for scale in (65535, 255, 255, 65535, 1, 255, 255, 255, 255, 255):
        assert not intensity.decided
        normalised(intensity, raw(scale))
    assert intensity.decided and intensity.scale == 255
    for _ in range(100):
        normalised(intensity, raw(65535))
    assert intensity.scale == 255


def test_the_clouds_so_far_are_the_estimate():
    intensity = Intensity()
    np.testing.assert_allclose(normalised(intensity, raw(255)), raw(255) / 255, rtol=1e-6)
    assert not intensity.decided


def test_clouds_without_intensity_decide_nothing():
    intensity = Intensity()
    for _ in range(2 * DECIDING):
        normalised(intensity, np.zeros(COUNT, np.float32))
    assert not intensity.decided
    normalised(intensity, raw(255))
    assert intensity.scale == 255


@pytest.mark.parametrize(
    ("stated", "full", "clouds", "text"),
    [
        (
            None,
            None,
            (255, 65535),
            "the clouds look like 0..65535, but are divided by 255; set the rig's intensity_scale",
        ),
        (1.0, None, (255, 255), "look like 0..255, but are divided by 1;"),
        (255.0, None, (1, 1), "look like 0..1, but are divided by 255;"),
        (None, 65535, (255, 255), "look like 0..255, but are divided by 65535;"),
    ],
)
def test_a_contradiction_is_said_after_many_clouds_and_taken_back(stated, full, clouds, text):
    first, later = clouds
    intensity = Intensity(stated)
    for _ in range(DECIDING):
        normalised(intensity, raw(first), full)
    for _ in range(20):
        scale = intensity.scale
        normalised(intensity, raw(later), full)
        assert intensity.scale == scale
    assert text in intensity.problem
    normalised(intensity, raw(intensity.scale), full)
    assert not intensity.problem


def test_a_stated_scale_is_used_for_every_type():
    for kind in ("f4", "u1", "u2"):
        values = np.array([0, 32, 64, 128, 200], kind)
        points = decode_cloud(message(xyz(5) | {"intensity": values}), Intensity(128.0)).points
        np.testing.assert_allclose(points[:, 3], [0, 0.25, 0.5, 1, 1])


def test_integers_keep_the_scale_of_their_type():
    intensity = Intensity()
    decode_cloud(message(xyz(5) | {"intensity": np.array([0, 1, 2, 1, 0], "u1")}), intensity)
    assert intensity.scale == 255 and intensity.decided


def test_what_the_clouds_so_far_decide_can_be_kept():
    intensity = Intensity()
    normalised(intensity, raw(255))
    intensity.keep()
    for _ in range(DECIDING):
        normalised(intensity, raw(65535))
    assert intensity.scale == 255 and intensity.decided
