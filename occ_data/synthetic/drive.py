"""A drive through a synthetic street, written as SemanticKITTI's files."""

from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from occ_core.errors import InputError
from occ_core.files import write_bytes
from occ_core.rig import KITTI_RIG
from occ_core.taxonomy import points_from_raw

from ..kitti import SequenceWriter, write_png
from .camera import Camera
from .lidar import scan
from .light import make_light
from .random_rig import random_sensors
from .scene import Caster, Scene
from .sensor_set import KITTI, RANDOM, rig_sensors
from .truth import Observer, Truth
from .turn import turn
from .world import build_world


class Frame(NamedTuple):
    """One frame: image and points, the raw label of every pixel and point, and when each point was taken.

    point_times : (N,) float32 seconds from the frame's own time; the points are where that moment has them
    """

    image: np.ndarray
    pixel_labels: np.ndarray
    points: np.ndarray
    point_labels: np.ndarray
    point_times: np.ndarray


class Drive:
    """The drive of a seed: `frames` frames, `step` metres apart.

    The car drives at about 9 m/s. Frames up to 1.5 m apart are stamped 0.1 s apart as KITTI's, others at that speed.
    rig : a preset, a rig.yaml, or "random" for one that is drawn from the seed. Raises RigError.
    varied : a street with more kinds of places and things; see `variety`
    """

    def __init__(self, seed: int, frames: int, step: float = 0.8, rig: str = KITTI, varied: bool = False):
        self.seed, self.frames, self.step, self.varied = seed, frames, step, varied
        self.interval = 0.1 if step <= 1.5 else step / 9.0
        rng = np.random.default_rng([seed, 0])
        self.sensors = random_sensors(seed) if rig == RANDOM else rig_sensors(rig, seed)
        self.height, self.tilt = 1.73 + rng.normal(0, 0.025), np.deg2rad(rng.normal(0, (0.4, 0.3)))
        self._sway = rng.uniform(0, 2 * np.pi, 6)
        self._sway_length = rng.uniform(6, 30, 6)

    @cached_property
    def world(self):
        """The street."""
        speed, duration = self.step / self.interval, self.frames * self.interval
        return build_world(self.seed, self.frames * self.step, speed, duration, self.varied)

    @cached_property
    def static(self) -> Caster:
        """The street's mesh, ready for rays."""
        return Caster(self.world.static)

    @cached_property
    def camera(self) -> Camera:
        """The left colour camera in the drive's lighting."""
        light = make_light(self.seed, self.world.ground.sides[0].road, self.sensors.weather)
        return Camera(self.sensors.calibration, light, self.sensors.imaging)

    @cached_property
    def observer(self) -> Observer:
        """Scans along the drive for the voxel ground truth."""
        return Observer(self.static, self.grid_pose_at, self.seed)

    def prepare(self) -> None:
        """Build street, camera and observer, before threads share them."""
        _ = self.static, self.camera, self.observer

    @property
    def times(self) -> np.ndarray:
        """(frames,) seconds."""
        return np.arange(self.frames) * self.interval

    def pose_at(self, s: float) -> np.ndarray:
        """T_world_lidar (4, 4) at arc length s."""
        return self.grid_pose_at(s) @ self.sensors.T_grid_lidar

    def grid_pose_at(self, s: float) -> np.ndarray:
        """T_world_grid (4, 4) of the car at arc length s: in its lane, on the slope, swaying a little."""
        path = self.world.path
        sway = np.sin(s * 2 * np.pi / self._sway_length + self._sway)
        drift = 0.15 * np.sin(s / 23 + self._sway[0])
        yaw = path.yaw(s) + np.deg2rad(0.4) * sway[1] + 0.15 / 23 * np.cos(s / 23 + self._sway[0])
        pitch = path.pitch(s) + self.tilt[0] + np.deg2rad(0.25) * sway[2]
        roll = self.tilt[1] + np.deg2rad(0.25) * sway[3]
        pose = np.eye(4)
        pose[:3, :3] = turn(yaw, pitch, roll)
        pose[:3, 3] = path.at(s, self.world.lane + drift, self.height + 0.015 * sway[4])
        return pose

    def frame(self, index: int) -> Frame:
        """Image and scan of frame `index`."""
        pose = self.pose_at(index * self.step)
        scene = Scene(self.static, self.world.moving(self.times[index]))
        sweep = scan(
            scene, pose, self.sensors.lidar, np.random.default_rng([self.seed, 4, index]),
            self._velocity(index * self.step), self.sensors.weather.rain,
        )  # fmt: skip
        image, pixels = self.camera.render(scene, pose, np.random.default_rng([self.seed, 5, index]))
        return Frame(image, pixels, *sweep)

    def _velocity(self, s: float) -> np.ndarray:
        """(3,) m/s in the LiDAR frame."""
        before, after = (self.pose_at(s + ds) for ds in (-0.05, 0.05))
        return before[:3, :3].T @ (after - before)[:3, 3] / 0.1 * (self.step / self.interval)

    def truth(self, index: int, frame: Frame) -> Truth:
        """Voxel ground truth of frame `index`."""
        s = index * self.step
        return self.observer.truth(
            s, self.sensors.T_grid_lidar, frame.points, frame.point_labels, self.world.moving(self.times[index])
        )


