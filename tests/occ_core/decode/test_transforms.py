from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from occ_core.decode import TransformError
from occ_core.decode.transforms import matrix_from_transform
from occ_core.transforms import TransformTree


def transform(quaternion, translation=(1.0, 2.0, 3.0)):
    return SimpleNamespace(
        translation=SimpleNamespace(**dict(zip("xyz", translation, strict=True))),
        rotation=SimpleNamespace(**dict(zip("xyzw", quaternion, strict=True))),
    )


@given(st.lists(st.floats(-1, 1), min_size=4, max_size=4).filter(lambda q: np.linalg.norm(q) > 0.1))
def test_quaternion_turns_vectors_as_its_definition_says(quaternion):
    q = np.array(quaternion) / np.linalg.norm(quaternion)
    u, w, v = q[:3], q[3], np.array([0.3, -0.7, 1.1])
    turned = v + 2 * np.cross(u, np.cross(u, v) + w * v)  # q v q*
    T = matrix_from_transform(transform(q.tolist()))
    np.testing.assert_allclose(T @ [*v, 1], [*(turned + np.array((1, 2, 3))), 1], atol=1e-12)


@pytest.mark.parametrize("quaternion", [(0, 0, 0, 0), (0, 0, 0, 2), (np.nan, 0, 0, 1)])
def test_no_rotation(quaternion):
    with pytest.raises(TransformError, match="tf: expected a finite translation and a unit quaternion"):
        matrix_from_transform(transform(quaternion))


def random_transform(seed):
    return matrix_from_transform(
        transform((q := np.random.default_rng(seed).normal(size=4)) / np.linalg.norm(q), (seed, 1.0, -seed))
    )


@pytest.fixture
def tree():
    """base - mast - camera - optical, and base - lidar."""
    tree = TransformTree()
    for seed, (parent, child) in enumerate(
        [("base", "mast"), ("mast", "camera"), ("camera", "optical"), ("base", "lidar")]
    ):
        tree.add(parent, child, random_transform(seed))
    return tree


def test_a_chain_up_and_down(tree):
    base_optical = random_transform(0) @ random_transform(1) @ random_transform(2)
    np.testing.assert_allclose(tree.between("optical", "lidar"), np.linalg.inv(base_optical) @ random_transform(3))


def test_there_and_back(tree):
    np.testing.assert_allclose(
        tree.between("optical", "lidar") @ tree.between("lidar", "optical"), np.eye(4), atol=1e-12
    )


def test_a_frame_to_itself(tree):
    np.testing.assert_array_equal(tree.between("camera", "camera"), np.eye(4))


def test_frames_that_nothing_joins(tree):
    tree.add("map", "other", np.eye(4))
    assert tree.between("optical", "other") is None
    assert tree.between("optical", "never heard of") is None


def test_a_loop_does_not_hang(tree):
    tree.add("lidar", "base", np.eye(4))
    assert tree.between("optical", "nowhere") is None
