"""The launch files with a recording stand-in for `launch`, which has no wheel: every argument reaches its process.

tests/occ_node/test_ros2_launch.py runs them with the real packages, where they are installed.
"""

import runpy
import sys
from dataclasses import fields
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import yaml

from occ_node.parameters import Settings
from occ_node.topics import (
    CAMERA_INFO,
    GRID,
    IMAGE,
    MAP,
    MAP_MARKERS,
    MARKERS,
    OBSTACLES,
    OVERLAY,
    POINTS,
    VOXELS,
)  # fmt: skip
from occ_runtime import MONOOCC

ROOT = Path(__file__).parents[2]
LIB = "/opt/occ_node/lib/occ_node"


class Recorded:
    """An action or substitution that only stores its arguments."""

    def __init__(self, *args, **kwargs):
        self.args, self.kwargs = args, kwargs


class ExecutableInPackage(Recorded):
    def perform(self, context):
        return "/opt/{package}/lib/{package}/{executable}".format(**self.kwargs)


NAMES = {
    "launch": ["LaunchDescription"],
    "launch.actions": [
        "DeclareLaunchArgument",
        "ExecuteProcess",
        "OpaqueFunction",
        "SetEnvironmentVariable",
        "Shutdown",
    ],
    "launch_ros": [],
    "launch_ros.actions": ["Node"],
    "launch_ros.parameter_descriptions": ["Parameter"],
    "launch_ros.substitutions": [],
    "ament_index_python": [],
    "ament_index_python.packages": ["get_package_share_directory"],
}


@pytest.fixture
def share(tmp_path):
    """The package's share folder, as installed."""
    for name, target in {"config": "occ_node/config", "rviz": "rviz", "launch": "launch"}.items():
        (tmp_path / name).symlink_to(ROOT / target)
    return tmp_path


@pytest.fixture
def launch_file(monkeypatch, share):
    """The launch description of a file: (what starts the processes, declared arguments by name)."""
    for module, names in NAMES.items():
        stand_in = ModuleType(module)
        for name in names:
            setattr(stand_in, name, type(name, (Recorded,), {}))
        monkeypatch.setitem(sys.modules, module, stand_in)
    sys.modules["launch_ros.substitutions"].ExecutableInPackage = ExecutableInPackage
    sys.modules["ament_index_python.packages"].get_package_share_directory = lambda name: str(share)

    def load(file="occle.launch.py"):
        (description,) = runpy.run_path(ROOT / "launch" / file)["generate_launch_description"]().args
        start, *declared = description
        return start.kwargs["function"], {argument.args[0]: argument.kwargs for argument in declared}

    return load


def context(arguments):
    return SimpleNamespace(
        launch_configurations=arguments, argv=[f"{k}:={v}" for k, v in arguments.items()], is_shutdown=False
    )


@pytest.fixture
def launched(launch_file):
    """Run a launch file with arguments; gives the actions by class name, in order."""

    def run(file="occle.launch.py", **arguments):
        start, _ = launch_file(file)
        return [(type(action).__name__, action) for action in start(context(arguments))]

    return run


def only(actions, kind):
    (action,) = [action for name, action in actions if name == kind]
    return action.kwargs


def values(node) -> tuple[dict, dict]:
    """(defaults, what was given) of a node's parameters."""
    *defaults, given = node["parameters"]
    return dict(parameter.args for parameter in defaults), given


def test_a_robot_gets_only_the_node(launched):
    actions = launched(
        image="/cam", camera_info="/info", points="/lidar", bundle="b", backend="fake", compressed="true"
    )
    assert [name for name, _ in actions] == ["Node"]
    node = only(actions, "Node")
    assert (node["executable"], node["name"], node["namespace"]) == (f"{LIB}/occ_node", "occ_node", "")
    given = {"bundle": "b", "backend": "fake", "compressed": True}
    assert values(node) == ({"bundle": "b", "use_sim_time": False}, given)
    assert node["remappings"] == [(IMAGE, "/cam"), (CAMERA_INFO, "/info"), (POINTS, "/lidar")]


def test_every_parameter_of_the_node_is_an_argument_with_its_default(launch_file):
    _, declared = launch_file()
    for row in fields(Settings):
        default = yaml.safe_load(declared[row.name]["default_value"] or "''")
        assert type(row.default)(default) == row.default
        assert declared[row.name]["description"] == row.metadata["description"]


def test_parameters_have_the_nodes_types(launched):
    text = {"threads": "3", "sync_tolerance": "1", "autostart": "False", "class_costs": "[car, road=5]", "bundle": "12"}
    _, given = values(only(launched(**text), "Node"))
    expected = {
        "threads": 3,
        "sync_tolerance": 1.0,
        "autostart": False,
        "class_costs": ["car", "road=5"],
        "bundle": "12",
    }
    assert given == expected and type(given["sync_tolerance"]) is float


@pytest.mark.parametrize("file", ["occle.launch.py", "monoocc.launch.py"])
def test_both_files_take_what_a_robot_sets(launched, tmp_path, file):
    (tmp_path / "robot.yaml").touch()
    given = {
        "frame": "base_link",
        "height": "0",
        "fallback": "monoocc-nano",
        "compressed": "true",
        "autostart": "false",
    }
    others = {"params_file": str(tmp_path / "robot.yaml"), "namespace": "robot1", "log_level": "debug"}
    node, view = (a.kwargs for name, a in launched(file, rviz="true", **given, **others) if name == "Node")
    typed = {"height": 0.0, "compressed": True, "autostart": False}
    assert node["parameters"][-2:] == [others["params_file"], given | typed]
    assert type(node["parameters"][-1]["height"]) is float
    assert node["namespace"] == "robot1" and node["ros_arguments"] == ["--log-level", "debug"]
    assert view["arguments"][-2:] == ["-f", "base_link"]
    plain, view = (a.kwargs for name, a in launched(file, rviz="true") if name == "Node")
    assert plain["ros_arguments"] == ["--log-level", "info"] and view["arguments"][-2:] == ["-f", "velo_link"]


