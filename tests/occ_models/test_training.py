"""Real training steps of the smallest network on a tiny data set."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")
pytest.importorskip("lightning", reason="needs lightning (the train extra)")

from occ_data.kitti import DataError, SequenceWriter  # noqa: E402
from occ_models.augmentation import AugmentationConfig, transform_labels  # noqa: E402
from occ_models.cli import main  # noqa: E402
from occ_models.config import load_config  # noqa: E402
from occ_models.data import FrameDataset, resized  # noqa: E402
from occ_models.training import TrainingConfig, load_checkpoint, train  # noqa: E402
from occ_node.perception import KITTI_GRID, Calibration  # noqa: E402
from occ_node.perception.taxonomy import raw_from_classes  # noqa: E402
from occ_node.perception.voxelizer import occupancy_grid  # noqa: E402

PICO = Path(__file__).parent / "pico.yaml"
P2 = np.array([[700.0, 0, 150, 45], [0, 700, 60, 0], [0, 0, 1, 0.003]])
TR = np.array([[0.0, -1, 0, 0], [0, 0, -1, -0.07], [1, 0, 0, -0.3]])


@pytest.fixture(scope="module")
def sequence(tmp_path_factory):
    """A flat road with a wall: two labelled frames. Returns its folder."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    writer = SequenceWriter(root, "00")
    writer.write_calibration({f"P{n}": P2 for n in range(4)}, TR)
    writer.write_poses(np.tile(np.eye(4), (2, 1, 1)))
    writer.write_times(np.array([0.0, 0.1]))
    for frame in ("000000", "000001"):
        road = rng.uniform((2, -20, -1.72, 0.2), (50, 20, -1.7, 0.3), (4000, 4))
        wall = rng.uniform((5, 10, -1.7, 0.5), (45, 10.2, 1, 0.6), (2000, 4))
        points = np.concatenate([road, wall]).astype(np.float32)
        point_labels = np.repeat(np.array([40, 50], np.uint32), (4000, 2000))
        labels = np.zeros(KITTI_GRID.shape, np.uint8)
        labels[occupancy_grid(points[:4000], KITTI_GRID) > 0] = 9
        labels[occupancy_grid(points[4000:], KITTI_GRID) > 0] = 13
        image = rng.integers(0, 255, (120, 300, 3), np.uint8)
        writer.write_frame(frame, image, points, point_labels)
        writer.write_voxels(frame, raw_labels=raw_from_classes(labels), invalid=np.zeros_like(labels))
    return root / "sequences" / "00"


QUICK = TrainingConfig(steps=4, batch=1, warmup=1, validate_every=4, checkpoint_every=2, workers=0)


def test_training_leaves_weights_configuration_and_log(sequence, tmp_path):
    train(load_config(PICO), QUICK, [sequence], [sequence], tmp_path)
    model = load_checkpoint(tmp_path)
    assert model.config == load_config(PICO)
    assert "miou" in (tmp_path / "logs" / "metrics.csv").read_text()
    assert "steps: 4" in (tmp_path / "training.yaml").read_text()


def test_training_goes_on_where_it_stopped(sequence, tmp_path):
    # The same schedule, stopped after two of four steps as a killed process would be.
    from occ_models import training as module

    class Killed(Exception):
        pass

    steps = []
    original = module.OccLETask.training_step

    def counted(self, *arguments):
        steps.append(self.global_step)
        if len(steps) == 4:
            raise Killed
        return original(self, *arguments)

    patch = pytest.MonkeyPatch()
    patch.setattr(module.OccLETask, "training_step", counted)
    with pytest.raises(Killed):
        train(load_config(PICO), QUICK, [sequence], [sequence], tmp_path)
    train(load_config(PICO), QUICK, [sequence], [sequence], tmp_path)
    patch.undo()
    assert steps == [0, 1, 2, 3, 2, 3]


def test_loss_falls_on_one_frame(sequence):
    from occ_models.data import INPUTS, collate
    from occ_models.losses import class_weights, occupancy_losses
    from occ_models.occle import OccLE

    torch.manual_seed(0)
    config = load_config(PICO)
    batch = collate([FrameDataset([sequence], config.preprocess, config.image_stride)[0]])
    model = OccLE(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), 5e-3)
    history = []
    for _ in range(6):
        output = model(*(batch[name] for name in INPUTS))
        loss = sum(occupancy_losses(output.occupancy, output.semantics, batch["labels"], class_weights()).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    assert history[-1] < 0.9 * history[0]


def test_augmented_sample_keeps_points_and_labels_together(sequence):
    config = load_config(PICO)
    always = AugmentationConfig(mirror_p=1.0, turn_p=1.0, shift_z=0.0, dropout=0.0, jitter=0.0)
    sample = FrameDataset([sequence], config.preprocess, config.image_stride, always)[0]
    hits, labels = sample["occupancy"][0].numpy() > 0, sample["labels"][0].numpy()
    grown = np.zeros_like(hits)
    occupied = (labels > 0) & (labels != 255)
    for shift in np.ndindex(3, 3, 3):
        grown |= np.roll(occupied, np.array(shift) - 1, (0, 1, 2))
    assert (hits & grown & (labels != 255)).sum() > 0.95 * (hits & (labels != 255)).sum()


def test_labels_turned_there_and_back_agree():
    labels = np.zeros(KITTI_GRID.shape, np.uint8)
    labels[50:200, 60:180, 4:6] = 9
    T = np.eye(4)
    T[:2, :2] = [[np.cos(0.2), -np.sin(0.2)], [np.sin(0.2), np.cos(0.2)]]
    back = transform_labels(transform_labels(labels, KITTI_GRID, T), KITTI_GRID, np.linalg.inv(T))
    known = back != 255
    assert (back[known] == labels[known]).mean() > 0.995


def test_resized_calibration_sees_the_same_normalised_place():
    calibration = Calibration(P2, np.vstack([TR, (0, 0, 0, 1)]), (300, 120))
    point = np.array([[20.0, 1.0, 0.3]])
    full, half = calibration.project(point)[0], resized(calibration, (150, 60)).project(point)[0]
    np.testing.assert_allclose((full + 0.5) / (300, 120), (half + 0.5) / (150, 60))


def test_data_set_without_truth_names_the_remedy(sequence, tmp_path):
    (tmp_path / "01" / "velodyne").mkdir(parents=True)
    (tmp_path / "01" / "velodyne" / "000000.bin").write_bytes(bytes(16))
    config = load_config(PICO)
    with pytest.raises(DataError, match="occ-data ground-truth"):
        FrameDataset([tmp_path / "01"], config.preprocess, config.image_stride)


def test_missing_folder_is_one_line_and_exit_code_two(tmp_path, capsys):
    missing = str(tmp_path / "nowhere")
    code = main(["occle", "--train", missing, "--validation", missing, "--output", str(tmp_path / "out")])
    assert code == 2
    assert "nowhere" in capsys.readouterr().err
