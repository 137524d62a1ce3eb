"""Train MonoOcc, the camera-only network.

examples:
  occ-train monoocc --train data/sequences/0[0-7] --validation data/sequences/08 --output out/mono
  occ-train monoocc --teacher nano-l --train data/sequences/0[0-7] --validation data/sequences/08 \\
      --output out/distilled
  occ-train monoocc --recipe monoocc-paper --config base --devices 4 --precision bf16-mixed \\
      --teacher-backbone internimage_xl_22k_192to384.pth --output out/base \\
      --train kitti/sequences/{00,01,02,03,04,05,06,07,09,10} --validation kitti/sequences/08

Phases: depth and query proposals, the privileged teacher that sees several frames (where --teacher names its network),
then the student. Phases that are complete in OUTPUT are skipped; an interrupted one continues from its last checkpoint.
"""

import argparse

from .train import add_training_arguments, override, run_training


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from occ_models.recipe import MonoOccRecipe

    add_training_arguments(parser, MonoOccRecipe, "monoocc-paper")


def command(arguments: argparse.Namespace) -> int:
    from occ_models.config import MonoOccConfig, load_config
    from occ_models.monoocc.trainer import Trainer
    from occ_models.recipe import MonoOccRecipe, load_recipe

    recipe = override(load_recipe(arguments.recipe, MonoOccRecipe), arguments)
    return run_training(Trainer, load_config(arguments.config, MonoOccConfig), recipe, arguments)
