import re

import pytest

from benchmarks.measure import machine_name, markdown, medians
from benchmarks.report import RESULTS_PAGE, fill

PAGE = (
    "before\n<!-- bench:speed -->\nold\n<!-- /bench -->\nbetween\n<!-- bench:size -->\nkept\n<!-- /bench -->\nafter\n"
)


def test_a_table_replaces_what_stands_between_its_marks():
    assert fill(PAGE, {"speed": "| new |"}) == PAGE.replace("old", "| new |")


def test_filling_twice_changes_nothing():
    once = fill(PAGE, {"speed": r"back\1slash", "size": "| 2 |"})
    assert fill(once, {"speed": r"back\1slash", "size": "| 2 |"}) == once


def test_a_table_without_a_place_is_refused():
    with pytest.raises(ValueError, match="no place for the table 'memory'"):
        fill(PAGE, {"memory": "| 1 |"})


def test_marks_of_another_kind_have_their_own_name():
    page = "<!-- generated:drops -->\nold\n<!-- /generated -->\n"
    assert fill(page, {"drops": "| new |"}, "generated") == page.replace("old", "| new |")
    with pytest.raises(ValueError, match="expected <!-- generated:verbs --> and <!-- /generated -->"):
        fill(page, {"verbs": "| 1 |"}, "generated")


def test_the_page_of_results_has_a_place_for_every_table():
    marks = re.findall(r"<!-- bench:(\w+) -->\n.*?<!-- /bench -->", RESULTS_PAGE.read_text(), re.DOTALL)
    occle = [
        "departures",
        "extractors",
        "geometry",
        "label_efficiency",
        "modules",
        "paper",
        "pseudo",
        "share",
        "synergy",
        "variants",
    ]
    monoocc = ["ablation", "departures", "depth", "groups", "memory", "paper", "step", "variants"]
    measured = [
        "baseline_bev",
        "camera_only",
        "cost",
        "end_to_end",
        "install",
        "loading",
        "markers",
        *(f"monoocc_{name}" for name in monoocc),
        *(f"occle_{name}" for name in occle),
    ]
    steps = "training_cost", "training_step", "training_step_paper"
    assert sorted(marks) == [*measured, "quality", "soak", "synergy", *steps, "voxelizer"]


def test_steps_take_turns_and_the_first_turn_is_left_out():
    order = []
    times = medians({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 3, "turns")
    assert order == ["a", "b"] * 4
    assert times["a"]["count"] == times["b"]["count"] == 3


def test_markdown():
    assert markdown(["what", "ms"], [["fast", 1]]) == "| what | ms |\n| --- | ---: |\n| fast | 1 |"


def test_the_machine_has_a_name_for_a_file():
    assert re.fullmatch(r"[a-z0-9.-]+-\d+-cores", machine_name())
