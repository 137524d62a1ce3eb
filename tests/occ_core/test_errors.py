"""Text from outside in errors and log lines."""

from hypothesis import given
from hypothesis import strategies as st

from occ_core.errors import one_line, quoted


def test_ordinary_text_stays_as_it_is():
    assert quoted("rgb8") == "'rgb8'"
    assert one_line("image: encoding 'hsv8' is not supported; ä") == "image: encoding 'hsv8' is not supported; ä"


def test_long_text_is_cut_and_its_length_named():
    assert quoted("a" * 1_000_000) == f"'{'a' * 80}'... (1000000 characters)"
    assert one_line("b" * 600) == "b" * 500 + "... (600 characters)"


def test_escape_codes_and_line_ends_are_shown_not_sent():
    assert quoted("\x1b[31mx\n[INFO] forged") == r"'\x1b[31mx\n[INFO] forged'"
    assert one_line("\x1b[31mx\r\n[INFO] forged\u202e") == r"\x1b[31mx\r\n[INFO] forged\u202e"


@given(st.text(st.characters(), max_size=1000))
def test_any_text_becomes_one_short_printable_line(text):
    for line in (quoted(text), one_line(text)):
        assert line.isprintable()
        assert len(line) <= 10 * 500 + 40
        line.encode()  # no lone surrogates
