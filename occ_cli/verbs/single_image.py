"""One picture and its calibration in; labels and pictures of them out."""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

from occ_core import Calibration, CalibrationError, image_doubts
from occ_core.decode.transforms import read_calibration_file
from occ_core.taxonomy import raw_from_classes
from occ_data.kitti import DataError, read_gray, write_voxel_labels
from occ_runtime import Bundle, Predictor, known_bundles, load_backend

from ..drawing import save_png
from ..errors import CommandError
from .infer import warning
from .render import frame_pictures

_PIXELS_A_METRE = 256
_MARGIN = 0.1


def infer_image(arguments: argparse.Namespace, bundle: Bundle) -> int:
    """Label `arguments.image` and print what was written."""
    if bundle.needs_cloud:
        known = [name for name, path in known_bundles().items() if not Bundle.load(path, verify=False).needs_cloud]
        raise CommandError(
            f"bundle {bundle.name} needs a LiDAR's cloud beside the image; "
            f"--image takes those of a camera alone: {', '.join(known) or 'none is installed'}"
        )
    image = read_picture(arguments.image)
    calibration = read_calibration(arguments.calib, image)
    depth = read_depth(arguments.depth) if arguments.depth else None
    for doubt in image_doubts(image, bundle.preprocess):
        print(warning(arguments.image, doubt), file=sys.stderr)
    backend = load_backend(bundle, arguments.backend, arguments.threads)
    labels = Predictor(bundle, backend).predict(image, None, calibration, depth).labels
    backend.close()
    name = arguments.image.stem
    written = [arguments.output / f"{name}.label"]
    write_voxel_labels(written[0], raw_from_classes(labels))
    for file, picture in frame_pictures(name, labels, image, calibration).items():
        written.append(save_png(arguments.output / file, picture))
    print(*written, sep="\n")
    return 0


def read_picture(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB as the sensor has it, whatever EXIF says of its orientation. Raises CommandError."""
    data = np.fromfile(path, np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION) if len(data) else None
    if image is None:
        raise CommandError(f"{path}: cannot be decoded; expected a PNG or JPEG picture")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def read_calibration(path: Path, image: np.ndarray) -> Calibration:
    """Of this image. A calib.txt holds no image size, so that its principal point has to tell whether the two fit.

    Raises CalibrationError.
    """
    rig = read_calibration_file(path)
    if rig.K is None:
        raise CalibrationError(f"{path}: no K; expected T_cam_lidar, K and image_size")
    height, width = image.shape[:2]
    if rig.image_size is None:
        u, v = rig.K[0, 2] / width, rig.K[1, 2] / height
        if not (_MARGIN < u < 1 - _MARGIN and _MARGIN < v < 1 - _MARGIN):
            raise CalibrationError(
                f"{path}: principal point ({rig.K[0, 2]:.0f}, {rig.K[1, 2]:.0f}) is at the edge of the image of "
                f"{width}x{height} or outside; expected this image's calibration (if it is, say so in YAML: image_size)"
            )
    P = np.hstack([rig.K, np.zeros((3, 1))])
    return Calibration(P, rig.T_cam_lidar, rig.image_size or (width, height))


def read_depth(path: Path) -> np.ndarray:
    """(H, W) metres: a 16-bit PNG holds 256 a metre, as KITTI's do, a .npy file metres. Raises CommandError."""
    if path.suffix.lower() == ".npy":
        try:
            depth = np.load(path, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise CommandError(f"{path}: not a NumPy array: {error}") from None
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
