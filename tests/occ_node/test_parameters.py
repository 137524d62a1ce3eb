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
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
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


@pytest.mark.parametrize("clouds", [(), ("a", "a"), ("",)])
def test_clouds_are_names_each_once(clouds):
    with pytest.raises(ParameterError, match="clouds: expected names of topics, each once, got "):
        Settings(clouds=clouds)


def test_a_cloud_has_a_topic_of_its_own():
    with pytest.raises(ParameterError, match="clouds: 'image' is the camera's; expected names of topics of clouds"):
        Settings(clouds=("points", "image"))
