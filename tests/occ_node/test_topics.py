"""Message types by name."""

import sys

import pytest

from occ_node.topics import OVERLAY, message_class


@pytest.mark.parametrize("name", [OVERLAY.type, "std_msgs/msg/Header", "geometry_msgs/msg/Twist"])
def test_common_types_are_found(name):
    pytest.importorskip("rclpy", reason="rclpy is not installed")
    assert message_class(name).__name__ == name.rpartition("/")[2]


@pytest.mark.parametrize("name", ["std_msgs/msg/No", "std_msgs/msg/__loader__", "std_msgs", "", "no_msgs/msg/A"])
def test_what_is_not_a_message_is_none(name):
    assert message_class(name) is None


def test_no_module_is_imported_because_a_bag_names_it(tmp_path, monkeypatch):
    (tmp_path / "planted").mkdir()
    (tmp_path / "planted" / "__init__.py").touch()
    (tmp_path / "planted" / "msg.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    assert message_class("planted/msg/Header") is None
    assert not [module for module in sys.modules if module.startswith("planted")]
