"""Help texts are literals, so that `--help` imports nothing: their names must be those that the code uses."""

import re

import pytest

from occ_cli import node
from occ_runtime import BACKENDS, DEFAULT_BUNDLE, MONOOCC, OCCLE
from occ_runtime.bundle import SHIPPED_BUNDLES


def help_of(capsys, *verb: str) -> str:
    with pytest.raises(SystemExit):
        node.main([*verb, "--help"])
    text = " ".join(capsys.readouterr().out.split())
    return re.sub(r"(?<=\w)- (?=\w)", "-", text)  # lines may break behind a hyphen


@pytest.mark.parametrize("verb", ["demo", "run", "play", "bag", "infer", "evaluate", "render", "engine"])
def test_every_bundle_that_a_help_names_is_one_that_is_shipped(capsys, verb):
    assert set(re.findall(r"\b(?:occle|monoocc)-nano[\w-]*", help_of(capsys, verb))) <= set(SHIPPED_BUNDLES)


@pytest.mark.parametrize(
    ("verb", "text"),
    [
        (("demo",), f"(default {DEFAULT_BUNDLE})"),
        (("engine", "build"), f"(default {OCCLE})"),
        (("engine", "verify"), f"(default {OCCLE})"),
        (("infer",), f"(default {OCCLE}; of --image {MONOOCC})"),
    ],
)
def test_the_default_bundle_is_the_one_that_is_taken(capsys, verb, text):
    assert text in help_of(capsys, *verb)


@pytest.mark.parametrize("verb", ["demo", "run", "infer"])
def test_every_backend_is_listed_where_the_help_says(capsys, verb):
    """A new backend is then an entry in one table."""
    assert "one that `occ-node run --parameters` lists" in help_of(capsys, verb)
    assert node.main(["run", "--parameters"]) == 0
    assert f"Backend: {', '.join(BACKENDS)}." in capsys.readouterr().out
