"""What a training leaves to look at: one log that goes on after a stop, pictures, the best weights, progress."""

import csv
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")
pytest.importorskip("lightning", reason="needs lightning (the train extra)")

from safetensors.torch import load_file  # noqa: E402

from occ_core import COLORS  # noqa: E402
from occ_data import Sequence  # noqa: E402
from occ_data.kitti.images import read_rgb  # noqa: E402
from occ_models.augmentation import CAMERA  # noqa: E402
from occ_models.config import load_config, to_dict  # noqa: E402
from occ_models.monoocc.config import MonoOccConfig  # noqa: E402
from occ_models.monoocc.recipe import MonoOccRecipe  # noqa: E402
from occ_models.monoocc.tasks import OccupancyTask  # noqa: E402
from occ_models.monoocc.trainer import MonoOccTraining  # noqa: E402
from occ_models.phases import TrainingRun  # noqa: E402
from occ_models.phases import train as train_phases  # noqa: E402
from occ_models.recipe import TrainingConfig  # noqa: E402
from occ_models.training import Task  # noqa: E402
from occ_models.training_log import TrainingLog  # noqa: E402
from occ_models.watching import prediction_beside_truth  # noqa: E402

MONO = Path(__file__).parent / "mono_pico.yaml"
QUICK = TrainingConfig(
    batch=1, warmup=1, validate_every=2, checkpoint_every=2, workers=0, accelerator="cpu", pictures=2
)
RECIPE = MonoOccRecipe(depth_steps=1, student_steps=5, training=QUICK)


def train(sequence, output: Path, recipe: MonoOccRecipe = RECIPE) -> Path:
    drives = [Sequence(sequence)]
    run = TrainingRun(load_config(MONO, MonoOccConfig), recipe, drives, drives, output)
    train_phases(run, MonoOccTraining(run).phases())
    return output / "student"


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "logs" / "metrics.csv").open() as lines:
        return list(csv.DictReader(lines))


class Killed(Exception):
    pass


@pytest.fixture(scope="module")
def stopped(sequence, tmp_path_factory) -> tuple[Path, str]:
    """A training of five steps that was killed in the fourth and gone on with; what it said the second time."""
    output, original = tmp_path_factory.mktemp("stopped"), Task.training_step
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):

        def killed(task, batch, number):
            if isinstance(task, OccupancyTask) and task.global_step == 3:
                raise Killed
            return original(task, batch, number)

        patch.setattr(Task, "training_step", killed)
        patch.setattr("occ_models.training.LOG_EVERY", 1)
        train(sequence, output)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("occ_models.training.LOG_EVERY", 1)
        bars = []
        from occ_models import watching

        class Noted(watching.tqdm):
            def close(self):
                bars.append(str(self))
                super().close()

        patch.setattr(watching, "tqdm", Noted)
        folder = train(sequence, output)
    return folder, "\n".join(bars)


def test_one_log_goes_on_after_a_stop(stopped):
    found = rows(stopped[0])
    assert [row["step"] for row in found if row["train/gradient_norm"]] == ["1", "2", "3", "4", "5"]
    assert [path.name for path in (stopped[0] / "logs").glob("*.csv")] == ["metrics.csv"]


def test_the_last_step_is_measured_whatever_the_interval(stopped):
    assert [row["step"] for row in rows(stopped[0]) if row["miou"]] == ["2", "4", "5"]


def test_learning_rate_gradient_and_each_class_are_logged(stopped):
    found = rows(stopped[0])
    steps = [row for row in found if row["train/gradient_norm"]]
    assert all(float(row["train/gradient_norm"]) > 0 for row in steps)
    assert float(steps[1]["train/learning_rate"]) == pytest.approx(QUICK.learning_rate)
    measured = next(row for row in found if row["miou"])
    classes = [float(value) for name, value in measured.items() if name.startswith("class_iou/")]
    assert len(classes) == 19 and np.mean(classes) == pytest.approx(float(measured["miou"]), abs=1e-4)


