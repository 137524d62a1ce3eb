"""Label every frame of a data set and write predictions in SemanticKITTI's format.

examples:
  occ-node infer --bundle occle-nano --dataset KITTI --sequences 08 --output predictions
  occ-node infer --dataset MYDATA --sequences 30 31 --output predictions --backend onnxruntime

Writes OUTPUT/sequences/SS/predictions/NNNNNN.label (uint16 raw ids, 256 x 256 x 32) for every frame with a scan."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bundle", default="occle-nano", help="engine bundle: a folder or a name (default occle-nano)")
    parser.add_argument("--dataset", type=Path, required=True, metavar="ROOT", help="folder that holds sequences/")
    parser.add_argument("--sequences", nargs="+", required=True, metavar="SS", help="such as 08")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="where the predictions go")
    parser.add_argument("--backend", default="auto", help="auto, tensorrt, openvino, onnxruntime (default auto)")
    parser.add_argument("--threads", type=int, help="CPU threads (default: all)")


def command(arguments: argparse.Namespace) -> int:
    from tqdm import tqdm

    from occ_data.kitti import sequences, write_voxel_labels
    from occ_node.perception.taxonomy import raw_from_classes
    from occ_node.runtime import Bundle, Predictor, find_bundle, load_backend

    drives = sequences(arguments.dataset, arguments.sequences)
    for drive in drives:
        drive.calibration  # noqa: B018  an unusable calib.txt ends it before the engine loads
    bundle = Bundle.load(find_bundle(arguments.bundle))
    backend = load_backend(bundle, arguments.backend, arguments.threads)
    predictor = Predictor(bundle, backend)
    frames = [(drive, frame) for drive in drives for frame in drive.frames]
    for drive, frame in tqdm(frames, desc=f"{bundle.name} on {backend.name}", unit="frame"):
        occupancy = predictor.predict(drive.image(frame), drive.scan(frame), drive.calibration)
        write_voxel_labels(prediction_file(arguments.output, drive.name, frame), raw_from_classes(occupancy.labels))
    backend.close()
    stages = predictor.profiler.summary()
    timing = ", ".join(f"{name} {stage['p50_ms']:.0f} ms" for name, stage in stages.items())
    print(f"{len(frames)} frames in {arguments.output}/sequences; median {timing} ({backend.description})")
    return 0


def prediction_file(root: Path, sequence: str, frame: str) -> Path:
    """Where SemanticKITTI's tools look for a frame's prediction."""
    return root / "sequences" / sequence / "predictions" / f"{frame}.label"
