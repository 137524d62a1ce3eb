"""The layout of streets, before any ray is cast."""

import numpy as np
import pytest

from occ_core.taxonomy import points_from_raw
from occ_data.synthetic import people, plants, structures, vehicles
from occ_data.synthetic.ground import ROAD, TERRAIN
from occ_data.synthetic.world import build_world


@pytest.fixture(scope="module")
def worlds():
    return [build_world(seed, 4.0, 9.0, 1.0) for seed in range(4)]


def test_all_classes_occur_over_a_few_streets(worlds):
    raw = [np.unique(world.static.label) for world in worlds]
    raw += [np.unique(mover.mesh.label) for world in worlds for mover in world.movers]
    assert set(points_from_raw(np.concatenate(raw).astype(np.uint32))) == set(range(1, 20))


def test_the_own_lane_is_road(worlds):
    for world in worlds:
        s = np.arange(-5, 80)
        assert (world.ground.label(s, world.lane) == ROAD).all()
        assert np.abs(world.ground.height(s, world.lane)).max() < 0.02


def test_streets_differ_by_seed_only(worlds):
    again = build_world(0, 4.0, 9.0, 1.0)
    assert np.array_equal(again.static.vertices, worlds[0].static.vertices)
    assert again.static.vertices.shape != worlds[1].static.vertices.shape


def test_far_from_the_road_there_is_no_road_but_in_side_streets(worlds):
    for world in worlds:
        side = world.ground.sides[1]
        s = np.arange(-40.0, 60.0, 0.5)
        crossing = np.zeros(len(s), bool)
        for middle, half in side.junctions:
            crossing |= np.abs(s - middle) < half
        label = world.ground.label(s, 40.0)
        assert np.array_equal(label == ROAD, crossing)
        assert TERRAIN in label or world.style == "urban"


@pytest.mark.parametrize(
    ("make", "label", "low", "high"),
    [
        (vehicles.car, 10, 1.35, 1.65), (vehicles.van, 20, 1.9, 2.7), (vehicles.truck, 18, 2.6, 3.7),
        (vehicles.bus, 13, 2.9, 3.1), (vehicles.trailer, 20, 0.9, 2.5), (people.bicycle, 11, 0.9, 1.2),
        (people.motorcycle, 15, 0.9, 1.2), (people.person, 30, 1.5, 2.0), (people.bicyclist, 31, 1.6, 2.0),
        (people.motorcyclist, 32, 1.5, 1.9),
    ],
)  # fmt: skip
def test_things_stand_on_the_ground_and_have_their_size(make, label, low, high):
    for seed in range(5):
        mesh = make(np.random.default_rng(seed))
        z = mesh.vertices[:, 2]
        assert set(mesh.label) == {label}
        assert -0.1 < z.min() < 0.2 and low < z.max() < high


def test_trees_have_trunk_and_crown_and_signs_pole_and_plate():
    rng = np.random.default_rng(0)
    green = np.array((0.1, 0.2, 0.05))
    assert set(plants.tree(rng, green).label) == {70, 71}
    assert set(structures.traffic_sign(rng).label) == {80, 81}
