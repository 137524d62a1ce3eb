"""Plans on disk: found again, told apart, rebuilt where they must not run, and whole or absent."""

import errno
import hashlib
import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from occ_runtime import BackendError, BundleError
from occ_runtime.tensorrt import EngineCache
from occ_runtime.tensorrt.cache import EngineKey, default_folder

from ..conftest import make_bundle, network
from .conftest import install

ROOT = Path(__file__).parents[3]
KEY = EngineKey("ab" * 32, "10.3.0", "Orin", "8.7", "f16", {"image": "float32[1, 3, 16, 48]"}, ("STRONGLY_TYPED",))
OTHERS = {
    "onnx_sha256": "cd" * 32, "tensorrt": "10.4.0", "gpu": "Thor", "compute_capability": "11.0", "precision": "f32",
    "shapes": {"image": "float32[1, 3, 32, 48]"}, "flags": ("FP16",),
}  # fmt: skip


def only(cache: Path, suffix: str) -> Path:
    (file,) = cache.glob(f"*{suffix}")
    return file


@pytest.mark.parametrize("part", OTHERS)
def test_every_part_of_the_key_makes_another_engine(part):
    assert replace(KEY, **{part: OTHERS[part]}).digest != KEY.digest


def test_the_sidecar_says_what_the_plan_was_built_from(gpu, load, cache, bundle, version):
    load()
    entry = json.loads(only(cache, ".json").read_text())
    assert entry["key"] == {
        "onnx_sha256": bundle.files["model.onnx"].sha256,
        "tensorrt": f"{version}.0",
        "gpu": "Stand-in GPU",
        "compute_capability": "8.7",
        "precision": "f32",
        "shapes": {"image": "float32[1, 3, 16, 48]", "occupancy": "uint8[1, 32, 32, 8]"},
        "flags": ["EXPLICIT_BATCH" if version == "8.6" else "STRONGLY_TYPED", "no TF32", "workspace 2048 MiB"],
    }
    assert entry["bundle"] == "tiny"
    assert entry["plan"]["bytes"] == only(cache, ".plan").stat().st_size
    assert entry["golden"].startswith("golden sample: 0 of 8192 labels differ")
    assert entry.keys() >= {"build_seconds", "created"}


def test_another_gpu_gets_an_engine_of_its_own(newest, load, cache):
    load()
    newest.cuda.device.name = b"Another GPU"
    load()
    assert len(newest.built) == len(list(cache.glob("*.plan"))) == 2


def test_another_tensorrt_gets_an_engine_of_its_own(monkeypatch, load, cache):
    for version in ("10.3", "10.13"):
        install(monkeypatch, version)
        load()
    assert len(list(cache.glob("*.plan"))) == 2


def test_a_retrained_network_gets_an_engine_of_its_own(newest, load, tmp_path, cache):
    load(make_bundle(tmp_path / "a", network(kind=13)))
    load(make_bundle(tmp_path / "b", network(kind=9), golden_class=9))
    assert len(list(cache.glob("*.plan"))) == 2


def _cut(cache):
    only(cache, ".plan").write_bytes(only(cache, ".plan").read_bytes()[:-1])
    return "bytes, expected"


def _flip(cache):
    content = bytearray(only(cache, ".plan").read_bytes())
    content[-1] ^= 1
    only(cache, ".plan").write_bytes(content)
    return "its sha256 is not the one in"


def _foreign(cache):
    file = only(cache, ".json")
    entry = json.loads(file.read_text())
    entry["key"]["gpu"] = "Orin"
    file.write_text(json.dumps(entry))
    return "made for gpu 'Orin', expected 'Stand-in GPU'"


def _no_sidecar(cache):
    only(cache, ".json").unlink()
    return "unreadable"


def _no_plan(cache):
    only(cache, ".plan").unlink()
    return "unreadable"


def _garbled(cache):
    only(cache, ".json").write_bytes(b"\xff{")
    return "unreadable"


def _not_a_mapping(cache):
    only(cache, ".json").write_text("[1]")
    return "unreadable"


DAMAGES = (_cut, _flip, _foreign, _no_sidecar, _no_plan, _garbled, _not_a_mapping)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__.strip("_"))
def test_what_must_not_run_is_built_again_and_said_why(newest, load, cache, reported, damage):
    load()
    reported.clear()
    why = damage(cache)
    load()
    assert why in reported[0]
    assert len(newest.built) == 2
    reported.clear()
    load()
    assert reported == [] and len(newest.built) == 2  # the new one is whole


