"""Label the frames of a data set, or one picture, and write predictions in SemanticKITTI's format.

examples:
  occ-node infer --bundle occle-nano --dataset KITTI --sequences 08 --output predictions
  occ-node infer --dataset MYDATA --sequences 30 31 --output predictions --backend onnxruntime
  occ-node infer --bundle monoocc-nano --dataset KITTI --sequences 08 --output predictions     with the camera alone
  occ-node infer --image street.jpg --calib calib.txt --output out                             one picture

A data set gives OUTPUT/sequences/SS/predictions/NNNNNN.label (uint16 raw ids, 256 x 256 x 32) for every frame with a
scan; with a camera-only bundle, for every frame with an image. A picture gives OUTPUT/NAME.label and pictures of it:
the voxels on the image, in 3D and from above."""

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--bundle", help="engine bundle: a folder or a name (default occle-nano; of --image monoocc-nano)"
    )
    parser.add_argument("--dataset", type=Path, metavar="ROOT", help="folder that holds sequences/")
    parser.add_argument("--sequences", nargs="+", metavar="SS", help="of the data set, such as 08")
    parser.add_argument(
        "--image", type=Path, metavar="FILE", help="one PNG or JPEG picture instead (camera-only bundles)"
    )
    parser.add_argument("--calib", type=Path, metavar="FILE", help="its calibration: KITTI calib.txt, or YAML")
    parser.add_argument(
        "--depth", type=Path, metavar="FILE",
        help="its depth, if known: 16-bit PNG (256 a metre) or .npy (metres); where it says nothing the network judges",
    )  # fmt: skip
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="where the predictions go")
    parser.add_argument("--backend", default="auto", help="auto, tensorrt, openvino, onnxruntime (default auto)")
    parser.add_argument("--threads", type=int, help="CPU threads (default: all)")


def command(arguments: argparse.Namespace) -> int:
    from occ_runtime import Bundle, find_bundle

    from ..errors import CommandError

    if (arguments.dataset is None) == (arguments.image is None):
        raise CommandError("expected either --dataset ROOT --sequences SS, or --image FILE --calib FILE")
    if arguments.dataset and not arguments.sequences:
        raise CommandError("--dataset goes with --sequences SS")
    if arguments.image and not arguments.calib:
        raise CommandError("--image goes with --calib FILE: without it nobody knows where in space a pixel looks")
    for option in ("calib", "depth") if arguments.dataset else ("sequences",):
        if getattr(arguments, option):
            raise CommandError(f"--{option} does not go with --{'dataset' if arguments.dataset else 'image'}")
    name = arguments.bundle or ("monoocc-nano" if arguments.image else "occle-nano")
    bundle = Bundle.load(find_bundle(name))
    if arguments.image:
        from .single_image import infer_image

        return infer_image(arguments, bundle)
    return _infer_dataset(arguments, bundle)


def _infer_dataset(arguments: argparse.Namespace, bundle) -> int:
    from tqdm import tqdm

    from occ_core import image_doubts
    from occ_core.taxonomy import raw_from_classes
    from occ_data.kitti import sequences, write_voxel_labels
    from occ_runtime import Predictor, load_backend

    drives = sequences(arguments.dataset, arguments.sequences)
    frames = [(drive, f) for drive in drives for f in (drive.frames if bundle.needs_cloud else drive.image_frames)]
    for drive in drives:
        drive.calibration  # noqa: B018  an unusable calib.txt ends it before the engine loads
    backend = load_backend(bundle, arguments.backend, arguments.threads)
    predictor, said = Predictor(bundle, backend), set()
    for drive, frame in tqdm(frames, desc=f"{bundle.name} on {backend.name}", unit="frame"):
        image, scan = drive.image(frame), drive.scan(frame) if bundle.needs_cloud else None
        for doubt in image_doubts(image, bundle.preprocess):
            if doubt not in said:
                tqdm.write(warning(drive.file("image_2", frame, "png"), doubt), sys.stderr)
            said.add(doubt)
        occupancy = predictor.predict(image, scan, drive.calibration)
        write_voxel_labels(prediction_file(arguments.output, drive.name, frame), raw_from_classes(occupancy.labels))
    backend.close()
    stages = predictor.profiler.summary()
    timing = ", ".join(f"{name} {stage['p50_ms']:.0f} ms" for name, stage in stages.items())
    print(f"{len(frames)} frames in {arguments.output}/sequences; median {timing} ({backend.description})")
    return 0


def warning(image: Path, doubt: str) -> str:
    """The line on an image that is answered all the same; see `image_doubts`."""
    return f"occ-node infer: warning: {image}: {doubt}"


def prediction_file(root: Path, sequence: str, frame: str) -> Path:
    """Where SemanticKITTI's tools look for a frame's prediction."""
    return root / "sequences" / sequence / "predictions" / f"{frame}.label"
