"""occ-node engine: with no GPU one sentence, with one (a stand-in) the whole round."""

import pytest

from occ_cli.node import main
from occ_runtime.tensorrt import gpu_problem

from ..occ_runtime.conftest import make_bundle, network
from ..occ_runtime.tensorrt.conftest import install


@pytest.fixture
def bundle(tmp_path):
    return make_bundle(tmp_path / "tiny", network())


@pytest.fixture
def engine(tmp_path, bundle, capsys):
    """Run `occ-node engine`; gives exit code, stdout and stderr."""

    def run(action: str, *options: str) -> tuple[int, str, str]:
        if action in ("build", "verify"):
            options = ("--bundle", str(bundle.path), *options)
        code = main(["engine", action, "--engine-cache", str(tmp_path / "engines"), *options])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def gpu(monkeypatch):
    return install(monkeypatch, "10.3")


@pytest.mark.parametrize("action", ["build", "verify"])
def test_without_a_gpu_it_ends_with_one_sentence_and_code_1(engine, action):
    if (problem := gpu_problem()) is None:
        pytest.skip("this machine has an NVIDIA GPU with TensorRT; the test is for those without")
    assert engine(action) == (1, "", f"occ-node engine: tensorrt: {problem}\n")


@pytest.mark.parametrize("action", ["build", "inspect", "verify", "clean"])
def test_every_action_has_help(action, capsys):
    with pytest.raises(SystemExit) as end:
        main(["engine", action, "--help"])
    assert end.value.code == 0
    assert "--engine-cache DIR" in capsys.readouterr().out


def test_a_bundle_that_is_not_there_is_named_with_code_2(capsys):
    assert main(["engine", "build", "--bundle", "no-such-bundle"]) == 2
    assert "bundle 'no-such-bundle'" in capsys.readouterr().err


def test_build_says_how_it_went(engine, gpu):
    code, said, _ = engine("build")
    assert code == 0
    assert "engine: building" in said and "this takes minutes" in said
    assert "engine: built in 0 s; golden sample: 0 of 8192 labels differ" in said
    assert said.splitlines()[-1] == "ready: tensorrt 10.3.0, Stand-in GPU, f32, CUDA graph"


def test_a_build_that_fails_ends_with_its_reason_and_code_1(engine, gpu):
    gpu.builder_refuses = "no kernel fits"
    code, _, error = engine("build")
    assert code == 1
    assert error.startswith("occ-node engine: tensorrt 10.3.0 cannot build ") and "no kernel fits" in error


def test_verify_runs_the_golden_sample_and_never_builds(engine, gpu):
    code, _, error = engine("verify")
    assert code == 1 and "is not built yet" in error
    engine("build")
    code, said, _ = engine("verify")
    assert code == 0
    assert said.startswith("good: tensorrt 10.3.0, Stand-in GPU, f32, CUDA graph; golden sample: 0 of 8192 labels")
    assert len(gpu.built) == 1


def test_verify_refuses_an_engine_that_answers_wrongly(engine, gpu, monkeypatch):
    engine("build")
    monkeypatch.setattr("occ_runtime.predictor.LABELS_AGREE", 1.1)  # nothing is good enough
    code, _, error = engine("verify")
    assert code == 1 and "is refused: golden sample: 0 of 8192 labels differ" in error


def test_inspect_lists_what_the_engines_are_for(engine, gpu, tmp_path):
    engine("build")
    (tmp_path / "engines/other.json").write_text("{")
    code, said, _ = engine("inspect")
    head, broken, row, last = said.splitlines()
    assert code == 0
    assert head.split()[:5] == ["bundle", "precision", "gpu", "capability", "tensorrt"]
    assert broken == "other.json: unreadable"
    for word in ("tiny", "f32", "Stand-in GPU", "8.7", "10.3.0", "STRONGLY_TYPED, no TF32, workspace 2048 MiB"):
        assert word in row
    assert last == f"2 in {tmp_path / 'engines'}"


def test_inspect_and_clean_need_no_gpu(engine, tmp_path):
    assert engine("inspect") == (0, f"no engines in {tmp_path / 'engines'}\n", "")
    assert engine("clean") == (0, f"0 files removed from {tmp_path / 'engines'}\n", "")


def test_clean_lists_what_it_removed(engine, gpu):
    engine("build")
    code, said, _ = engine("clean")
    assert code == 0
    assert [line.partition(" (")[0].rpartition(".")[2] for line in said.splitlines()[:-1]] == ["plan", "json", "timing"]
    assert said.splitlines()[-1].startswith("3 files removed from ")


def test_wrong_usage_shows_the_usage_of_the_action(engine, capsys):
    with pytest.raises(SystemExit):
        engine("build", "--size", "3")
    assert capsys.readouterr().err.startswith("usage: occ-node engine build [-h]")
