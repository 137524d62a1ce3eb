import pytest

from occ_core.errors import InputError
from occ_core.yaml_text import MAX_DEPTH, dump_yaml, parse_yaml, shown

BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40)) + "name: *a39\n"


def test_plain_values_are_read_as_they_were_written():
    content = {"text": "a: b", "numbers": [1, 2.5, -3], "none": None, "nested": {"yes": True}, "lines": "a\nb"}
    assert parse_yaml(dump_yaml(content)) == content


def test_a_value_that_stands_twice_is_written_twice():
    shared = [1, 2]
    text = dump_yaml({"a": shared, "b": shared})
    assert "&" not in text and parse_yaml(text) == {"a": [1, 2], "b": [1, 2]}


@pytest.mark.parametrize(
    ("text", "reason"),
    {
        "aliases that double": (BOMB, "anchors and aliases are not used here"),
        "one that holds itself": ("T_cam_lidar: &a [*a, *a]", "anchors and aliases"),
        "an alias alone": ("a: *b", "anchors and aliases"),
        "a tag": ("a: !!python/object:os.system {}", "tags are not used"),
        "a number by tag": ('a: !!int "9"', "tags are not used"),
        "too deep": ("[" * (MAX_DEPTH + 1), "nested deeper"),
        "far too deep": ("[" * 100_000, "nested deeper"),
        "deep mappings": ("{a: " * 100_000, "nested deeper"),
        "a key twice": ("a: 1\nb: 2\na: 3\n", "'a' stands here twice"),
        "no such day": ("a: 2024-13-45", "month must be in 1..12"),
        "no such zone": ("a: 2024-01-01T00:00:00+99:99", "not valid YAML"),
        "a long number": (f"a: {'9' * 100_000}", "a value of 100000 characters"),
        "a number of base 60": (f"a: 1{':59' * 100_000}", "a value of 300001 characters"),
        "a list as a key": ("[1]: 2", "not valid YAML"),
        "an open quote": ("a: 'b", "not valid YAML"),
        "two documents": ("a: 1\n---\nb: 2\n", "not valid YAML"),
        "a control character": ("a: \0", "not valid YAML"),
    }.values(),
)
def test_refusals_are_one_short_line(text, reason):
    with pytest.raises(InputError, match=reason) as caught:
        parse_yaml(text)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_values_in_errors_are_cut():
    assert shown([1, "a"]) == "[1, 'a']"
    assert len(shown(["x" * 1000] * 1000)) < 150
