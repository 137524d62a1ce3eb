"""occ_node with a camera alone: ros2 launch occ_node monoocc.launch.py image:=/camera/image_raw lidar_frame:=lidar

All of occle.launch.py but for the clouds, which nobody needs here.
"""

import runpy
from pathlib import Path

OCCLE = runpy.run_path(str(Path(__file__).with_name("occle.launch.py")))
BUNDLE = ("bundle", "monoocc-nano", "Camera-only engine bundle: a folder, or the name of one that comes along.")
LIDAR_FRAME = ("lidar_frame", "velo_link", "Frame of the voxels; tf, or calibration_file, says where it is.")


def generate_launch_description():
    """What `ros2 launch` asks for."""
    replaced = {"bundle": BUNDLE, "points": LIDAR_FRAME}
    arguments = [replaced.get(argument[0], argument) for argument in OCCLE["ARGUMENTS"]]
    return OCCLE["describe"](arguments, "monoocc.rviz")
