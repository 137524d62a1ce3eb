"""The pages: what comes from the code is up to date, commands exist, links lead somewhere, the site builds."""

import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path

import pytest

from docs.generate import pages
from occ_cli import data, node, train

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PROGRAMS = {module.COMMAND_LINE.name: module.COMMAND_LINE for module in (node, data, train)}


def commands(page: Path) -> list[list[str]]:
    """Words of every command in the page's `sh` blocks, and of those in the text that are complete."""
    text = page.read_text()
    lines = [
        line
        for block in re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        for line in block.replace("\\\n", " ").splitlines()
    ]
    lines += re.findall(r"(?<!`)`((?:make|python -m|ros2 launch) [^`]+)`(?!`)", text)
    return [words for line in lines if (words := shlex.split(line, comments=True))]


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_what_comes_from_the_code_is_up_to_date(page):
    assert page.read_text() == pages()[page], "stale; refresh it with: python -m docs.generate"


def test_the_readme_is_short():
    assert (ROOT / "README.md").stat().st_size <= 8192


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_exists(page):
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for words in commands(page):
        if words[0] in PROGRAMS:
            PROGRAMS[words[0]].parser().parse_args(words[1:])  # ends the test where an option is unknown
        elif words[0] == "make":
            assert words[1] in targets
        elif words[:2] == ["python", "-m"] and words[2] != "experiments.NAME":
            assert find_spec(words[2]), f"{page.name}: no module {words[2]}"
        elif words[:2] == ["ros2", "launch"]:
            launch = "".join(file.read_text() for file in (ROOT / "launch").glob("*.py"))
            assert (ROOT / "launch" / words[3]).is_file()
            assert all(f'"{word.split(":=")[0]}"' in launch for word in words[4:] if ":=" in word)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_verb_in_the_text_exists(page):
    for program, verb in re.findall(r"(occ-node|occ-data|occ-train) ([a-z][a-z-]*)\b", page.read_text()):
        assert verb in PROGRAMS[program].verbs, f"{page.name}: {program} {verb}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_links_to_exists(page):
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text())
    assert all((page.parent / link).exists() for link in links)


class References(HTMLParser):
    """Addresses that a browser loads with a page."""

    def __init__(self, page: Path):
        super().__init__()
        self.found = []
        self.feed(page.read_text())

    def handle_starttag(self, tag, attributes):
        if tag in ("script", "link", "img", "iframe"):
            self.found += [value for name, value in attributes if name in ("src", "href") and value]


def test_the_site_builds_strictly_and_loads_nothing_from_elsewhere(tmp_path):
    pytest.importorskip("material", reason="needs mkdocs-material (the docs extra)")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    for page in tmp_path.glob("*.html"):
        outside = [address for address in References(page).found if re.match(r"(https?:)?//", address)]
        assert not outside, f"{page.name} loads {outside}"
