"""Scores against a computation of its own, written from the definition: sets of voxels, summed over frames."""

import json

import numpy as np
import pytest

from occ_cli.node import main
from occ_cli.verbs.evaluate import evaluate
from occ_data.kitti import Sequence, SequenceWriter, sequences, write_voxel_labels

# SemanticKITTI's raw ids: class -> ids, written here once more on purpose.
RAW = {1: 10, 2: 11, 3: 15, 4: 18, 5: 20, 6: 30, 7: 31, 8: 32, 9: 40, 10: 44, 11: 48, 12: 49, 13: 50, 14: 51, 15: 70,
       16: 71, 17: 72, 18: 80, 19: 81}  # fmt: skip
MOVING = {252: 1, 253: 7, 254: 6, 255: 8, 256: 5, 257: 5, 258: 4, 259: 5, 13: 5, 16: 5, 60: 9}
IGNORED = (1, 52, 99, 12345)


@pytest.fixture(scope="module")
def random_split(tmp_path_factory):
    """Two frames of random truth and prediction; folder of data, of predictions, and the raw arrays."""
    data, predictions = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("predictions")
    random = np.random.default_rng(5)
    true_ids = np.array([0] * 30 + list(RAW.values()) + list(MOVING) + list(IGNORED), np.uint16)
    predicted_ids = np.array([0] * 30 + list(RAW.values())[:17], np.uint16)  # two classes are never predicted
    writer, frames = SequenceWriter(data, "08"), []
    for n in range(2):
        truth = random.choice(true_ids, (256, 256, 32))
        truth[truth == RAW[3]] = 0  # one class never occurs in the truth
        right = random.random(truth.shape) < 0.5
        prediction = np.where(right & np.isin(truth, predicted_ids), truth, random.choice(predicted_ids, truth.shape))
        invalid = random.random(truth.shape) < 0.3
        scan = random.uniform((0, -25, -2, 0), (51, 25, 4, 1), (500, 4)).astype(np.float32)
        writer.write_frame(f"{5 * n:06d}", scan=scan)
        writer.write_voxels(f"{5 * n:06d}", truth, invalid)
        write_voxel_labels(predictions / f"sequences/08/predictions/{5 * n:06d}.label", prediction)
        frames.append((truth, prediction, invalid, scan))
    return data, predictions, frames


def test_agrees_with_the_definition(random_split):
    data, predictions, frames = random_split
    truth, prediction, invalid = (np.concatenate([f[k].reshape(-1) for f in frames]) for k in range(3))
    kept = ~invalid & ~np.isin(truth, IGNORED)
    truth, prediction = truth[kept], prediction[kept]
    true_occupied, predicted_occupied = truth != 0, prediction != 0
    both = np.sum(true_occupied & predicted_occupied)
    class_iou = []
    for label, raw in RAW.items():
        is_true = np.isin(truth, [raw, *(r for r, c in MOVING.items() if c == label)])
        is_predicted = prediction == raw
        union = np.sum(is_true | is_predicted)
        class_iou.append(100 * np.sum(is_true & is_predicted) / union if union else 0.0)

    scores = evaluate(sequences(data, ["08"]), predictions)

    assert scores["frames"] == 2
    assert scores["voxels"] == kept.sum()
    assert scores["iou"] == pytest.approx(100 * both / np.sum(true_occupied | predicted_occupied), abs=1e-9)
    assert scores["precision"] == pytest.approx(100 * both / predicted_occupied.sum(), abs=1e-9)
    assert scores["recall"] == pytest.approx(100 * both / true_occupied.sum(), abs=1e-9)
    assert list(scores["class_iou"].values()) == pytest.approx(class_iou, abs=1e-9)
    assert scores["miou"] == pytest.approx(np.mean(class_iou), abs=1e-9)
    assert scores["classes_present"] == 18
    assert scores["miou_present"] == pytest.approx((sum(class_iou) - class_iou[2]) / 18, abs=1e-9)


def test_scores_the_raw_scan_beside_it(random_split):
    data, predictions, frames = random_split
    hit = union = 0
    for truth, _, invalid, scan in frames:
        occupied = np.zeros(truth.shape, bool)
        for x, y, z, _ in scan:
            occupied[int(x / 0.2), int((y + 25.6) / 0.2), int((z + 2) / 0.2)] = True
        kept = ~invalid & ~np.isin(truth, IGNORED)
        hit += np.sum(occupied & (truth != 0) & kept)
        union += np.sum((occupied | (truth != 0)) & kept)
    # Single precision and 0.2 leave a point or two on the border between voxels.
    assert evaluate(sequences(data, ["08"]), predictions)["scan_baseline"]["iou"] == pytest.approx(
        100 * hit / union, rel=0.01
    )


def test_writes_json_and_prints_the_table(random_split, tmp_path, capsys):
    data, predictions, _ = random_split
    arguments = ["--dataset", str(data), "--predictions", str(predictions), "--sequences", "08"]
    assert main(["evaluate", *arguments, "--json", str(tmp_path / "scores.json")]) == 0
    scores = json.loads((tmp_path / "scores.json").read_text())
    printed = capsys.readouterr().out
    assert f"{scores['iou']:.2f}" in printed
    assert "vegetation" in printed


def test_without_truth_it_tells_how_to_make_it(tmp_path, capsys):
    writer = SequenceWriter(tmp_path, "08")
    writer.write_frame("000000", scan=np.zeros((1, 4), np.float32))
    assert len(Sequence(writer.path)) == 1
    arguments = ["--dataset", str(tmp_path), "--predictions", str(tmp_path), "--sequences", "08"]
    assert main(["evaluate", *arguments]) == 2
    assert f"occ-data ground-truth {tmp_path} --sequences 08" in capsys.readouterr().err


def test_a_prediction_of_the_wrong_size_is_named(random_split, tmp_path, capsys):
    data, _, _ = random_split
    folder = tmp_path / "sequences/08/predictions"
    folder.mkdir(parents=True)
    for frame in ("000000", "000005"):
        (folder / f"{frame}.label").write_bytes(bytes(100))
    arguments = ["--dataset", str(data), "--predictions", str(tmp_path), "--sequences", "08"]
    assert main(["evaluate", *arguments]) == 2
    assert "000000.label: 100 bytes; expected 4194304" in capsys.readouterr().err
