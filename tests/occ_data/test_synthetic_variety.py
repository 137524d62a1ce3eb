"""Varied streets: more kinds of places, a lane that stays free, and truth that fits."""

import numpy as np
import pytest

from occ_core.grid import KITTI_GRID
from occ_core.taxonomy import voxels_from_raw
from occ_data import open_drive
from occ_data.synthetic import Drive, landmarks
from occ_data.synthetic.ground import PARKING, ROAD, SIDEWALK, TERRAIN
from occ_data.synthetic.scene import Caster, Scene
from occ_data.synthetic.shapes import Material
from occ_data.synthetic.world import build_world

pytest.importorskip("embreex")
SEEDS = range(8)


@pytest.fixture(scope="module")
def worlds():
    return [build_world(seed, 24.0, 8.0, 3.0, varied=True) for seed in SEEDS]


def test_streets_that_are_not_varied_stay_as_they_were(worlds):
    plain, again = (build_world(0, 24.0, 8.0, 3.0) for _ in range(2))
    assert np.array_equal(plain.static.vertices, again.static.vertices)
    assert plain.static.vertices.shape != worlds[0].static.vertices.shape
    assert not any(side.places for side in plain.ground.sides)


def test_a_seed_means_the_same_varied_street(worlds):
    again = build_world(0, 24.0, 8.0, 3.0, varied=True)
    assert np.array_equal(again.static.vertices, worlds[0].static.vertices)


def test_varied_streets_have_open_places_and_other_roads(worlds):
    places = {label for world in worlds for side in world.ground.sides for *_, label in side.places}
    assert {PARKING, SIDEWALK, TERRAIN} <= places
    assert len({world.ground.materials[ROAD] for world in worlds}) > 1


def test_an_open_place_has_its_label(worlds):
    for world in worlds:
        for sign, side in zip((-1, 1), world.ground.sides, strict=True):
            for s0, s1, label in side.places:
                s = np.arange(s0 + 0.5, s1 - 0.5, 0.5)
                s = s[[all(abs(at - middle) > half + 2 for middle, half in side.junctions) for at in s]]
                found = world.ground.label(s, sign * (side.edge + 12))
                track = [any(a <= at < b for a, b, *_ in side.drives) for at in s]
                assert (found == label)[~np.array(track, bool)].all()


def test_nothing_stands_in_the_lane_of_the_car(worlds):
    for world in worlds:
        scene, s = Scene(Caster(world.static)), np.arange(0, 26, 1.0)
        for beside in (-0.7, 0, 0.7):
            for up in (0.5, 1.2, 2.0):
                track = world.path.at(s, world.lane + beside, up)
                step = np.diff(track, axis=0)
                length = np.linalg.norm(step, axis=1)
                found = scene.cast(track[:-1], step / length[:, None])
                assert not (found.hit & (found.distance < length)).any()


def test_there_is_free_height_under_bridges_and_wide_trees():
    rng = np.random.default_rng(0)
    for _ in range(5):
        deck = landmarks.bridge(rng, 8, 30, 6, 4.5).vertices
        assert deck[np.abs(deck[:, 1]) < 7.9][:, 2].min(initial=4.5) >= 4.5
        tree = landmarks.wide_tree(rng, np.array((0.1, 0.2, 0.05)), 4.5)
        crown = tree.vertices[tree.faces[tree.label == 70]]
        assert crown[..., 2].min() > 3.2 and np.abs(crown[..., :2]).max() > 2.5


@pytest.mark.parametrize(
    ("make", "label", "low", "high"), [(landmarks.tram, 16, 3.2, 3.6), (landmarks.shelter, 52, 2.3, 2.6)]
)
def test_landmarks_stand_on_the_ground_and_have_their_size(make, label, low, high):
    for seed in range(5):
        mesh = make(np.random.default_rng(seed))
        assert label in mesh.label
        assert -0.1 < mesh.vertices[:, 2].min() < 0.3 and low < mesh.vertices[:, 2].max() < high


def test_a_construction_site_stays_beside_its_line():
    for seed in range(5):
        mesh = landmarks.construction(np.random.default_rng(seed), 15.0)
        assert mesh.vertices[:, 1].min() > -0.8
        assert Material.SIGN in mesh.material


@pytest.mark.parametrize("seed", [20, 29])
def test_the_scan_lies_in_the_truth(seed):
    drive = Drive(seed, 10, varied=True)
    frame = drive.frame(0)
    truth = drive.truth(0, frame)
    index, inside = KITTI_GRID.index_of(frame.points)
    labels = voxels_from_raw(truth.labels, truth.invalid)[tuple(index.T)]
    assert (labels[frame.point_labels[inside] > 0] > 0).mean() > 0.95


def test_varied_streets_are_opened_by_name():
    drive = open_drive("synthetic:7:3:hdl64-kitti:varied")
    assert (drive.name, str(drive.path)) == ("synthetic-7-hdl64-kitti-varied", "synthetic:7:3:hdl64-kitti:varied")
    assert not np.array_equal(drive.scan("000000"), open_drive("synthetic:7:3").scan("000000"))
