"""The aligner: what the two tables say, the rule language, and that whole images agree with single pixels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from occ_core.files import write_yaml
from occ_core.taxonomy import CLASS_NAMES, IGNORE
from occ_data.kitti import DataError
from occ_data.pseudo_labels.mseg import IDS, NAMES, UNLABELED
from occ_data.pseudo_labels.rules import TABLES, Aligner, align_ref, load_table


def aligned(table: str, name: str, **scores: float) -> str | int:
    """The class a pixel of an MSeg class gets, by name."""
    prompts = load_table(table).prompts
    maps = {prompt: np.full((1, 1), scores.get(prompt, 0.0), np.float32) for prompt in prompts}
    found = int(Aligner(load_table(table))(np.full((1, 1), IDS[name], np.uint8), maps)[0, 0])
    return IGNORE if found == IGNORE else CLASS_NAMES[found]


def written(tmp_path, **changes):
    content = {
        "about": "a test",
        "prompts": {"trunk": 0.5, "tree trunk": 0.2},
        "rules": [{"class": "vegetation", "when": {"ids": {174: "vegetation"}}}],
    }
    path = tmp_path / "mine.yaml"
    write_yaml(path, content | changes)
    return path


def test_mseg_has_194_classes_and_the_ids_of_the_papers_table():
    assert UNLABELED == len(set(NAMES)) == 194
    expected = {
        "road": 98,
        "building": 35,
        "sky": 142,
        "vegetation": 174,
        "wall": 191,
        "window_blind": 193,
        "bridge": 32,
    }
    assert {name: IDS[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("name", "sane", "paper", "none"),
    [
        ("car", "car", "car", "car"),
        ("bus", "other-vehicle", "other-vehicle", IGNORE),
        ("slow_wheeled_object", "other-vehicle", "other-vehicle", IGNORE),
        ("rider_other", "bicyclist", "bicyclist", IGNORE),
        ("parking_meter", IGNORE, "parking", IGNORE),
        ("sidewalk_pavement", "sidewalk", "sidewalk", "sidewalk"),
        ("road_barrier", "fence", "other-ground", IGNORE),
        ("mailbox", IGNORE, "other-ground", IGNORE),
        ("fire_hydrant", IGNORE, "other-ground", IGNORE),
        ("wall", "fence", "other-ground", IGNORE),
        ("railing_banister", "fence", "pole", IGNORE),
        ("guard_rail", "fence", "pole", IGNORE),
        ("column", "pole", "pole", IGNORE),
        ("tunnel", "building", IGNORE, IGNORE),
        ("bridge", "building", IGNORE, IGNORE),
        ("traffic_light", "traffic-sign", "traffic-sign", IGNORE),
        ("terrain", "terrain", "terrain", "terrain"),
        ("sky", IGNORE, IGNORE, IGNORE),
        ("railroad", IGNORE, IGNORE, IGNORE),
    ],
)
def test_the_tables_map_mseg_as_written_down(name, sane, paper, none):
    assert [aligned(table, name) for table in ("sane", "paper", "none")] == [sane, paper, none]


@pytest.mark.parametrize("table", ["sane", "paper"])
def test_a_trunk_mask_overrides_vegetation_alone(table):
    assert aligned(table, "vegetation", trunk=0.3) == "trunk"
    assert aligned(table, "vegetation", trunk=0.29) == "vegetation"
    assert aligned(table, "building", trunk=0.9) == "building"
    assert aligned(table, "sky", trunk=0.9) == IGNORE


def test_every_class_but_empty_has_a_rule_in_the_papers_table():
    assert {number for number, _ in load_table("paper").rules} == set(range(1, 20))


@pytest.mark.parametrize("table", TABLES)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_whole_images_agree_with_single_pixels(table, seed):
    rng, rules = np.random.default_rng(seed), load_table(table)
    ids = rng.choice([*range(UNLABELED + 1), 255], (9, 40)).astype(rng.choice([np.uint8, np.uint16]))
    scores = {
        prompt: (rng.random((9, 40)) * rng.integers(0, 2, (9, 40))).astype(np.float32) for prompt in rules.prompts
    }
    np.testing.assert_array_equal(Aligner(rules)(ids, scores), align_ref(rules, ids, scores))


def test_conditions_nest_and_the_later_rule_wins(tmp_path):
    vegetation, masks = {"ids": {174: "vegetation"}}, [{"mask": "trunk"}, {"mask": "tree trunk"}]
    rules = [
        {"class": "vegetation", "when": vegetation},
        {"class": "trunk", "when": {"any": masks}},
        {"class": "pole", "when": {"all": [*masks, {"not": vegetation}]}},
    ]
    table = load_table(written(tmp_path, rules=rules))
    ids = np.array([[174, 174, 35, 35, 35]], np.uint8)
    scores = {
        "trunk": np.array([[0, 0.9, 0.9, 0.9, 0.4]], np.float32),
        "tree trunk": np.array([[0, 0.9, 0.9, 0.1, 0.1]], np.float32),
    }
    names = [CLASS_NAMES[n] if n != IGNORE else n for n in Aligner(table)(ids, scores)[0]]
    assert names == ["vegetation", "trunk", "pole", "trunk", IGNORE]
    np.testing.assert_array_equal(Aligner(table)(ids, scores), align_ref(table, ids, scores))


def test_a_prompt_that_counts_from_zero_does_not_cover_what_no_mask_covers(tmp_path):
    rules = [{"class": "trunk", "when": {"mask": "trunk"}}]
    table = load_table(written(tmp_path, prompts={"trunk": 0.0}, rules=rules))
    found = Aligner(table)(np.zeros((1, 2), np.uint8), {"trunk": np.array([[0, 0.01]], np.float32)})
    assert found.tolist() == [[IGNORE, CLASS_NAMES.index("trunk")]]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"class": "tree", "when": {"mask": "trunk"}}, "unknown class 'tree'"),
        ({"class": "empty", "when": {"mask": "trunk"}}, "unknown class 'empty'"),
        ({"class": "trunk", "when": {"mask": "bark"}}, "unknown prompt 'bark'; the table's prompts: "),
        ({"class": "pole", "when": {"ids": {194: "unlabeled"}}}, "unknown id 194; MSeg's are 0..193"),
        ({"class": "pole", "when": {"ids": {"pole": 143}}}, "unknown id 'pole'"),
        ({"class": "fence", "when": {"ids": {31: "road_barrier"}}}, "id 31 is tunnel in MSeg, not road_barrier"),
        ({"class": "pole", "when": {"xor": []}}, "expected one of ids, mask, all, any, not"),
        ({"class": "pole", "when": {"all": {"mask": "trunk"}}}, "expected one of ids, mask, all, any, not"),
        ({"class": "pole", "when": "__import__('os')"}, "expected one of ids, mask, all, any, not"),
        ({"class": "pole", "when": {"not": {"mask": "bark"}}}, "unknown prompt 'bark'"),
        ({"class": "pole"}, "expected exactly the keys class and when"),
    ],
)
def test_a_wrong_rule_is_one_line_with_its_place(tmp_path, rule, message):
    good = {"class": "car", "when": {"ids": {176: "car"}}}
    with pytest.raises(DataError) as error:
        load_table(written(tmp_path, rules=[good, rule]))
    assert "mine.yaml: rule 2" in str(error.value) and message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompts": {"trunk": 2}}, "expected a score in 0..1"),
        ({"prompts": {"../up": 0.5}}, "expected a phrase of letters"),
        ({"prompts": {f"p{n}": 0.5 for n in range(7)}}, "at most 6"),
        ({"rules": {}}, "rules: expected a list"),
        ({"more": 1}, "expected exactly the keys about, prompts and rules"),
    ],
)
def test_a_wrong_table_is_one_line(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        load_table(written(tmp_path, **changes))


def test_a_table_that_is_not_there_names_those_that_are():
    with pytest.raises(DataError, match=r"mine\.yaml: cannot be read: .*; tables: sane, paper, none"):
        load_table("mine.yaml")


def test_ids_and_masks_are_checked():
    align, ids = Aligner(load_table("sane")), np.full((2, 3), 98, np.uint16)
    with pytest.raises(DataError, match=r"MSeg id 300: expected 0\.\.193"):
        align(np.full((2, 3), 300, np.uint16), {"trunk": np.zeros((2, 3), np.float32)})
    with pytest.raises(DataError, match="no mask for its prompt 'trunk'; got none"):
        align(ids, {})
    with pytest.raises(DataError, match=r"mask 'trunk': shape \(3, 2\)"):
        align(ids, {"trunk": np.zeros((3, 2), np.float32)})
