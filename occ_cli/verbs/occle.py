"""Train OccLE with few voxel labels.

examples:
  occ-train occle --train data/sequences/0[0-7] --validation data/sequences/08 --output out/nano
  occ-train occle --recipe paper --config base --devices 8 --precision bf16-mixed --output out/base \\
      --train kitti/sequences/{00,01,02,03,04,05,06,07,09,10} --validation kitti/sequences/08
  occ-train occle --recipe supervised --train data/sequences/0[0-7] --validation data/sequences/08 \\
      --output out/supervised

Three phases: the semantic branch on pseudo labels, the geometric branch by a teacher and a student, then both together.
Phases that are complete in OUTPUT are skipped; an interrupted one continues from its last checkpoint."""

import argparse

from .train import add_training_arguments, override, run_training


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from occ_models.recipe import Recipe

    add_training_arguments(parser, Recipe, "paper, supervised")


def command(arguments: argparse.Namespace) -> int:
    from occ_models.config import OccLEConfig, load_config
    from occ_models.occle.trainer import Trainer
    from occ_models.recipe import Recipe, load_recipe

    recipe = override(load_recipe(arguments.recipe, Recipe), arguments)
    return run_training(Trainer, load_config(arguments.config, OccLEConfig), recipe, arguments)
