from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressrun.safety.escaping import visible, visible_line, within_margin

anything = st.text() | st.text("\x1b[31m\x07\r\n\t\x9b\u202e\u200b\ud800a ")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("\x9b31m", "\\x9b31m"),
        ("over\rwritten", "over\\rwritten"),
        ("\x07\x08\x7f", "\\x07\\x08\\x7f"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\u202ereversed", "\\u202ereversed"),
        ("\ud800", "\\ud800"),
        ("two\nlines\tand a\u00a0space", "two\nlines\tand a\u00a0space"),
        ("größer ≥ 😀", "größer ≥ 😀"),
    ],
)
def test_what_would_do_something_is_shown_by_its_code(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(anything)
def test_nothing_that_is_left_does_anything(text: str) -> None:
    shown = visible(text)
    assert all(c in "\n\t" or category(c)[0] != "C" for c in shown)
    assert visible(shown) == shown
    assert "\n" not in visible_line(text)


@given(anything)
def test_no_line_begins_at_the_margin(text: str) -> None:
    assert all(line.startswith("  ") for line in within_margin(visible(text)).split("\n"))