def test_pictures_show_validation_frames(stopped):
    names = sorted(path.name for path in (stopped[0] / "pictures").iterdir())
    frames = ("00_000000", "00_000003")
    assert names == [f"{frame}_step{step:06d}.png" for frame in frames for step in (2, 4, 5)]
    height, width, _ = read_rgb(stopped[0] / "pictures" / names[0]).shape
    assert width > 2 * height


def test_best_weights_are_kept_with_their_figure(stopped):
    kept = yaml.safe_load((stopped[0] / "best" / "best.yaml").read_text())
    measured = {int(row["step"]): float(row["miou"]) for row in rows(stopped[0]) if row["miou"]}
    assert kept["miou"] == pytest.approx(max(measured.values()), abs=1e-5)
    assert measured[kept["step"]] == pytest.approx(kept["miou"], abs=1e-5)
    assert set(load_file(stopped[0] / "best" / "model.safetensors")) == set(load_file(stopped[0] / "model.safetensors"))
    assert (stopped[0] / "last.ckpt").is_file()


def test_progress_counts_all_steps_after_a_stop_too(stopped):
    assert re.search(r"5/5 \[", stopped[1])


def test_augmentation_is_written_down(stopped):
    assert yaml.safe_load((stopped[0] / "augmentation.yaml").read_text()) == to_dict(CAMERA)


def test_tensorboard_has_figures_and_pictures(stopped):
    pytest.importorskip("tensorboard", reason="needs tensorboard (the train extra)")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(stopped[0] / "logs"))
    found.Reload()
    assert [event.step for event in found.Scalars("train/gradient_norm")] == [1, 2, 3, 4, 5]
    assert {"miou", "class_iou/road", "train/learning_rate"} <= set(found.Tags()["scalars"])
    assert [event.step for event in found.Images("00_000000")] == [2, 4, 5]


def test_without_tensorboard_figures_go_to_the_file_and_one_line_says_so(tmp_path):
    code = (
        "import sys\n"
        "sys.modules['tensorboard'] = None\n"
        "from pathlib import Path\n"
        "from occ_models.training_log import TrainingLog\n"
        "for folder in ('a', 'b'):\n"
        "    TrainingLog(Path(sys.argv[1], folder), lambda: 7).log_metrics({'loss': 0.5})\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.count("tensorboard is not installed: figures go to logs/metrics.csv alone") == 1
    assert (tmp_path / "a" / "metrics.csv").read_text().split() == ["step,loss", "7,0.5"]


def test_a_line_cut_short_by_a_stop_is_dropped(tmp_path):
    (tmp_path / "metrics.csv").write_text("step,loss,iou\n2,0.5,\n4,,10.0\n6,0.")
    log = TrainingLog(tmp_path, lambda: 6)
    log.go_on()
    log.log_metrics({"loss": 0.25, "miou": 5.0})
    log.finalize("success")
    lines = (tmp_path / "metrics.csv").read_text().split()
    assert lines == ["step,loss,iou,miou", "2,0.5,,", "4,,10.0,", "6,0.25,,5.0"]


def test_prediction_is_on_the_left_and_truth_on_the_right():
    prediction, truth = np.zeros((2, 16, 16, 4), np.uint8)
    prediction[8, 8, 0], truth[8, 8, 0] = 1, 9
    picture = prediction_beside_truth(prediction, truth).astype(int)
    half = picture.shape[1] // 2
    for side, label in ((picture[:, :half], 1), (picture[:, half:], 9)):
        assert (np.abs(side - COLORS[label]).sum(-1) < 90).any()
        assert not (np.abs(side - COLORS[10 - label]).sum(-1) < 90).any()


def test_one_measurement_after_another_starts_its_own_counts(sequence, tmp_path):
    folder = train(sequence, tmp_path, replace(RECIPE, student_steps=1))
    assert [row["step"] for row in rows(folder) if row["miou"]] == ["1"]
