"""One picture and its calibration in; labels and pictures of them out."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from occ_core import image_warnings
from occ_core.calibration_file import image_calibration
from occ_core.decode import ImageError
from occ_core.decode.compressed import decode_picture
from occ_core.files import read_bytes
from occ_core.rig import KITTI_RIG
from occ_data.kitti import read_depth
from occ_runtime import Bundle, Predictor, known_bundles, load_backend

from ..arguments import chosen_rig
from ..drawing import frame_pictures, save_png
from ..errors import CommandError
from ..predictions import Prediction, write_prediction


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