def generate(
    output: str | Path,
    name: str,
    frames: int,
    seed: int,
    voxels_every: int = 1,
    progress: bool = True,
    step: float = 0.8,
    threads: int = 2,
    pixel_labels: bool = False,
    rig: str = KITTI,
    varied: bool = False,
) -> Path:
    """Write the drive of `seed` to `output/sequences/name`; returns that folder.

    Parameters
    ----------
    frames : number of frames, `step` metres apart
    voxels_every : voxel ground truth for every so many frames, 0 for none
    threads : how many share the work; the files do not depend on it
    pixel_labels : the exact class of every pixel too, `pixel_labels/NNNNNN.png`, 255 in the sky
    rig, varied : as for `Drive`; other rigs than KITTI's come with `rig.yaml`, and `point_times/NNNNNN.bin`: float32
        seconds from the frame's own time at which each point was taken
    """
    for label, value, least in (("frames", frames, 1), ("voxels_every", voxels_every, 0), ("threads", threads, 1)):
        if value < least:
            raise InputError(f"{label}: expected at least {least}, got {value}")
    if not 0 < step <= 20:
        raise InputError(f"step: expected metres in (0, 20], got {step}")
    drive = Drive(seed, frames, step, rig, varied)
    writer, cameras = SequenceWriter(output, name), drive.sensors.cameras
    writer.write_calibration(cameras.projections, cameras.Tr)
    if drive.sensors.rig is not KITTI_RIG:
        writer.write_rig(drive.sensors.rig)
    writer.write_times(drive.times)
    poses = np.array([drive.pose_at(i * step) for i in range(frames)])
    Tr = cameras.Tr
    writer.write_poses(Tr @ np.linalg.inv(poses[0]) @ poses @ np.linalg.inv(Tr))

    def write(index: int) -> None:
        _write_frame(drive, writer, index, voxels_every, pixel_labels)

    with (
        tqdm(total=frames, desc=f"drive {name}", unit="frame", disable=not progress) as bar,
        ThreadPoolExecutor(threads) as pool,
    ):
        drive.prepare()
        for _ in pool.map(write, range(frames)):
            bar.update()
    return writer.path


def _write_frame(drive: Drive, writer: SequenceWriter, index: int, voxels_every: int, pixel_labels: bool) -> None:
    frame_id, frame = f"{index:06d}", drive.frame(index)
    writer.write_frame(frame_id, frame.image, frame.points, frame.point_labels)
    if drive.sensors.lidar.period > 0:
        write_bytes(writer.path / "point_times" / f"{frame_id}.bin", frame.point_times.astype("<f4").tobytes())
    if pixel_labels:
        write_png(writer.path / "pixel_labels" / f"{frame_id}.png", points_from_raw(frame.pixel_labels))
    if voxels_every and index % voxels_every == 0:
        truth = drive.truth(index, frame)
        writer.write_voxels(frame_id, truth.labels, truth.invalid, truth.occupied, truth.occluded)
