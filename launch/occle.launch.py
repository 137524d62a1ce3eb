"""occ_node with a robot's topics, or with a bag: ros2 launch occ_node occle.launch.py bag:=drive.mcap rviz:=true"""

from functools import partial

from ament_index_python.packages import get_package_prefix, get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

ARGUMENTS = (
    ("bundle", "occle-nano-synthetic", "Engine bundle: a folder, or the name of one that comes with the package."),
    ("backend", "auto", "What runs the network: auto, or a backend that `occ-node run --parameters` lists."),
    ("precision", "auto", "Precision of the network: auto, f32, bf16, f16, int8."),
    ("build_only", "false", "Build the bundle's TensorRT engine for this machine's GPU, then exit."),
    ("calibration_file", "", "KITTI calib.txt or YAML with the extrinsics; empty: from tf."),
    ("image", "/kitti/camera_color_left/image_raw", "Topic of the camera's images (rectified)."),
    ("camera_info", "/kitti/camera_color_left/camera_info", "Topic of the camera's intrinsics."),
    ("points", "/kitti/velo/pointcloud", "Topic of the LiDAR's clouds."),
    ("bag", "", "A ROS 2 or ROS 1 bag to play; empty: live topics."),
    ("rate", "1.0", "Speed of playing the bag."),
    ("loop", "false", "Repeat the bag."),
    ("rviz", "false", "Open RViz."),
    ("use_sim_time", "auto", "Take the time from /clock; auto: with a bag."),
    (
        "loopback",
        "auto",
        "Fast DDS on this machine only, with room for large messages; auto: with a bag. "
        "Other terminals see the topics only with the same FASTRTPS_DEFAULT_PROFILES_FILE.",
    ),
)


PARAMETERS = ("bundle", "backend", "precision", "calibration_file", "lidar_frame")
TOPICS = ("image", "camera_info", "points")


def generate_launch_description():
    """What `ros2 launch` asks for."""
    return describe(ARGUMENTS, "occle.rviz")


def describe(arguments, view):
    """The launch description for these arguments, each (name, default, description); view: file in the folder rviz."""
    declared = [DeclareLaunchArgument(name, default_value=value, description=text) for name, value, text in arguments]
    names = [name for name, _, _ in arguments]
    return LaunchDescription([*declared, OpaqueFunction(function=partial(start, names=names, view=view))])


def start(context, names, view):
    """The processes, for the values of the arguments."""
    value = {name: LaunchConfiguration(name).perform(context) for name in names}
    sim_time = _switch("use_sim_time", value["use_sim_time"], auto=bool(value["bag"]))
    share, actions = get_package_share_directory("occ_node"), []
    if _switch("build_only", value["build_only"]):
        options = ["--bundle", value["bundle"], "--precision", value["precision"]]
        return [ExecuteProcess(cmd=[f"{_executables()}/engine", "build", *options], output="screen")]
    if _switch("loopback", value["loopback"], auto=bool(value["bag"])):
        profile = f"{share}/config/fastdds_loopback.xml"
        actions.append(SetEnvironmentVariable("FASTRTPS_DEFAULT_PROFILES_FILE", profile))
        actions.append(SetEnvironmentVariable("FASTDDS_DEFAULT_PROFILES_FILE", profile))
    actions.append(
        Node(
            package="occ_node",
            executable="occ_node",
            name="occ_node",
            output="screen",
            parameters=[{name: value[name] for name in PARAMETERS if name in value} | {"use_sim_time": sim_time}],
            remappings=[(name, value[name]) for name in TOPICS if name in value],
        )
    )
    if _switch("rviz", value["rviz"]):
        options, parameters = ["-d", f"{share}/rviz/{view}"], [{"use_sim_time": sim_time}]
        if "lidar_frame" in value:
            options += ["-f", value["lidar_frame"]]
        actions.append(Node(package="rviz2", executable="rviz2", arguments=options, parameters=parameters))
    if value["bag"]:
        play = [f"{_executables()}/play", value["bag"], "--clock", "--rate", value["rate"]]
        if _switch("loop", value["loop"]):
            play += ["--loop", "0"]
        actions.append(ExecuteProcess(cmd=play, output="screen"))
    return actions


def _executables():
    return f"{get_package_prefix('occ_node')}/lib/occ_node"


def _switch(name, text, auto=None):
    """true or false, or `auto` where a value is given for it."""
    known = {"true": True, "false": False} | ({} if auto is None else {"auto": auto})
    if text.lower() not in known:
        raise RuntimeError(f"{name}: expected {' or '.join(known)}, got {text!r}")
    return known[text.lower()]
