"""A camera and LiDAR bag (ROS 2 or ROS 1) to predictions in SemanticKITTI's format, without ROS.

    python examples/bag_to_predictions.py drive.mcap out/drive

Writes the bag's frames to out/drive/sequences/00 and the labels to out/drive/sequences/00/predictions.
"""

import argparse
from pathlib import Path

from occ_core.taxonomy import raw_from_classes
from occ_data.bags import bag_to_sequence
from occ_data.kitti import Sequence, write_voxel_labels
from occ_runtime import Bundle, Predictor, find_bundle, load_backend

parser = argparse.ArgumentParser()
parser.add_argument("bag", type=Path)
parser.add_argument("output", type=Path)
parser.add_argument("--bundle", default="occle-nano-synthetic")
arguments = parser.parse_args()

made = bag_to_sequence(arguments.bag, arguments.output, "00", progress=True)
sequence = Sequence(made.path)
bundle = Bundle.load(find_bundle(arguments.bundle))
predictor = Predictor(bundle, load_backend(bundle))
for frame in sequence.frames:
    occupancy = predictor.predict(sequence.image(frame), sequence.scan(frame), sequence.calibration)
    write_voxel_labels(made.path / "predictions" / f"{frame}.label", raw_from_classes(occupancy.labels))
for stage, times in predictor.profiler.summary().items():
    print(f"{stage}: median {times['p50_ms']:.0f} ms")
