"""One picture and its calibration in; labels and pictures of them out."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from occ_core import image_warnings
from occ_core.arrays import read_npy
from occ_core.calibration_file import image_calibration
from occ_core.decode import ImageError
from occ_core.decode.compressed import decode_picture
from occ_core.files import read_bytes
from occ_core.rig import KITTI_RIG
from occ_data.kitti import DataError, read_gray
from occ_runtime import Bundle, Predictor, known_bundles, load_backend

from ..arguments import chosen_rig
from ..drawing import frame_pictures, save_png
from ..errors import CommandError
from ..predictions import Prediction, write_prediction

_PIXELS_A_METRE = 256


def infer_image(arguments: argparse.Namespace, bundle: Bundle) -> int:
    """Label `arguments.image` and print what was written."""
    if bundle.needs_cloud:
        known = [name for name, path in known_bundles().items() if not Bundle.load(path, verify=False).needs_cloud]
        raise CommandError(
            f"bundle {bundle.name} needs a LiDAR's cloud beside the image; "
            f"--image takes camera-only bundles: {', '.join(known) or 'none is installed'}"
        )
    image = read_picture(arguments.image)
    calibration = image_calibration(arguments.calibration, image.shape[1::-1])
    if (rig := chosen_rig(arguments)) is not None:
        calibration = replace(calibration, T_grid_lidar=rig.completed(KITTI_RIG).T_grid_lidar)
    depth = read_depth(arguments.depth) if arguments.depth else None
    for warning in image_warnings(image, bundle.preprocess):
        print(f"occ-node infer: warning: {arguments.image}: {warning}", file=sys.stderr)
    backend = load_backend(bundle, arguments.backend, arguments.threads)
    predictor = Predictor(bundle, backend)
    for warning in predictor.view_warnings(calibration):
        print(f"occ-node infer: warning: {arguments.image}: {warning}", file=sys.stderr)
    occupancy = predictor.predict(image, None, calibration, depth)
    backend.close()
    name = arguments.image.stem
    prediction = Prediction(occupancy.labels, bundle.grid)
    written = [write_prediction(arguments.output / f"{name}.label", prediction)]
    for file, picture in frame_pictures(name, image, occupancy.labels, calibration, bundle.grid).items():
        written.append(save_png(arguments.output / file, picture))
    print(*written, sep="\n")
    return 0


def read_picture(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB in the sensor's orientation; EXIF's is ignored. Raises CommandError."""
    try:
        return cv2.cvtColor(decode_picture(read_bytes(path)), cv2.COLOR_BGR2RGB)
    except ImageError as error:
        raise CommandError(f"{path}: {error}") from None


def read_depth(path: Path) -> np.ndarray:
    """(H, W) metres: a 16-bit PNG holds 256 a metre, as KITTI's do, a .npy file metres. Raises CommandError."""
    if path.suffix.lower() == ".npy":
        depth = read_npy(path)
        if depth.ndim != 2 or depth.dtype.kind != "f":
            raise CommandError(f"{path}: {depth.dtype}{list(depth.shape)}; expected floats [H, W], in metres")
        return depth
    try:
        depth = read_gray(path)
    except DataError as error:
        raise CommandError(f"{error} (16 bits, 256 a metre), or .npy in metres") from None
    if depth.dtype != np.uint16:
        raise CommandError(f"{path}: {8 * depth.itemsize}-bit; expected a PNG of 16 bits, 256 a metre")
    return depth / np.float32(_PIXELS_A_METRE)
