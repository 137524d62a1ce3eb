"""What the tensors of a training step hold, counted without computing."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from benchmarks.monoocc_memory import Held, main, step_memory  # noqa: E402
from occ_models.config import load_config  # noqa: E402
from occ_models.monoocc.config import MonoOccConfig  # noqa: E402

MONO = Path(__file__).parents[1] / "occ_models" / "mono_pico.yaml"


def test_held_bytes_are_those_of_tensors_that_are_still_there():
    with Held() as held:
        a = torch.ones(1000)
        b = a + 1
        view = b[:10]
        assert held.now == held.peak == 8000
        del a, b
        assert held.now == 4000  # the view holds all of it
        del view
    assert (held.now, held.peak) == (0, 8000)


def test_recomputed_activations_are_not_kept():
    config = load_config(MONO, MonoOccConfig)
    plain, recomputed = step_memory(config, False), step_memory(config, True)
    assert recomputed["kept_bytes"] < 0.7 * plain["kept_bytes"] < plain["peak_bytes"]


@pytest.mark.parametrize(("size", "recompute"), [("base", False), ("paper-l", False), ("base-l", True)])
def test_a_step_of_the_papers_sizes_fits_a_card_of_24_gb(size, recompute):
    assert step_memory(load_config(size, MonoOccConfig), recompute)["peak_bytes"] < 20e9


def test_an_unknown_size_is_one_line(capsys):
    assert main(["--sizes", "huge"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("monoocc_memory: ") and "no such configuration" in said and said.count("\n") == 1
