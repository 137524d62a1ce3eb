"""occ_node with a robot's topics, or with a bag: ros2 launch occ_node occle.launch.py bag:=drive.mcap rviz:=true

Every parameter of the node is a launch argument too. Whatever cannot start ends the launch, with its reason and code 1.
"""

import re
import sys
from functools import partial
from pathlib import Path

import yaml
from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction, SetEnvironmentVariable, Shutdown
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import Parameter
from launch_ros.substitutions import ExecutableInPackage

TOPICS = (
    ("image", "/kitti/camera_color_left/image_raw", "Topic of the camera's images (rectified)."),
    ("camera_info", "/kitti/camera_color_left/camera_info", "Topic of the camera's intrinsics."),
    ("points", "/kitti/velo/pointcloud", "Topic of the LiDAR's clouds."),
)
ARGUMENTS = (
    ("params_file", "", "YAML file with parameters of the node; those given as launch arguments take precedence."),
    ("namespace", "", "Namespace of the node."),
    ("log_level", "info", "Level of the node's log: debug, info, warn, error or fatal; LOGGER:=LEVEL for one logger."),
    ("build_only", "false", "Build the bundle's TensorRT engine for this machine's GPU, then exit."),
    ("bag", "", "A ROS 2 or ROS 1 bag to play; empty: live topics."),
    ("rate", "1.0", "Speed of playing the bag."),
    ("loop", "false", "Repeat the bag."),
    ("rviz", "false", "Open RViz; its fixed frame is `frame`, or velo_link."),
    ("use_sim_time", "auto", "Take the time from /clock; auto: with a bag."),
    (
        "loopback",
        "auto",
        "Fast DDS on this machine only, with room for large messages; auto: with a bag. "
        "Other terminals see the topics only with the same FASTRTPS_DEFAULT_PROFILES_FILE.",
    ),
)
OF_ROS2_LAUNCH = ("launch-prefix", "launch-prefix-filter")


def generate_launch_description():
    """What `ros2 launch` asks for."""
    return describe(__file__, "occle.rviz", TOPICS)


def describe(file, view, topics, **other):
    """The launch description.

    file : the launch file; view : file in the folder rviz; topics : (name, default, description) of the node's inputs
    other : defaults of parameters that differ from the node's
    """
    parameters = {name: (default, text) for name, default, text in node_parameters()}
    parameters |= {name: (default, parameters[name][1]) for name, default in other.items()}
    arguments = [*((name, *rest) for name, rest in parameters.items()), *topics, *ARGUMENTS]
    defaults = {name: default for name, default, _ in arguments}
    declared = [DeclareLaunchArgument(name, default_value=value, description=text) for name, value, text in arguments]
    names = [name for name, _, _ in topics]
    action = partial(
        start,
        file=file,
        view=view,
        topics=names,
        parameters=list(parameters),
        own=["bundle", *other],
        defaults=defaults,
    )
    # First: afterwards an argument that was given cannot be told from one that has its default.
    return LaunchDescription([OpaqueFunction(function=action), *declared])


def node_parameters():
    """(name, default as YAML, description) of every parameter of the node, from the file that lists them."""
    text = (_share() / "config/occ_node.yaml").read_text()
    rows = re.findall(r"^    # (.*)\n    (\w+): (.*)$", text, re.MULTILINE)
    return [(name, default.strip('"'), description) for description, name, default in rows]


def start(context, file, view, topics, parameters, own, defaults):
    """The processes, for the arguments that were given."""
    given = {name: value for name, value in context.launch_configurations.items() if name in defaults}
    value = defaults | given
    _refuse_unknown(context.argv, file, defaults)
    if _switch("build_only", value["build_only"]):
        options = ["--bundle", value["bundle"], "--precision", value["precision"]]
        return [_process(context, "engine", ["build", *options])]
    bag, rviz = value["bag"], _switch("rviz", value["rviz"])
    sim_time = _switch("use_sim_time", value["use_sim_time"], auto=bool(bag))
    actions = _loopback() if _switch("loopback", value["loopback"], auto=bool(bag)) else []
    actions.append(_node(context, value, given, topics, parameters, own, sim_time))
    if rviz:
        actions.append(_rviz(context, value, view, sim_time))
    if bag:
        play = [bag, "--clock", "--rate", value["rate"]]
        if _switch("loop", value["loop"]):
            play += ["--loop", "0"]
        actions.append(_process(context, "play", play))
    return actions


