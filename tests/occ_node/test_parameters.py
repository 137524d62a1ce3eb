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
    values["drivable_classes"] = tuple(values["drivable_classes"])
    assert Settings(**values) == Settings()


def test_every_parameter_is_documented():
    assert all(f"| `{row.name}` |" in parameter_table() for row in fields(Settings))


def test_unknown_drivable_class():
    with pytest.raises(ParameterError, match=r"drivable_classes: 'moon' is not a class; expected some of car, "):
        Settings(drivable_classes=("moon",))
