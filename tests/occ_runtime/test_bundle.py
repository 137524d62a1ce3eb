import datetime
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml
from onnx import numpy_helper

from occ_core import CLASS_NAMES
from occ_runtime import Bundle, BundleError, find_bundle, known_bundles, with_typed_models
from occ_runtime.bundle import SHIPPED_BUNDLES

from .conftest import PREPROCESS, make_bundle, network


def edit(bundle: Bundle, change) -> Path:
    """Apply `change` to the manifest's mapping in place."""
    path = bundle.path / "bundle.yaml"
    manifest = yaml.safe_load(path.read_text())
    change(manifest)
    path.write_text(yaml.safe_dump(manifest))
    return bundle.path


def refused(folder: Path, *words: str) -> None:
    """Loading fails with one line that holds all the words."""
    with pytest.raises(BundleError) as caught:
        Bundle.load(folder)
    message = str(caught.value)
    assert "\n" not in message
    for word in (str(folder), *words):
        assert word in message


def test_a_written_bundle_loads_as_it_was(bundle):
    loaded = Bundle.load(bundle.path)
    assert vars(loaded) == vars(bundle)
    assert loaded.preprocess == PREPROCESS
    assert loaded.grid == PREPROCESS.grid
    assert loaded.class_names == CLASS_NAMES
    assert loaded.metrics == {"noise": {"iou": 1.5}}


def test_the_golden_sample_comes_back_whole(bundle):
    inputs, outputs = bundle.golden()
    assert set(inputs) == {"image", "occupancy"}
    assert outputs["labels"].shape == (1, 32, 32, 8)
    assert np.array_equal(outputs["labels"], inputs["occupancy"] * 13)


