"""What is shown of a long text, cut before and after the masking of its secrets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressrun.metrics.excerpt import excerpt, on_one_line, shortened


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("a" * 10, "a" * 10),
        ("a" * 11, "a" * 10 + "… (1 more characters)"),
        ("a" * 2_010, "a" * 10 + "… (2,000 more characters)"),
        ("a" * 2_011, "a" * 10 + "… (2,001 more characters)"),
        ("a" * 12_345, "a" * 10 + "… (12,335 more characters)"),
        ("so it ends… (, more characters)", "so it ends… (21 more characters)"),
    ],
)
def test_the_beginning_is_shown_and_the_rest_is_counted(text: str, shown: str) -> None:
    assert shortened("".join(excerpt(text, 10)), 10) == shown


@given(st.integers(0, 20), st.sampled_from([1, 8, 250, 2_000]), st.integers(0, 20))
def test_no_part_of_a_secret_is_shown_wherever_a_cut_goes(
    before: int, length: int, after: int
) -> None:
    """It is repeated up to about the cut; the mask makes the text much shorter."""
    secret = "x" * (length - 1) + "!"
    text = "." * before + secret * (2_000 // length) + "." * after + secret + "." * 3_000
    masked = "".join(excerpt(text, 10)).replace(secret, "***")
    assert set(shortened(masked, 10).partition("…")[0]) <= {".", "*"}


def test_a_line_is_cut_between_words() -> None:
    text = "psql\n  postgresql://app:secret@127.0.0.1/app -f seed.sql"
    assert on_one_line(text, 100) == "psql postgresql://app:secret@127.0.0.1/app -f seed.sql"
    cut = [on_one_line(text, most) for most in range(1, 54)]
    assert {*cut} == {
        "...",
        "psql ...",
        "psql postgresql://app:secret@127.0.0.1/app ...",
        "psql postgresql://app:secret@127.0.0.1/app -f ...",
    }
