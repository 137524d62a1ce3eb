"""Two steps of phase III, run by `test_distributed`: SEQUENCE OUTPUT PROCESSES BATCH [nan]; gradients go to files.

Batch statistics are frozen: without SyncBatchNorm, which needs GPUs, each process would have those of its own samples.
With "nan" the second process loses its loss.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from occ_data import open_drive
from occ_models.config import load_config
from occ_models.occle import trainer
from occ_models.occle.config import OccLEConfig
from occ_models.occle.recipe import OccLERecipe
from occ_models.occle.tasks import JointTask
from occ_models.phases import TrainingRun, train
from occ_models.recipe import TrainingConfig


class Noted(JointTask):
    def on_train_start(self):
        for module in self.modules():
            if isinstance(module, torch.nn.BatchNorm2d | torch.nn.BatchNorm3d):
                module.eval()

    def losses(self, batch):
        broken = self.global_rank and sys.argv[-1] == "nan"
        return {name: value * (float("nan") if broken else 1) for name, value in super().losses(batch).items()}

    def on_before_optimizer_step(self, _):
        if self.global_rank == 0:
            gradients = {name: p.grad.contiguous() for name, p in self.named_parameters() if p.grad is not None}
            save_file(gradients, Path(self.trainer.default_root_dir) / f"gradients{self.global_step}.safetensors")


if __name__ == "__main__":
    sequence, output, processes, batch = sys.argv[1:5]
    torch.set_num_threads(1)
    training = TrainingConfig(
        batch=int(batch), devices=int(processes), accelerator="cpu", workers=0, validate_every=2, clip=1e9
    )
    recipe = OccLERecipe(share=0.5, semantic_loss="joint", geometric_loss="joint", joint_steps=2, training=training)
    config = load_config(Path(__file__).parent / "pico.yaml", OccLEConfig)
    trainer.JointTask = Noted
    drives = [open_drive(sequence)]
    run = TrainingRun(config, recipe, drives, drives, Path(output))
    train(run, trainer.OccLETraining(run).phases())
