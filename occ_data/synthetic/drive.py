"""A drive through a synthetic street, written as SemanticKITTI's files."""

from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from occ_core.errors import InputError
from occ_core.taxonomy import points_from_raw

from ..kitti import SequenceWriter, write_png
from .camera import Camera, make_light
from .camera_set import CAMERA_SETS
from .lidar import scan
from .scene import Caster, Scene
from .truth import Observer, Truth
from .world import build_world


class Frame(NamedTuple):
    """One frame: image and points, and the raw label of every pixel and point."""

    image: np.ndarray
    pixel_labels: np.ndarray
    points: np.ndarray
    point_labels: np.ndarray


class Drive:
    """The drive of a seed: `frames` frames, `step` metres apart.

    The car drives at about 9 m/s. Frames up to 1.5 m apart are stamped 0.1 s apart as KITTI's, others at that speed.
    """

    def __init__(self, seed: int, frames: int, step: float = 0.8):
        self.seed, self.frames, self.step = seed, frames, step
        self.interval = 0.1 if step <= 1.5 else step / 9.0
        rng = np.random.default_rng([seed, 0])
        # Odd seeds have the cameras of sequences 04-12, even ones that of 00-02.
        self.camera_set = CAMERA_SETS[seed % 2]
        self.height, self.tilt = 1.73 + rng.normal(0, 0.025), np.deg2rad(rng.normal(0, (0.4, 0.3)))
        self._sway = rng.uniform(0, 2 * np.pi, 6)
        self._sway_length = rng.uniform(6, 30, 6)

    @cached_property
    def world(self):
        """The street."""
        return build_world(self.seed, self.frames * self.step, self.step / self.interval, self.frames * self.interval)

    @cached_property
    def static(self) -> Caster:
        """The street's mesh, ready for rays."""
        return Caster(self.world.static)

    @cached_property
    def camera(self) -> Camera:
        """The left colour camera in the drive's lighting."""
        return Camera(self.camera_set.calibration, make_light(self.seed, self.world.ground.sides[0].road))

    @cached_property
    def observer(self) -> Observer:
        """Scans along the drive for the voxel ground truth."""
        return Observer(self.static, self.pose_at, self.seed)

    def prepare(self) -> None:
        """Build street, camera and observer, before threads share them."""
        _ = self.static, self.camera, self.observer

    @property
    def times(self) -> np.ndarray:
        """(frames,) seconds."""
        return np.arange(self.frames) * self.interval

    def pose_at(self, s: float) -> np.ndarray:
        """T_world_lidar (4, 4) of the car at arc length s: in its lane, on the slope, swaying a little."""
        path = self.world.path
        sway = np.sin(s * 2 * np.pi / self._sway_length + self._sway)
        drift = 0.15 * np.sin(s / 23 + self._sway[0])
        yaw = path.yaw(s) + np.deg2rad(0.4) * sway[1] + 0.15 / 23 * np.cos(s / 23 + self._sway[0])
        pitch = path.pitch(s) + self.tilt[0] + np.deg2rad(0.25) * sway[2]
        roll = self.tilt[1] + np.deg2rad(0.25) * sway[3]
        cy, sy, cp, sp, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
        turn = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
        nose_up = np.array([[cp, 0, -sp], [0, 1, 0], [sp, 0, cp]])
        lean = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
        pose = np.eye(4)
        pose[:3, :3] = turn @ nose_up @ lean
        pose[:3, 3] = path.at(s, self.world.lane + drift, self.height + 0.015 * sway[4])
        return pose

    def frame(self, index: int) -> Frame:
        """Image and scan of frame `index`."""
        pose = self.pose_at(index * self.step)
        scene = Scene(self.static, self.world.moving(self.times[index]))
        points, labels = scan(scene, pose, np.random.default_rng([self.seed, 4, index]))
        image, pixels = self.camera.render(scene, pose, np.random.default_rng([self.seed, 5, index]))
        return Frame(image, pixels, points, labels)

    def truth(self, index: int, frame: Frame) -> Truth:
        """Voxel ground truth of frame `index`."""
        s = index * self.step
        return self.observer.truth(
            s, self.pose_at(s), frame.points, frame.point_labels, self.world.moving(self.times[index])
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
) -> Path:
    """Write the drive of `seed` to `output/sequences/name`; returns that folder.

    Parameters
    ----------
    frames : number of frames, `step` metres apart
    voxels_every : voxel ground truth for every so many frames, 0 for none
    threads : how many share the work; the files do not depend on it
    pixel_labels : the exact class of every pixel too, `pixel_labels/NNNNNN.png`, 255 in the sky
    """
    for label, value, least in (("frames", frames, 1), ("voxels_every", voxels_every, 0), ("threads", threads, 1)):
        if value < least:
            raise InputError(f"{label}: expected at least {least}, got {value}")
    if not 0 < step <= 20:
        raise InputError(f"step: expected metres in (0, 20], got {step}")
    drive = Drive(seed, frames, step)
    writer = SequenceWriter(output, name)
    writer.write_calibration(drive.camera_set.projections, drive.camera_set.Tr)
    writer.write_times(drive.times)
    poses = np.array([drive.pose_at(i * step) for i in range(frames)])
    Tr = drive.camera_set.Tr
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
    if pixel_labels:
        write_png(writer.path / "pixel_labels" / f"{frame_id}.png", points_from_raw(frame.pixel_labels))
    if voxels_every and index % voxels_every == 0:
        truth = drive.truth(index, frame)
        writer.write_voxels(frame_id, truth.labels, truth.invalid, truth.occupied, truth.occluded)
