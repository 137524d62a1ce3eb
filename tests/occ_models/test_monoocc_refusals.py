"""What MonoOcc's training refuses, before anything is trained."""

import shutil
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")
pytest.importorskip("lightning", reason="needs lightning (the train extra)")


from occ_core.files import write_yaml  # noqa: E402
from occ_data import DataError  # noqa: E402
from occ_models.config import ConfigError, load_config  # noqa: E402
from occ_models.monoocc.config import MonoOccConfig  # noqa: E402
from occ_models.monoocc.model import MonoOcc  # noqa: E402
from occ_models.monoocc.recipe import MonoOccRecipe  # noqa: E402
from occ_models.monoocc.trainer import teacher_config  # noqa: E402
from occ_models.occle.config import OccLEConfig  # noqa: E402
from occ_models.occle.model import OccLE  # noqa: E402
from occ_models.recipe import load_recipe  # noqa: E402
from occ_models.weights import save_weights  # noqa: E402

from .conftest import PICO  # noqa: E402
from .monoocc_runs import MONO_L, PLAIN, TAUGHT, another, phases_of, run_of, start  # noqa: E402


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"channels": 16}, r"teacher pico-l: channels is 16, the student's 8; they must agree"),
        ({"preprocess": {"lifting_factor": 8}}, r"teacher pico-l: preprocess.lifting_factor is 8, the student's 4"),
        ({"preprocess": {"image_size": (304, 96)}}, r"preprocess.image_size is \(304, 96\), the student's \(152, 48\)"),
        ({"image_stride": 4}, "image_stride is 4, the student's 8"),
    ],
)
def test_teacher_of_another_form_is_refused(changed, said, sequence, tmp_path):
    recipe = replace(TAUGHT, teacher=another(tmp_path, **changed))
    with pytest.raises(ConfigError, match=said) as caught:
        phases_of(run_of(sequence, tmp_path / "out", recipe))
    assert "\n" not in str(caught.value)


def test_cached_features_may_come_from_larger_images(sequence, tmp_path):
    recipe = replace(TAUGHT, teacher=another(tmp_path, preprocess={"image_size": (304, 96)}), teacher_features="cached")
    run = run_of(sequence, tmp_path / "out", recipe)
    frames = phases_of(run)["depth"].data().frames
    configs = teacher_config(run.config, recipe), run.config
    sizes = [run.dataset(frames, config=config)[0]["image"].shape for config in configs]
    assert sizes == [(3, 3, 96, 304), (1, 3, 48, 152)]


def test_a_student_that_looks_elsewhere_than_its_teacher_is_refused(sequence, tmp_path):
    with pytest.raises(ConfigError, match=r"views are \(0, 1, 2\); expected the student's, \(0, 2\), first"):
        phases_of(run_of(sequence, tmp_path, TAUGHT, views=(0, 2)))


@pytest.mark.parametrize(("recipe", "views"), [(TAUGHT, (0,)), (PLAIN, (0, 1))])
def test_earlier_frames_need_poses(recipe, views, sequence, tmp_path):
    copy = shutil.copytree(sequence, tmp_path / "00")
    (copy / "poses.txt").unlink()
    with pytest.raises(DataError, match="no poses; this network takes earlier frames"):
        phases_of(run_of(copy, tmp_path / "out", recipe, views=views))
    phases_of(run_of(copy, tmp_path / "other"))  # one frame does without


def test_phases_that_the_recipe_lacks_and_phases_before_are_named(sequence, tmp_path):
    with pytest.raises(ConfigError, match=r"phase teacher: .* has depth, student alone"):
        start(sequence, tmp_path / "a", only=("teacher",))
    with pytest.raises(DataError, match=r"depth/model.safetensors: missing; run --phase depth first"):
        start(sequence, tmp_path / "b", only=("student",))


def test_initial_weights_that_do_not_fit_are_refused_before_anything_is_trained(sequence, tmp_path):
    save_weights(OccLE(load_config(PICO, OccLEConfig)), tmp_path / "occle")
    with pytest.raises(ConfigError, match=r"model: a configuration of occle; expected one of monoocc"):
        phases_of(run_of(sequence, tmp_path / "a", TAUGHT, tmp_path / "occle"))
    save_weights(MonoOcc(load_config(MONO_L, MonoOccConfig)), tmp_path / "larger")
    with pytest.raises(ConfigError, match=r"model\.safetensors: does not fit the configuration pico"):
        phases_of(run_of(sequence, tmp_path / "b", TAUGHT, tmp_path / "larger"))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"share": 0.0}, r"share: expected more than 0 and at most 1, got 0\.0"),
        ({"temperature": 0.0}, r"temperature: expected a positive number, got 0\.0"),
        ({"teacher_features": "sometimes"}, "teacher_features: expected one of online, cached, got 'sometimes'"),
        ({"image_labels": "all"}, "image_labels: expected one of points, pseudo_labels, none, got 'all'"),
        ({"tau": 0.5}, "tau: unknown key"),
    ],
)
def test_bad_recipe_names_the_key(values, said, tmp_path):
    write_yaml(tmp_path / "recipe.yaml", values)
    with pytest.raises(ConfigError, match=said):
        load_recipe(tmp_path / "recipe.yaml", MonoOccRecipe)
