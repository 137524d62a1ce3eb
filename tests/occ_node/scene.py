"""Messages of a small camera and LiDAR, as a robot would send them."""

from array import array

import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField
from std_msgs.msg import Header

WIDTH, HEIGHT = 96, 32
K = [60.0, 0.0, 48.0, 0.0, 60.0, 16.0, 0.0, 0.0, 1.0]


def header(stamp_ns: int, frame: str) -> Header:
    return Header(stamp=Time(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9), frame_id=frame)


def data(values: np.ndarray) -> array:
    return array("B", np.ascontiguousarray(values).tobytes())


def image(stamp_ns: int) -> Image:
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    return Image(
        header=header(stamp_ns, "camera"),
        height=HEIGHT,
        width=WIDTH,
        encoding="rgb8",
        step=3 * WIDTH,
        data=data(pixels),
    )


def camera_info(stamp_ns: int) -> CameraInfo:
    return CameraInfo(
        header=header(stamp_ns, "camera"), height=HEIGHT, width=WIDTH, k=K, p=[*K[:3], 0.0, *K[3:6], 0.0, *K[6:], 0.0]
    )


def wall() -> np.ndarray:
    """(N, 4) float32: a wall 12 m ahead."""
    y, z = np.meshgrid(np.arange(-4, 4, 0.1), np.arange(-1.5, 2, 0.1))
    return np.stack([np.full(y.size, 12.1), y.ravel(), z.ravel(), np.full(y.size, 0.5)], 1).astype(np.float32)


def cloud(stamp_ns: int, points: np.ndarray | None = None) -> PointCloud2:
    points = wall() if points is None else points
    fields = [
        PointField(name=name, offset=4 * n, datatype=PointField.FLOAT32, count=1)
        for n, name in enumerate(("x", "y", "z", "intensity"))
    ]
    return PointCloud2(
        header=header(stamp_ns, "velo_link"), height=1, width=len(points), fields=fields, point_step=16,
        row_step=16 * len(points), data=data(points), is_dense=True,
    )  # fmt: skip
