"""Pictures of labelled voxels without a GPU or a display."""

from .birds_eye import birds_eye_picture, map_picture
from .canvas import save_png
from .scene import animation_frame, camera_overlay, frame_pictures, truth_beside, voxel_picture, voxel_pictures
from .voxel_view import ViewPoint, voxel_view

__all__ = [
    "ViewPoint", "animation_frame", "birds_eye_picture", "camera_overlay", "frame_pictures", "map_picture", "save_png",
    "truth_beside", "voxel_picture", "voxel_pictures", "voxel_view",
]  # fmt: skip
