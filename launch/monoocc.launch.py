"""occ_node, camera only: ros2 launch occ_node monoocc.launch.py image:=/camera/image_raw lidar_frame:=lidar

The same as occle.launch.py, without the clouds.
"""

import runpy
from pathlib import Path

OCCLE = runpy.run_path(str(Path(__file__).with_name("occle.launch.py")))
BUNDLE = (
    "bundle",
    "monoocc-nano",
    "Camera-only engine bundle: a folder, or the name of a shipped one.",
)
LIDAR_FRAME = ("lidar_frame", "velo_link", "Frame of the outputs; its position comes from tf or calibration_file.")


def generate_launch_description():
    """What `ros2 launch` asks for."""
    replaced = {"bundle": BUNDLE, "points": LIDAR_FRAME}
    arguments = [replaced.get(argument[0], argument) for argument in OCCLE["ARGUMENTS"]]
    return OCCLE["describe"](arguments, "monoocc.rviz")
