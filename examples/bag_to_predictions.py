"""A camera and LiDAR bag (ROS 2 or ROS 1) to predictions in SemanticKITTI's format, without ROS.

    python examples/bag_to_predictions.py drive.mcap out/drive

Writes out/drive/000000.label and so on, one for each pair of cloud and image.
"""

import argparse
from pathlib import Path

from occ_core.taxonomy import raw_from_classes
from occ_data.bags import BagDrive
from occ_data.kitti import write_voxel_labels
from occ_runtime import Bundle, Predictor, find_bundle, load_backend

parser = argparse.ArgumentParser()
parser.add_argument("bag", type=Path)
parser.add_argument("output", type=Path)
parser.add_argument("--bundle", default="occle-nano-synthetic")
arguments = parser.parse_args()

drive = BagDrive(arguments.bag)
bundle = Bundle.load(find_bundle(arguments.bundle))
predictor = Predictor(bundle, load_backend(bundle))
for frame in drive.frames:
    occupancy = predictor.predict(drive.image(frame), drive.scan(frame), drive.calibration)
    write_voxel_labels(arguments.output / f"{frame}.label", raw_from_classes(occupancy.labels))
for stage, times in predictor.profiler.summary().items():
    print(f"{stage}: median {times['p50_ms']:.0f} ms")