@pytest.mark.parametrize("name", ["model.onnx", "golden.npz"])
def test_a_flipped_byte_is_found(bundle, name):
    content = bytearray((bundle.path / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle.path / name).write_bytes(content)
    refused(bundle.path, name, "sha256", "damaged")


@pytest.fixture
def typed(tmp_path) -> Bundle:
    """A bundle that holds int8 besides f32."""
    return make_bundle(tmp_path / "typed", network(), typed={"int8": network(kind=9)})


def test_a_bundle_says_which_precisions_it_holds(bundle, typed):
    assert bundle.precisions == ("f32",)
    assert Bundle.load(typed.path).precisions == ("f32", "int8")


def test_each_precision_has_its_file(typed):
    assert typed.model_file_of("f32") == typed.model_file_of("bf16") == typed.model_file == typed.path / "model.onnx"
    assert typed.model_file_of("int8") == typed.path / "model.int8.onnx"


@pytest.mark.parametrize("precision", ["f16", "fp8"])
def test_a_precision_that_is_not_there_is_named_with_those_that_are(typed, precision):
    with pytest.raises(BundleError, match=f"bundle tiny has no {precision} model; it has f32, int8"):
        typed.model_file_of(precision)


def test_a_flipped_byte_in_a_typed_model_is_found(typed):
    path = typed.model_file_of("int8")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    refused(typed.path, "model.int8.onnx", "sha256", "damaged")


def test_a_listed_model_that_is_missing_is_named(typed):
    typed.model_file_of("int8").unlink()
    refused(typed.path, "model.int8.onnx", "missing")


def test_typed_models_take_the_place_of_those_before(typed):
    with_typed_models(typed, typed.path, {"f16": network(kind=7)})
    loaded = Bundle.load(typed.path)
    assert loaded.precisions == ("f32", "f16")
    assert not (typed.path / "model.int8.onnx").exists()
    assert {**vars(loaded), "files": None} == {**vars(typed), "files": None}
    assert loaded.golden()[1]["labels"].any()


def test_typed_models_can_go_to_a_folder_of_their_own(bundle, tmp_path):
    with_typed_models(bundle, tmp_path / "other", {"f16": network(kind=7)})
    assert Bundle.load(tmp_path / "other").precisions == ("f32", "f16")
    assert Bundle.load(bundle.path).precisions == ("f32",)


def test_verification_can_be_left_out(bundle):
    content = bytearray(bundle.model_file.read_bytes())
    content[-1] ^= 1
    bundle.model_file.write_bytes(content)
    assert Bundle.load(bundle.path, verify=False).name == "tiny"


@pytest.mark.parametrize("name", ["model.onnx", "golden.npz"])
def test_a_missing_file_is_named(bundle, name):
    (bundle.path / name).unlink()
    refused(bundle.path, name, "missing")


def test_a_truncated_file_is_named(bundle):
    content = bundle.model_file.read_bytes()
    bundle.model_file.write_bytes(content[:-1])
    refused(bundle.path, "model.onnx", f"{len(content) - 1} bytes", f"expected {len(content)}")


def test_a_missing_manifest_is_named(bundle):
    (bundle.path / "bundle.yaml").unlink()
    refused(bundle.path, "bundle.yaml", "cannot be read")


@pytest.mark.parametrize("content", [b"name: [1\n", b"\xff\xfe\x00", b"!!python/object/apply:os.system ['true']\n"])
def test_a_manifest_that_is_not_yaml_is_refused(bundle, content):
    (bundle.path / "bundle.yaml").write_bytes(content)
    refused(bundle.path, "bundle.yaml")


@pytest.mark.parametrize("content", ["", "- 1\n", "name: x\n"])
def test_a_manifest_without_version_is_refused(bundle, content):
    (bundle.path / "bundle.yaml").write_text(content)
    refused(bundle.path, "missing key 'format_version'")


def test_an_unknown_version_is_named(bundle):
    refused(edit(bundle, lambda m: m.update(format_version=2)), "format_version 2", "reads 1")


CHANGES = {
    "top": (lambda m: m.update(colour="red"), "unknown key 'colour'"),
    "nested": (lambda m: m["preprocess"]["voxelizer"].update(speed=1), "unknown key 'preprocess.voxelizer.speed'"),
    "file": (lambda m: m["files"].update({"../x": {}}), "unknown key 'files.../x'"),
    "missing": (lambda m: m.pop("license"), "missing key 'license'"),
    "missing nested": (lambda m: m["grid"].pop("origin"), "missing key 'grid.origin'"),
    "missing file": (lambda m: m["files"].pop("golden.npz"), "missing key 'files.golden.npz'"),
    "not a mapping": (lambda m: m.update(grid=3), "grid: expected a mapping"),
    "wrong type": (lambda m: m["preprocess"].update(lifting_factor="4"), "preprocess.lifting_factor: expected int"),
    "wrong length": (lambda m: m["preprocess"].update(mean=[0.5]), "preprocess.mean: expected a list of 3"),
    "wrong item": (lambda m: m["grid"].update(shape=[32, 32, "8"]), "grid.shape: expected int"),
    "value refused": (lambda m: m["grid"].update(voxel_size=-1), "grid.voxel_size"),
    "classes": (lambda m: m["classes"].reverse(), "classes: expected empty, car"),
    "unknown tensor": (lambda m: m["tensors"]["inputs"][0].update(name="radar"), "unknown tensor 'radar'"),
    "shape": (lambda m: m["tensors"]["outputs"][0].update(shape=[1, 2, 3]), "labels uint8[1, 2, 3] does not follow"),
    "no spread": (lambda m: m["preprocess"].update(std=[0, 0.2, 0.2]), "std: expected three positive numbers"),
    "no mean": (lambda m: m["preprocess"].update(mean=[float("nan"), 0.4, 0.4]), "mean: expected three finite numbers"),
    "no float": (lambda m: m["grid"].update(voxel_size=10**400), "grid.voxel_size: expected float, got 1000"),
    "no length": (lambda m: m["grid"].update(voxel_size=float("inf")), "grid.voxel_size: expected a positive length"),
    "huge grid": (lambda m: m["grid"].update(shape=[65536, 65536, 65536]), "takes more than 1,073,741,824 bytes"),
    "many rows": (lambda m: m["preprocess"]["voxelizer"].update(max_voxels=10**9), "takes more than 1,073,741,824"),
    "long key": (lambda m: m.update({"x" * 1000: 1}), "(1002 characters)"),
    "long name": (lambda m: m.update(name=["x"] * 1000), "name: expected str, got ['x', "),
    "date": (lambda m: m.update(version=datetime.date(2024, 1, 1)), "version: expected str, got datetime.date"),
    "output gone": (lambda m: m["tensors"]["outputs"].pop(), "tensors.outputs: expected each of labels, confidence"),
}


@pytest.mark.parametrize(("change", "message"), CHANGES.values(), ids=CHANGES)
def test_a_manifest_that_is_wrong_is_refused_by_name(bundle, change, message):
    refused(edit(bundle, change), "bundle.yaml", message)


DOUBLED = "[&a0 [x, x], " + ", ".join(f"&a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40)) + "]"


@pytest.mark.parametrize("value", [DOUBLED, "&a [*a]", "2024-13-45", "[" * 100_000, "!!binary aaaa"])
@pytest.mark.parametrize("key", ["name", "files"])
def test_a_manifest_of_hostile_yaml_is_refused_in_one_short_line(bundle, key, value):
    lines = [line for line in (bundle.path / "bundle.yaml").read_text().splitlines() if not line.startswith(key)]
    (bundle.path / "bundle.yaml").write_text("\n".join([f"{key}: {value}", *lines]))
    with pytest.raises(BundleError, match=r"bundle\.yaml: not valid YAML") as caught:
        Bundle.load(bundle.path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 800


def test_a_golden_sample_that_expands_beyond_its_tensors_is_refused(bundle):
    np.savez_compressed(bundle.path / "golden.npz", **{"inputs/image": np.zeros(1 << 20, np.uint8)})
    with pytest.raises(BundleError, match=r"golden\.npz: not a readable npz archive: uint8\[1048576\]"):
        bundle.golden()


def test_weights_in_other_files_are_refused(tmp_path):
    model = onnx.load_from_string(network())
    weights = numpy_helper.from_array(np.zeros(2, np.float32), "unused")
    weights.data_location = onnx.TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="../../etc/hostname")
    model.graph.initializer.append(weights)
    with pytest.raises(BundleError, match=r"model\.onnx: keeps weights in other files"):
        make_bundle(tmp_path / "tiny", model.SerializeToString())


def test_a_golden_sample_of_another_shape_is_refused(bundle):
    with np.load(bundle.path / "golden.npz") as stored:
        arrays = dict(stored) | {"inputs/image": np.zeros((1, 3, 2, 2), np.float32)}
    np.savez(bundle.path / "golden.npz", **arrays)
    with pytest.raises(BundleError, match=r"inputs/image is float32\[1, 3, 2, 2\], expected image"):
        bundle.golden()


def test_a_golden_sample_of_objects_is_refused(bundle):
    np.savez(bundle.path / "golden.npz", **{"inputs/image": np.array([{}], object)})
    with pytest.raises(BundleError, match=r"golden\.npz: not a readable npz"):
        bundle.golden()


def test_a_bundle_replaces_an_older_one(bundle):
    make_bundle(bundle.path, network(kind=9), golden_class=9)
    assert Bundle.load(bundle.path).golden()[1]["labels"].max() == 9
    assert [p.name for p in bundle.path.parent.iterdir()] == ["tiny"]


def test_a_folder_that_is_no_bundle_is_not_replaced(tmp_path):
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "thesis.txt").write_text("years")
    with pytest.raises(BundleError, match="not replaced"):
        make_bundle(tmp_path / "tiny", network())
    assert (tmp_path / "tiny" / "thesis.txt").read_text() == "years"


def test_a_bundle_that_fails_its_own_check_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(np, "savez_compressed", lambda path, **arrays: path.write_bytes(b"no"))
    with pytest.raises(BundleError):
        make_bundle(tmp_path / "tiny", network())
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_is_found_by_path_and_by_name(bundle, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    installed = make_bundle(tmp_path / "share/occ_node/engines/shelved", network()).path
    assert find_bundle(bundle.path) == bundle.path
    assert find_bundle("shelved") == installed


def test_the_shipped_bundles_are_found_by_their_names():
    assert set(SHIPPED_BUNDLES) <= set(known_bundles())


def test_an_unknown_bundle_name_lists_the_known_ones(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    make_bundle(tmp_path / "share/occ_node/engines/shelved", network())
    with pytest.raises(BundleError, match=r"'other': no such folder; bundles known by name: .*shelved"):
        find_bundle("other")


def test_a_folder_without_manifest_is_named(tmp_path):
    with pytest.raises(BundleError, match=r"no bundle\.yaml in this folder"):
        find_bundle(tmp_path)
