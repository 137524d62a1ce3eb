from pathlib import Path

import numpy as np
import pytest
import yaml

from occ_node.perception import CLASS_NAMES
from occ_node.runtime import Bundle, BundleError, find_bundle

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
    "unknown tensor": (lambda m: m["tensors"]["inputs"][0].update(name="depth"), "unknown tensor 'depth'"),
    "shape": (lambda m: m["tensors"]["outputs"][0].update(shape=[1, 2, 3]), "labels uint8[1, 2, 3] does not follow"),
    "output gone": (lambda m: m["tensors"]["outputs"].pop(), "tensors.outputs: expected each of labels, confidence"),
}


@pytest.mark.parametrize(("change", "message"), CHANGES.values(), ids=CHANGES)
def test_a_manifest_that_is_wrong_is_refused_by_name(bundle, change, message):
    refused(edit(bundle, change), "bundle.yaml", message)


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


def test_an_unknown_bundle_name_lists_the_known_ones(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    make_bundle(tmp_path / "share/occ_node/engines/shelved", network())
    with pytest.raises(BundleError, match=r"'other': no such folder; bundles known by name: .*shelved"):
        find_bundle("other")


def test_a_folder_without_manifest_is_named(tmp_path):
    with pytest.raises(BundleError, match=r"no bundle\.yaml in this folder"):
        find_bundle(tmp_path)
