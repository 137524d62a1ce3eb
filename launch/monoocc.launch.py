"""occ_node, camera only: ros2 launch occ_node monoocc.launch.py image:=/camera/image_raw frame:=lidar

The same as occle.launch.py, without the clouds.
"""

import runpy
from pathlib import Path

OCCLE = runpy.run_path(str(Path(__file__).with_name("occle.launch.py")))


def generate_launch_description():
    """What `ros2 launch` asks for."""
    topics = [topic for topic in OCCLE["TOPICS"] if topic[0] != "points"]
    return OCCLE["describe"](__file__, "monoocc.rviz", topics, bundle="monoocc-nano", frame="velo_link")
