"""OccLE's augmentation: the operations of its Table 1. The paper gives no magnitudes: they are this project's."""

from dataclasses import replace

from ..augmentation import SCENE, AugmentationConfig, with_still_scene
from ..recipe import augmented
from .recipe import OccLERecipe

SUPERVISED = replace(
    SCENE, dropout_p=1.0, dropout=0.3, jitter=0.01, intensity_gain=0.3, brightness=0.3, contrast=0.3, saturation=0.4,
    no_image_p=0.1,
)  # fmt: skip
# The teacher's voxels keep every point that the voxelizer allows.
TEACHER = replace(SCENE, dropout_p=0.1, dropout=0.05, brightness=0.1, contrast=0.1, hue=5.0, saturation=0.1, value=0.1)
# The student's: the look of the whole image, then its clarity, then whole regions.
WEAK = replace(
    SCENE, dropout_p=0.5, dropout=0.3, voxel_points=5 / 35, brightness=0.4, contrast=0.4, hue=18.0, saturation=0.4,
    value=0.4,
)  # fmt: skip
MIDDLE = replace(WEAK, blur_p=0.3, blur=(5.0, 15.0), weather_p=0.3)
STRONG = replace(MIDDLE, cutout_p=0.5, cutout=(0.02, 0.2), cutout_boxes=4)
STUDENT = {"weak": WEAK, "middle": MIDDLE, "strong": STRONG}
"""By the recipe's `strength`."""


def augmentation_of(recipe: OccLERecipe, phase: str) -> AugmentationConfig:
    """What a phase changes of its frames. The paper augments phase II only, and leaves the scene as it is. Magnitudes
    that the recipe names come last.
    """
    level = {"teacher": TEACHER, "student": STUDENT[recipe.strength]}.get(phase)
    if level is None:
        level = SUPERVISED if recipe.augment_sensors else SCENE
        level = replace(level, jitter=recipe.jitter, no_image_p=recipe.black_images)
    return augmented(level if recipe.move_scene else with_still_scene(level), recipe)