def test_arguments_take_precedence_over_a_file_of_parameters(launched, tmp_path):
    file = tmp_path / "robot.yaml"
    file.touch()
    parameters = only(launched(params_file=str(file), camera="3", use_sim_time="true"), "Node")["parameters"]
    assert parameters[2:] == [str(file), {"camera": 3, "use_sim_time": True}]
    with pytest.raises(RuntimeError, match="params_file: /nowhere: no such file"):
        launched(params_file="/nowhere")


def test_an_unknown_argument_is_refused_unless_another_launch_file_has_it(launched, monkeypatch):
    assert launched(bundel="x")
    monkeypatch.setattr(sys, "argv", ["ros2", "launch", "occ_node", "occle.launch.py", "bundel:=x"])
    with pytest.raises(RuntimeError, match="bundel: no such argument; expected some of bundle, "):
        launched(bundel="x")


def test_a_bag_is_played_with_its_own_time(launched):
    actions = launched(bag="drive.mcap", rate="0.5", loop="true")
    play = [f"{LIB}/play", "drive.mcap", "--clock", "--rate", "0.5", "--loop", "0"]
    assert only(actions, "ExecuteProcess")["cmd"] == play
    assert values(only(actions, "Node")) == ({"bundle": Settings.bundle, "use_sim_time": True}, {})
    profiles = [action.args for name, action in actions if name == "SetEnvironmentVariable"]
    assert {name for name, _ in profiles} == {"FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"}
    assert all(Path(file).name == "fastdds_loopback.xml" and Path(file).is_file() for _, file in profiles)
    assert [name for name, _ in actions][:2] == ["SetEnvironmentVariable"] * 2  # before the processes


def test_rviz_follows_the_topics_and_the_frame(launched, share):
    arguments = {"points": "/lidar", "frame": "velodyne", "namespace": "robot1", "use_sim_time": "true"}
    nodes = [action.kwargs for name, action in launched(rviz="true", **arguments) if name == "Node"]
    assert nodes[1]["executable"] == "/opt/rviz2/lib/rviz2/rviz2"
    assert nodes[1]["arguments"] == ["-d", str(share / "rviz/occle.rviz"), "-f", "velodyne"]
    assert nodes[1]["parameters"] == [{"use_sim_time": True}]
    assert nodes[0]["namespace"] == nodes[1]["namespace"] == "robot1"
    renamed = dict(nodes[1]["remappings"])
    assert renamed["/kitti/velo/pointcloud"] == "/lidar"
    for output in (MARKERS, VOXELS, GRID, OVERLAY):
        assert renamed[f"/occ_node/{output.name}"] == f"occ_node/{output.name}"  # relative: in the namespace


def test_camera_only_has_no_clouds_and_another_bundle(launched, launch_file, share):
    nodes = [a.kwargs for _, a in launched("monoocc.launch.py", image="/cam", frame="lidar", rviz="true")]
    assert values(nodes[0]) == ({"bundle": MONOOCC, "frame": "lidar", "use_sim_time": False}, {"frame": "lidar"})
    topics = dict(nodes[0]["remappings"])
    assert (topics.keys(), topics["image"]) == ({IMAGE, CAMERA_INFO}, "/cam")
    assert nodes[1]["arguments"] == ["-d", str(share / "rviz/monoocc.rviz"), "-f", "lidar"]
    _, declared = launch_file("monoocc.launch.py")
    assert "points" not in declared and declared["bundle"]["default_value"] == MONOOCC


def test_build_only_builds_the_engine_and_starts_no_node(launched):
    actions = launched(build_only="true", bundle="b", precision="f16", bag="drive.mcap")
    assert [name for name, _ in actions] == ["ExecuteProcess"]
    command = [f"{LIB}/engine", "build", "--bundle", "b", "--precision", "f16"]
    assert only(actions, "ExecuteProcess")["cmd"] == command


def test_a_switch_that_is_not_true_or_false(launched):
    with pytest.raises(RuntimeError, match="rviz: expected true or false, got 'maybe'"):
        launched(rviz="maybe")


def test_a_process_that_fails_ends_the_launch_and_so_does_the_node(launched):
    actions = launched(bag="drive.mcap")
    running, ending = SimpleNamespace(is_shutdown=False), SimpleNamespace(is_shutdown=True)
    good, bad = SimpleNamespace(returncode=0), SimpleNamespace(returncode=2)
    player, node = only(actions, "ExecuteProcess")["on_exit"], only(actions, "Node")["on_exit"]
    for action, name in ((player, "occ-node play"), (node, "the node")):
        with pytest.raises(RuntimeError, match=f"{name} ended with code 2"):
            action(bad, running)
        assert action(bad, ending) is None
    assert player(good, running) is None  # the bag has been played
    assert type(node(good, running)).__name__ == "Shutdown"


@pytest.mark.parametrize("name", ["occle", "monoocc"])
def test_the_view_shows_the_nodes_topics(name):
    view = yaml.safe_load((ROOT / "rviz" / f"{name}.rviz").read_text())["Visualization Manager"]
    assert view["Global Options"]["Fixed Frame"] == "velo_link"
    topics = {display["Topic"]["Value"] for display in view["Displays"] if "Topic" in display}
    shown = (MARKERS, VOXELS, GRID, OVERLAY, OBSTACLES, MAP, MAP_MARKERS)
    assert {f"/occ_node/{output.name}" for output in shown} <= topics
    assert ("/kitti/velo/pointcloud" in topics) == (name == "occle")
