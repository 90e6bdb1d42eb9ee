from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressrun.data.expressions import ExpressionError
from stressrun.data.jsonpath import parse_path

DOCUMENT = {
    "id": 7,
    "items": [{"id": "a"}, {"id": "b"}],
    "item id": None,
    "0": "name",
    "it's": 1,
    "größe": 2,
}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("$", DOCUMENT),
        ("$.id", 7),
        ("$.items[0].id", "a"),
        ("$.items[-1].id", "b"),
        ("$['items'][1]['id']", "b"),
        ("$['item id']", None),
        ("$['0']", "name"),
        ('$["it\'s"]', 1),
        ("$.größe", 2),
        ("$..id", 7),
        ("$.items[*].id", "a"),
        ("$.items[1:].id", "b"),
        ("$.items[?(@.id == 'b')].id", "b"),
        ("$.items[?(@.id =~ '^b')].id", "b"),
        ("$.items.`len`", 2),
    ],
)
def test_a_path_finds_its_value(source: str, found: object) -> None:
    path = parse_path(source)
    assert path.source == source
    assert path.find(DOCUMENT) == found


@pytest.mark.parametrize(
    "source",
    [
        "$.none",
        "$.items[2]",
        "$.items[-3]",
        "$.items.id",
        "$[0]",
        "$.id.id",
        "$.items[0].id[0]",
        "$..none",
        "$.none[*]",
        "$.items[?(@.id == 'c')]",
        "$.items[?(@.id =~ '(')]",
    ],
)
def test_what_is_absent_is_a_lookup_error(source: str) -> None:
    with pytest.raises(LookupError):
        parse_path(source).find(DOCUMENT)


@pytest.mark.parametrize(
    ("source", "offset"),
    [
        ("", 0),
        ("id", 0),
        ("$.items[0", 7),
        ("$.items[?(", 7),
        ("$.a b", 4),
        ("$.a[*].b c", 9),
        ("$.a[*].ö", 7),
        ("$.a.`sub(/(/, x)`", 3),
    ],
)
def test_what_is_no_path_is_told_where(source: str, offset: int) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_path(source)
    assert caught.value.offset == offset
    assert "$.items[0].id" in caught.value.hint


@given(st.text("$.[]'\"ab0-9* "))
def test_any_text_is_a_path_or_an_expression_error(source: str) -> None:
    try:
        path = parse_path(source)
    except ExpressionError as error:
        offset = error.offset
    else:
        offset = 0
        assert path.source == source
    assert 0 <= offset <= len(source)


@given(st.lists(st.text(st.characters(exclude_characters="'")) | st.integers(0, 9), max_size=4))
def test_names_and_positions_lead_through_a_document(steps: list[str | int]) -> None:
    document: object = "here"
    for step in reversed(steps):
        document = {step: document} if isinstance(step, str) else [None] * step + [document]
    source = "$" + "".join(f"['{one}']" if isinstance(one, str) else f"[{one}]" for one in steps)
    assert parse_path(source).find(document) == "here"


def test_plain_paths_need_no_library() -> None:
    program = (
        "import sys; from stressrun.data.jsonpath import parse_path; parse_path('$.a[0]');"
        "assert 'jsonpath_ng' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_paths_are_equal_by_their_source() -> None:
    assert parse_path("$.a") == parse_path("$.a")
    assert parse_path("$..a") != parse_path("$.a")
