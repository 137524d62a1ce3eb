from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from occ_node.parameters import ParameterError, Settings, parameter_table, parameter_yaml

CONFIG = Path(__file__).parents[2] / "occ_node" / "config" / "occ_node.yaml"


def test_the_shipped_file_is_the_tables():
    assert CONFIG.read_text() == parameter_yaml()


def test_the_file_holds_the_defaults():
    values = yaml.safe_load(parameter_yaml())["/**"]["ros__parameters"]
    values["class_costs"] = tuple(values["class_costs"])
    assert Settings(**values) == Settings()


def test_every_parameter_is_documented():
    assert all(f"| `{row.name}` |" in parameter_table() for row in fields(Settings))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (("moon=3",), "class_costs: 'moon' is not a class; expected some of car, "),
        (("moon",), "class_costs: 'moon' is no preset; expected one of car, sidewalk-robot"),
        (("car", "person=200"), "class_costs: 'person=200': expected a whole number from 0 to 100"),
    ],
)
def test_class_costs_that_cannot_be_used(entries, message):
    with pytest.raises(ParameterError, match=message):
        Settings(class_costs=entries)


def test_the_robots_band_is_never_empty():
    rows = {row.name: row.metadata for row in fields(Settings)}
    assert rows["clearance_low"]["maximum"] <= rows["robot_height"]["minimum"]
    assert (Settings().band.clearance_low, Settings().band.robot_height) == (0.25, 2.0)
