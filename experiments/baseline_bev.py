"""A baseline to beat: a plain bird's-eye U-Net of about 1 M parameters whose only input is the scan.

    python -m experiments.baseline_bev KITTI --train 00 01 02 03 05 09 --validate 07 --steps 800

Height is the channel axis on both sides. Needs torch. Voxel truth is made from the labelled scans where there is none.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
import tqdm
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.measure import markdown
from benchmarks.report import publish
from occ_core import IGNORE, KITTI_GRID, CompletionMetrics
from occ_core.transforms import move_points
from occ_core.voxelizer import occupancy_grid
from occ_data.ground_truth import write_ground_truth
from occ_data.kitti import DataError, Sequence, sequences

CLASSES = 19


class Block(nn.Sequential):
    """Two 3x3 convolutions."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1):
        layers = []
        for n, s in ((inputs, stride), (outputs, 1)):
            layers += [nn.Conv2d(n, outputs, 3, s, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
        super().__init__(*layers)


class BirdsEyeUNet(nn.Module):
    """Scan occupancy (B, 32, 256, 256) -> occupancy logits (B, 32, 256, 256), class logits (B, 19, 16, 128, 128).

    Axes of the maps are z, x, y: height as channels. Classes come at half the resolution, to be quick on a CPU.
    """

    def __init__(self, widths: tuple[int, ...] = (48, 64, 96, 128)):
        super().__init__()
        self.down = nn.ModuleList(Block(i, o, 2) for i, o in zip((32, *widths[:-1]), widths, strict=True))
        self.up = nn.ModuleList(
            Block(low + skip, skip) for skip, low in zip(widths[-2::-1], widths[:0:-1], strict=True)
        )
        self.classes = nn.Conv2d(widths[0], CLASSES * 16, 1)
        self.occupancy = nn.Sequential(Block(widths[0] + 32, 32), nn.Conv2d(32, 32, 1))

    def forward(self, scan: Tensor) -> tuple[Tensor, Tensor]:
        skips, x = [], scan
        for stage in self.down:
            x = stage(x)  # (B, 48, 128, 128), (B, 64, 64, 64), (B, 96, 32, 32), (B, 128, 16, 16)
            skips.append(x)
        for stage, skip in zip(self.up, skips[-2::-1], strict=True):
            x = stage(torch.cat([_double(x), skip], 1))
        classes = self.classes(x).unflatten(1, (CLASSES, 16))
        return self.occupancy(torch.cat([_double(x), scan], 1)), classes


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def loss(occupancy: Tensor, classes: Tensor, truth: Tensor) -> Tensor:
    """Binary cross entropy on all known voxels, class cross entropy on the occupied ones. truth : (32, 256, 256)."""
    known, occupied = truth != IGNORE, (truth > 0) & (truth != IGNORE)
    geometry = F.binary_cross_entropy_with_logits(occupancy[0][known], occupied[known].float())
    z, x, y = torch.nonzero(occupied, as_tuple=True)
    return geometry + F.cross_entropy(classes[0, :, z // 2, x // 2, y // 2].T, truth[occupied].long() - 1)


@torch.no_grad()
def predict(model: BirdsEyeUNet, scan: np.ndarray) -> np.ndarray:
    """Scan occupancy (32, 256, 256) -> classes 0..19, (256, 256, 32) uint8."""
    occupancy, classes = model(torch.from_numpy(scan)[None].float())
    best = classes[0].argmax(0).to(torch.uint8) + 1
    best = best.repeat_interleave(2, 0).repeat_interleave(2, 1).repeat_interleave(2, 2)
    return torch.where(occupancy[0] > 0, best, 0).permute(1, 2, 0).contiguous().numpy()


def with_truth(root: Path, names: list[str], folder: Path) -> list[Sequence]:
    """The sequences, with voxel labels made in `folder` where they have none."""
    found = []
    for sequence in sequences(root, names):
        if not any(sequence.has_voxels(frame) for frame in sequence.frames):
            steps = write_ground_truth(sequence, folder)
            for _ in tqdm.tqdm(steps, desc=f"voxel truth of {sequence.name}", total=len(sequence)):
                pass
            sequence = sequences(folder, [sequence.name])[0]
        found.append(sequence)
    return found


def load(found: list[Sequence]) -> list[tuple[np.ndarray, np.ndarray]]:
    """(scan occupancy, truth) of every frame with truth, both (32, 256, 256) uint8."""
    samples = [
        (
            occupancy_grid(move_points(s.scan(frame), s.rig.T_grid_lidar), KITTI_GRID).transpose(2, 0, 1),
            s.voxel_labels(frame).transpose(2, 0, 1),
        )
        for s in found
        for frame in s.frames
        if s.has_voxels(frame)
    ]
    return [(np.ascontiguousarray(scan), np.ascontiguousarray(truth)) for scan, truth in samples]


def train(samples: list, steps: int, seed: int) -> BirdsEyeUNet:
    """One frame a step, mirrored left to right half of the time."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    model = BirdsEyeUNet().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=max(steps, 2))
    order = np.concatenate([random.permutation(len(samples)) for _ in range(-(-steps // len(samples)))])[:steps]
    with tqdm.tqdm(order, desc="training", unit="step") as bar:
        for index in bar:
            scan, truth = (torch.from_numpy(array) for array in samples[index])
            if random.random() < 0.5:
                scan, truth = scan.flip(2), truth.flip(2)
            value = loss(*model(scan[None].float()), truth)
            optimizer.zero_grad()
            value.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            bar.set_postfix(loss=f"{value.item():.3f}")
    return model.eval()


def evaluate(model: BirdsEyeUNet, samples: list) -> dict[str, dict]:
    """Metrics of the network, and of the raw scan taken as the prediction."""
    ours, scan_only = CompletionMetrics(), CompletionMetrics()
    for scan, truth in tqdm.tqdm(samples, desc="evaluating", unit="frame"):
        truth = truth.transpose(1, 2, 0)
        ours.add(predict(model, scan), truth)
        scan_only.add(np.ascontiguousarray(scan.transpose(1, 2, 0)), truth)
    return {"baseline": ours.summary(), "scan": scan_only.summary()}


def tables(result: dict) -> dict[str, str]:
    """For docs/results.md."""
    scan, baseline = result["scan"], result["baseline"]
    rows = [
        ["the scan itself", f"{scan['iou']:.1f}", "1", ""],
        [
            f"bird's-eye U-Net, {result['parameters'] / 1e6:.1f} M, scan only, {result['steps']} steps",
            f"{baseline['iou']:.1f}",
            f"{baseline['iou'] / scan['iou']:.2f}",
            f"{baseline['miou_present']:.1f}",
        ],
    ]
    header = [f"sequences {' '.join(result['validate'])}", "IoU", "times the scan's", "mIoU (present classes)"]
    return {"baseline_bev": markdown(header, rows)}


def main(argv: list[str] | None = None) -> int:
    """Train, evaluate, print; kept with the other figures on demand."""
    parser = argparse.ArgumentParser(prog="python -m experiments.baseline_bev", description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="SemanticKITTI data set (the folder that holds sequences/)")
    parser.add_argument("--train", nargs="+", default=["00", "01", "02", "03", "05", "09"])
    parser.add_argument("--validate", nargs="+", default=["07"])
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("out/baseline_bev"), help="where voxel truth is made")
    parser.add_argument("--keep", action="store_true", help="keep the figures with the others and fill docs/results.md")
    arguments = parser.parse_args(argv)
    try:
        training = load(with_truth(arguments.data, arguments.train, arguments.output))
        validation = load(with_truth(arguments.data, arguments.validate, arguments.output))
    except DataError as error:
        print(f"baseline_bev: {error}", file=sys.stderr)
        return 1
    model = train(training, arguments.steps, arguments.seed)
    result = {
        "train": arguments.train,
        "validate": arguments.validate,
        "frames": [len(training), len(validation)],
        "steps": arguments.steps,
        "parameters": sum(p.numel() for p in model.parameters()),
        **evaluate(model, validation),
    }
    publish("baseline_bev", result, tables(result), arguments.keep)
    return 0


if __name__ == "__main__":
    sys.exit(main())