def _refuse_unknown(words, file, known):
    """`ros2 launch` accepts any argument: a typing error would go unnoticed."""
    if Path(file).name not in [Path(word).name for word in sys.argv]:
        return  # included by another launch file, which may have arguments of its own
    for name in (word.partition(":=")[0] for word in words):
        if name not in known and name not in OF_ROS2_LAUNCH:
            raise RuntimeError(f"{name}: no such argument; expected some of {', '.join(known)}")


def _loopback():
    from occ_node.dds import prepare_shared_memory  # here: it imports numba and OpenCV

    prepare_shared_memory()
    profile = str(_share() / "config/fastdds_loopback.xml")
    names = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
    return [SetEnvironmentVariable(name, profile) for name in names]


def _node(context, value, given, topics, parameters, own, sim_time):
    """The node; a parameter has the value given, else that of params_file, else its default."""
    types = {name: yaml.safe_load(default) for name, default, _ in node_parameters()}
    # As `-p`, for any node: a file's `/**:` follows it. A dictionary is for this node's name, which goes before `/**:`.
    values = [
        *(Parameter(name, value[name], value_type=str) for name in own),
        Parameter("use_sim_time", sim_time, value_type=bool),
    ]
    if value["params_file"]:
        if not Path(value["params_file"]).is_file():
            raise RuntimeError(f"params_file: {value['params_file']}: no such file")
        values.append(value["params_file"])
    values.append({name: _typed(given[name], types[name]) for name in parameters if name in given})
    if value["use_sim_time"].lower() != "auto":
        values[-1]["use_sim_time"] = sim_time
    return Node(
        executable=_executable(context, "occ_node", "occ_node"),
        name="occ_node",
        namespace=value["namespace"],
        output="screen",
        parameters=values,
        remappings=[(name, value[name]) for name in topics],
        ros_arguments=["--log-level", value["log_level"]],
        sigterm_timeout="15",  # after Ctrl-C it finishes its frame, or the network it is loading
        on_exit=partial(_ended, name="the node", needed=True),
    )


def _rviz(context, value, view, sim_time):
    """RViz with the shipped view, whose topics and frame follow the arguments."""
    file = _share() / "rviz" / view
    shown = sorted(set(re.findall(r"Value: /(occ_node/\S+)", file.read_text())))
    renamed = [(f"/{topic}", topic) for topic in shown]  # relative: in the namespace
    renamed += [(default, value[name]) for name, default, _ in TOPICS if name in value]
    return Node(
        executable=_executable(context, "rviz2", "rviz2"),
        name="rviz2",
        namespace=value["namespace"],
        arguments=["-d", str(file), "-f", value["frame"] or "velo_link"],
        parameters=[{"use_sim_time": sim_time}],
        remappings=renamed,
        on_exit=partial(_ended, name="RViz"),
    )


def _process(context, name, arguments):
    """One of the package's own commands."""
    command = [_executable(context, "occ_node", name), *arguments]
    return ExecuteProcess(cmd=command, output="screen", on_exit=partial(_ended, name=f"occ-node {name}"))


def _executable(context, package, name):
    """Its path. Looked up before anything has started: launch forgets processes when a later action fails."""
    try:
        return ExecutableInPackage(package=package, executable=name).perform(context)
    except (LookupError, RuntimeError) as error:
        raise RuntimeError(f"{name} cannot be started: {error}") from None


def _ended(event, context, name, needed=False):
    """What the end of a process means for the others."""
    if context.is_shutdown:
        return None
    if event.returncode:
        raise RuntimeError(f"{name} ended with code {event.returncode}; its own lines say why")
    return Shutdown(reason=f"{name} has ended") if needed else None


def _typed(text, default):
    """A parameter's value: YAML, but a text remains one, and a whole number is a float where one is expected."""
    if isinstance(default, str):
        return text
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    return float(value) if isinstance(default, float) and type(value) is int else value


def _share():
    return Path(get_package_share_directory("occ_node"))


def _switch(name, text, auto=None):
    """true or false, or `auto` where a value is given for it."""
    known = {"true": True, "false": False} | ({} if auto is None else {"auto": auto})
    if text.lower() not in known:
        raise RuntimeError(f"{name}: expected {' or '.join(known)}, got {text!r}")
    return known[text.lower()]
