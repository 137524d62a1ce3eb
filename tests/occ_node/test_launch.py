"""The launch files with a recording stand-in for `launch`, which has no wheel: every argument reaches its process."""

import runpy
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from occ_node.parameters import Settings
from occ_node.topics import CAMERA_INFO, GRID, IMAGE, MARKERS, OVERLAY, POINTS, VOXELS
from occ_runtime import MONOOCC

ROOT = Path(__file__).parents[2]


class Recorded:
    """An action or substitution that only stores its arguments."""

    def __init__(self, *args, **kwargs):
        self.args, self.kwargs = args, kwargs


class LaunchConfiguration(Recorded):
    def perform(self, context):
        return context[self.args[0]]


NAMES = {
    "launch": ["LaunchDescription"],
    "launch.actions": ["DeclareLaunchArgument", "ExecuteProcess", "OpaqueFunction", "SetEnvironmentVariable"],
    "launch.substitutions": ["LaunchConfiguration"],
    "launch_ros": [],
    "launch_ros.actions": ["Node"],
    "ament_index_python": [],
    "ament_index_python.packages": ["get_package_prefix", "get_package_share_directory"],
}


@pytest.fixture
def launched(monkeypatch):
    """Run a launch file with arguments; gives the actions by class name, in order."""
    for module, names in NAMES.items():
        stand_in = ModuleType(module)
        for name in names:
            setattr(stand_in, name, type(name, (Recorded,), {}))
        monkeypatch.setitem(sys.modules, module, stand_in)
    sys.modules["launch.substitutions"].LaunchConfiguration = LaunchConfiguration
    sys.modules["ament_index_python.packages"].get_package_prefix = lambda name: f"/opt/{name}"
    sys.modules["ament_index_python.packages"].get_package_share_directory = lambda name: f"/opt/{name}/share/{name}"

    def run(file="occle.launch.py", **arguments):
        (description,) = runpy.run_path(ROOT / "launch" / file)["generate_launch_description"]().args
        *declared, start = description
        context = {argument.args[0]: argument.kwargs["default_value"] for argument in declared}
        assert arguments.keys() <= context.keys()
        return [(type(action).__name__, action) for action in start.kwargs["function"](context | arguments)]

    return run


def only(actions, kind):
    (action,) = [action for name, action in actions if name == kind]
    return action.kwargs


def test_a_robot_gets_only_the_node(launched):
    actions = launched(
        image="/cam", camera_info="/info", points="/lidar", bundle="b", backend="fake", calibration_file="c"
    )
    assert [name for name, _ in actions] == ["Node"]
    node = only(actions, "Node")
    assert (node["package"], node["executable"], node["name"]) == ("occ_node", "occ_node", "occ_node")
    assert node["parameters"] == [
        {"bundle": "b", "backend": "fake", "precision": "auto", "calibration_file": "c", "use_sim_time": False}
    ]
    assert node["remappings"] == [(IMAGE, "/cam"), (CAMERA_INFO, "/info"), (POINTS, "/lidar")]


def test_defaults_of_the_parameters_are_the_nodes(launched):
    (parameters,) = only(launched(), "Node")["parameters"]
    assert (parameters["bundle"], parameters["backend"]) == (Settings.bundle, Settings.backend)


def test_a_bag_is_played_with_its_own_time(launched):
    actions = launched(bag="drive.mcap", rate="0.5", loop="true")
    play = ["/opt/occ_node/lib/occ_node/play", "drive.mcap", "--clock", "--rate", "0.5", "--loop", "0"]
    assert only(actions, "ExecuteProcess")["cmd"] == play
    assert only(actions, "Node")["parameters"][0]["use_sim_time"] is True
    profiles = [action.args for name, action in actions if name == "SetEnvironmentVariable"]
    assert ("FASTRTPS_DEFAULT_PROFILES_FILE", "/opt/occ_node/share/occ_node/config/fastdds_loopback.xml") in profiles
    assert [name for name, _ in actions][:2] == ["SetEnvironmentVariable"] * 2  # before the processes


def test_rviz_opens_the_shipped_view(launched):
    nodes = [action.kwargs for name, action in launched(rviz="true", use_sim_time="true") if name == "Node"]
    assert nodes[1]["executable"] == "rviz2"
    assert nodes[1]["arguments"] == ["-d", "/opt/occ_node/share/occ_node/rviz/occle.rviz"]
    assert nodes[1]["parameters"] == [{"use_sim_time": True}]


def test_camera_only_has_no_clouds_and_names_the_lidars_frame(launched):
    nodes = [a.kwargs for _, a in launched("monoocc.launch.py", image="/cam", lidar_frame="lidar", rviz="true")]
    parameters = {"bundle": MONOOCC, "backend": "auto", "precision": "auto", "calibration_file": ""}
    assert nodes[0]["parameters"] == [parameters | {"lidar_frame": "lidar", "use_sim_time": False}]
    topics = dict(nodes[0]["remappings"])
    assert (topics.keys(), topics["image"]) == ({IMAGE, CAMERA_INFO}, "/cam")
    assert nodes[1]["arguments"] == ["-d", "/opt/occ_node/share/occ_node/rviz/monoocc.rviz", "-f", "lidar"]
    with pytest.raises(AssertionError):
        launched("monoocc.launch.py", points="/lidar")


def test_build_only_builds_the_engine_and_starts_no_node(launched):
    actions = launched(build_only="true", bundle="b", precision="f16", bag="drive.mcap")
    assert [name for name, _ in actions] == ["ExecuteProcess"]
    command = ["/opt/occ_node/lib/occ_node/engine", "build", "--bundle", "b", "--precision", "f16"]
    assert only(actions, "ExecuteProcess")["cmd"] == command


def test_a_switch_that_is_not_true_or_false(launched):
    with pytest.raises(RuntimeError, match="rviz: expected true or false, got 'maybe'"):
        launched(rviz="maybe")


@pytest.mark.parametrize("name", ["occle", "monoocc"])
def test_the_view_shows_the_nodes_topics(name):
    view = yaml.safe_load((ROOT / "rviz" / f"{name}.rviz").read_text())["Visualization Manager"]
    assert view["Global Options"]["Fixed Frame"] == "velo_link"
    topics = {display["Topic"]["Value"] for display in view["Displays"] if "Topic" in display}
    assert {f"/occ_node/{output.name}" for output in (MARKERS, VOXELS, GRID, OVERLAY)} <= topics
    assert ("/kitti/velo/pointcloud" in topics) == (name == "occle")
