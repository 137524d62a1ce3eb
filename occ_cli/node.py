"""`occ-node`: run the node, play recordings to it, and use its networks on files."""

import sys

from .command import CommandLine
from .verbs import bag, demo, engine, evaluate, infer, map, play, render, run, submission

COMMAND_LINE = CommandLine(
    name="occ-node",
    description="Semantic occupancy for ROS 2: camera and LiDAR, or camera only, in; labelled voxels out.",
    examples="""\
  occ-node demo                                  a synthetic drive through the real node, pictures in out/demo
  occ-node demo --bag drive.bag --loop 5         the same with your own camera and LiDAR recording
  occ-node run --bundle occle-nano --points /velodyne_points --image /camera/image_raw --camera-info /camera/camera_info
  occ-node infer --bundle occle-nano --dataset KITTI --sequences 08 --output predictions
  occ-node infer --image street.jpg --calibration calib.txt --output out  one picture, with a camera-only bundle
  occ-node evaluate --dataset KITTI --predictions predictions --sequences 08
  occ-node engine build --bundle occle-nano      TensorRT for this machine's GPU, before the robot needs it""",
    verbs={
        "demo": demo, "run": run, "play": play, "bag": bag, "infer": infer, "evaluate": evaluate,
        "submission": submission, "map": map, "render": render, "engine": engine,
    },
)  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Run one verb; gives the process's exit code."""
    return COMMAND_LINE.run(argv)


if __name__ == "__main__":
    sys.exit(main())
