"""A bundle on one frame, with numpy arrays in and out: no ROS, no torch.

    python examples/one_frame.py ~/kitti/dataset/sequences/08 000000 --output labels.npy
    python examples/one_frame.py synthetic:7 000000 --output labels.npy

Prints how many voxels each class has and writes the labels, (256, 256, 32) uint8.
"""

import argparse

import numpy as np

from occ_core import CLASS_NAMES
from occ_data import open_drive
from occ_runtime import Bundle, Predictor, find_bundle, load_backend

parser = argparse.ArgumentParser()
parser.add_argument("drive", help="sequence folder, bag, or synthetic:SEED")
parser.add_argument("frame", help="such as 000000")
parser.add_argument("--bundle", default="occle-nano-synthetic")
parser.add_argument("--output", default="labels.npy")
arguments = parser.parse_args()

drive = open_drive(arguments.drive)
image = drive.image(arguments.frame)  # (H, W, 3) uint8 RGB
points = drive.scan(arguments.frame)  # (N, 4) float32: x, y, z in metres, LiDAR frame; intensity

bundle = Bundle.load(find_bundle(arguments.bundle))
predictor = Predictor(bundle, load_backend(bundle))
occupancy = predictor.predict(image, points, drive.calibration)

for name, count in zip(CLASS_NAMES, np.bincount(occupancy.labels.ravel(), minlength=len(CLASS_NAMES)), strict=True):
    print(f"{name:14}{count:9,}")
np.save(arguments.output, occupancy.labels)
