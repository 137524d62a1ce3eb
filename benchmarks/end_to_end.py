"""Messages in, messages out, per backend and stage; OctoMap's insertion of the same scan takes turns with it."""

from collections.abc import Callable

import numpy as np
import tqdm
from pyoctomap import OcTree
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from occ_core import KITTI_GRID
from occ_core.decode.cloud import decode_cloud
from occ_core.decode.image import decode_image
from occ_node.outputs.overlay import rgb_image
from occ_runtime import BackendError, Bundle, Predictor, Profiler, find_bundle, load_backend

from .frames import Frame, frames
from .measure import Options, markdown, milliseconds
from .publication import publish

ENGINES = (("openvino", "f32"), ("openvino", "bf16"), ("onnxruntime", "f32"))
STAGES = ("decode", "preprocess", "inference", "publications")
OCTOMAP = "OctoMap insertion"


def measure(options: Options) -> dict:
    """Stage times of every backend that runs here, on every frame there is."""
    bundle = Bundle.load(find_bundle(options.bundle))
    result = {"bundle": bundle.name, "runs": [], "unavailable": {}}
    for name, precision in ENGINES:
        try:
            backend = load_backend(bundle, name, precision=precision)
        except BackendError as error:
            result["unavailable"][f"{name} {precision}"] = str(error)
            continue
        for frame in frames(options.data):
            voxels = process(frame, Predictor(bundle, backend))()  # warm: everything is compiled
            profiler = Profiler(window=10_000)
            step, insert = process(frame, Predictor(bundle, backend, profiler)), octomap_insertion(frame)
            for _ in tqdm.trange(options.repeats(50), desc=f"{name} {precision}, {frame.name}", leave=False):
                with profiler.stage("total"):
                    step()
                with profiler.stage(OCTOMAP):
                    insert()
            result["runs"].append(
                {
                    "frame": frame.name,
                    "backend": name,
                    "precision": precision,
                    "points": len(frame.points),
                    "visible_voxels": voxels,
                    "stages": profiler.summary(),
                }
            )
        backend.close()
    return result


def process(frame: Frame, predictor: Predictor) -> Callable[[], int]:
    """One turn of the node's worker, without the wire: from received messages to serialised ones."""
    header = Header(frame_id="velo_link")
    image, cloud = rgb_image(header, frame.image), cloud_message(header, frame.points)

    def step() -> int:
        with predictor.profiler.stage("decode"):
            pixels = decode_image(image)
            points = decode_cloud(cloud).points if predictor.bundle.needs_cloud else None
        occupancy = predictor.predict(pixels, points, frame.calibration)
        with predictor.profiler.stage("publications"):
            return publish(header, occupancy)

    return step


def cloud_message(header: Header, points: np.ndarray) -> PointCloud2:
    """As a LiDAR driver sends it."""
    fields = [
        PointField(name=name, offset=4 * n, datatype=PointField.FLOAT32, count=1)
        for n, name in enumerate(("x", "y", "z", "intensity"))
    ]
    message = PointCloud2(header=header, height=1, width=len(points), fields=fields, is_bigendian=False, is_dense=True)
    message.point_step, message.row_step = 16, 16 * len(points)
    message.data.frombytes(np.ascontiguousarray(points).tobytes())
    return message


def octomap_insertion(frame: Frame) -> Callable[[], object]:
    """What is used today: the same scan, inside the box, into an octree of the same voxels. Geometry only."""
    inside = KITTI_GRID.index_of(frame.points)[1]
    points = np.ascontiguousarray(frame.points[inside, :3], np.float64)
    origin = np.zeros(3)
    return lambda: OcTree(KITTI_GRID.voxel_size).insertPointCloud(points, origin)


def tables(result: dict) -> dict[str, str]:
    """For docs/results.md."""
    rows = []
    for run in result["runs"]:
        stages = run["stages"]
        total, octomap = stages["total"]["p50_ms"], stages[OCTOMAP]["p50_ms"]
        rows.append(
            [
                f"{run['frame']}, {run['backend']} {run['precision']}",
                *(milliseconds(stages[stage]["p50_ms"]) for stage in STAGES),
                f"**{milliseconds(total)}**",
                milliseconds(stages["total"]["p95_ms"]),
                milliseconds(octomap),
                f"{octomap / total:.1f} x",
            ]
        )
    header = [f"{result['bundle']}, ms (p50)", *STAGES, "**total**", "total p95", OCTOMAP, "faster"]
    return {"end_to_end": markdown(header, rows)}