def test_a_plan_that_tensorrt_no_longer_takes_is_built_again(newest, load, reported):
    load()
    reported.clear()
    newest.deserialize_refuses = "Magic tag does not match"
    newest.build = lambda: setattr(newest, "deserialize_refuses", "")
    load()
    assert "does not take the plan: Magic tag does not match" in reported[0]
    assert len(newest.built) == 2


def test_a_plan_that_answers_wrongly_is_built_again(newest, load, cache, reported):
    """As after an upgrade of the driver: the file is whole, the numbers are not."""
    load()
    reported.clear()
    file, sidecar = only(cache, ".plan"), only(cache, ".json")
    head = file.read_bytes().partition(b"\n")[0]
    file.write_bytes(head + b"\n" + network(kind=9))
    entry = json.loads(sidecar.read_text())
    entry["plan"] = {"bytes": file.stat().st_size, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    sidecar.write_text(json.dumps(entry))
    load()
    assert "is refused: golden sample: 474 of 8192 labels differ (5.786 %)" in reported[0]
    assert len(newest.built) == 2


def test_without_building_the_reason_is_raised(newest, load):
    with pytest.raises(BackendError, match=r"engine tiny-f32-[0-9a-f]{16} is not built yet"):
        load(build=False)
    assert newest.built == []


def test_a_folder_that_cannot_be_written_ends_it_before_the_build(newest, load, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BackendError, match=r"file/engines cannot be written: Not a directory; set engine_cache to"):
        load(engine_cache=str(tmp_path / "file/engines"))
    assert newest.built == []


def test_a_full_disk_leaves_nothing_half(newest, load, cache, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BackendError, match="No space left on device; free some space, or set engine_cache"):
        load()
    assert [file.name for file in cache.iterdir()] == ["lock"]
    assert newest.cuda.live == {}


def test_an_interrupted_build_leaves_nothing(newest, load, cache):
    def interrupted():
        raise KeyboardInterrupt

    newest.build = interrupted
    with pytest.raises(KeyboardInterrupt):
        load()
    assert [file.name for file in cache.iterdir()] == ["lock"]


def test_a_build_that_is_called_off_ends_at_its_next_step(gpu, load, cache, version):
    cancelled = threading.Event()
    gpu.build = cancelled.set
    with pytest.raises(BackendError, match=r"the build of .*model\.onnx was ended"):
        load(cancelled=cancelled)
    assert [file.name for file in cache.iterdir()] == ["lock"]


def test_two_processes_build_once(tmp_path, bundle, cache):
    """The first builds until the second says that it waits; then the second takes the first one's plan."""
    first, second = (
        subprocess.Popen(
            [sys.executable, "-m", "tests.occ_runtime.tensorrt.build_once", role, bundle.path, cache, tmp_path],
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
        )
        for role in ("first", "second")
    )  # fmt: skip
    outputs = [process.communicate(timeout=300)[0] for process in (first, second)]
    assert [process.returncode for process in (first, second)] == [0, 0]
    assert "built 1" in outputs[0] and "built 0" in outputs[1]
    assert f"engine: another process builds in {cache}; waiting for it" in outputs[1]


def test_clean_removes_all_but_the_lock_and_lists_it(newest, load, cache, reported):
    load()
    (cache / "left.plan.tmp").write_bytes(b"123")
    listed = EngineCache(cache).clean(reported)
    assert sorted(file.suffix for file, _ in listed) == [".json", ".plan", ".timing", ".tmp"]
    assert (cache / "left.plan.tmp", 3) in listed
    assert [file.name for file in cache.iterdir()] == ["lock"]


def test_clean_of_a_folder_that_is_not_there_removes_nothing(cache, reported):
    assert EngineCache(cache).clean(reported) == []
    assert not cache.exists()


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"OCC_NODE_ENGINE_CACHE": "/var/engines"}, "/var/engines"),
        ({"XDG_CACHE_HOME": "/xdg"}, "/xdg/occ_node"),
        ({"HOME": "/home/robot"}, "/home/robot/.cache/occ_node"),
    ],
)
def test_where_engines_lie(monkeypatch, environment, folder):
    for name in ("OCC_NODE_ENGINE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert default_folder() == EngineCache().folder == Path(folder)


def test_a_precision_that_the_bundle_lacks_is_refused(newest, load):
    with pytest.raises(BundleError, match="bundle tiny has no int8 model; it has f32"):
        load(precision="int8")
