from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressrun.data.checks import MISSING, OPERATORS, describe, parse_check
from stressrun.data.errors import ExpressionError

VARIABLES = {"cart": 7, "name": "a.b", "tags": ["x"], "price": Decimal("9.90"), "none": None}


def values(
    texts: st.SearchStrategy[str], floats: st.SearchStrategy[float]
) -> st.SearchStrategy[object]:
    return st.recursive(
        st.none() | st.booleans() | st.integers() | floats | texts,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
        max_leaves=8,
    )


JSON = values(
    st.text(st.characters(codec="utf-8", exclude_characters="$")),
    st.floats(allow_nan=False, allow_infinity=False),
)
# Infinity and halves of surrogate pairs, which JSON does not have, among the values.
ANY = values(st.text(st.characters(exclude_characters="$")), st.floats(allow_nan=False))


def holds(operator: str, value: object, found: object) -> bool:
    return parse_check(operator, value).compile(1, "a")(found, 3, VARIABLES)


@pytest.mark.parametrize(
    ("operator", "value", "found", "wanted"),
    [
        ("equals", "ok", "ok", True),
        ("equals", "ok", "OK", False),
        ("equals", 5, 5.0, True),
        ("equals", 5, "5", True),
        ("equals", "5", 5, False),
        ("equals", 1, True, False),
        ("equals", True, 1, False),
        ("equals", True, True, True),
        ("equals", False, "false", False),
        ("equals", None, None, True),
        ("equals", [1, {"a": None}], [1, {"a": None}], True),
        ("equals", [1], [True], False),
        ("equals", ["1"], ["1", "2"], False),
        ("equals", {"a": 1}, {"a": 1, "b": 2}, False),
        ("equals", {"cart": "${cart}"}, {"cart": 7}, True),
        ("equals", "${cart}", 7, True),
        ("equals", "cart ${cart}", "cart 7", True),
        ("equals", "${price}", 9.9, True),
        ("equals", "${none}", None, True),
        ("equals", "${tags}", ["x"], True),
        ("not", 5, 6, True),
        ("not", 5, "5", False),
        ("not", None, None, False),
        ("not", "${cart}", 7, False),
        ("contains", "ok", "it is ok", True),
        ("contains", 5, "a 5", True),
        ("contains", "a", {"a": 1}, True),
        ("contains", 1, {"1": 1}, True),
        ("contains", 1, [2, 1], True),
        ("contains", 1, [True], False),
        ("contains", {"a": 1}, [{"a": 1}], True),
        ("contains", "${cart}", [7], True),
        ("contains", 1, 11, False),
        ("contains", "a", None, False),
        ("matches", "^[0-9]+$", "123", True),
        ("matches", "b", "abc", True),
        ("matches", "[0-9]", 5, False),
        ("matches", "^${name}!$", "a.b!", True),
        ("matches", "^${name}!$", "axb!", False),
        ("at_least", 5, 5, True),
        ("at_least", 5, 4.9, False),
        ("at_least", 5, "12", True),
        ("at_least", 5, "many", False),
        ("at_least", 0, True, False),
        ("at_least", "${cart}", 8, True),
        ("at_most", 5, 5, True),
        ("at_most", 5, 6, False),
        ("at_most", 5, None, False),
        ("exists", True, None, True),
        ("exists", False, None, False),
        ("length", 3, "abc", True),
        ("length", 2, [1, 2], True),
        ("length", 0, {}, True),
        ("length", 1, 1, False),
        ("length", "${cart}", "1234567", True),
    ],
)
def test_a_check_holds_or_not(operator: str, value: object, found: object, wanted: bool) -> None:
    assert holds(operator, value, found) is wanted


@pytest.mark.parametrize("operator", OPERATORS)
def test_of_what_is_missing_nothing_holds_but_that_it_is(operator: str) -> None:
    value: object = {"exists": True, "matches": "", "contains": "nothing"}.get(operator, 0)
    assert not holds(operator, value, MISSING)
    assert holds("exists", False, MISSING)


@given(JSON)
def test_every_value_equals_itself_after_a_way_through_json(value: object) -> None:
    assert parse_check("equals", value).compile(1, "a")(json.loads(json.dumps(value)), 0, {})


@given(st.sampled_from(OPERATORS), ANY, ANY)
def test_any_check_is_told_or_answers(operator: str, value: object, found: object) -> None:
    try:
        check = parse_check(operator, value)
    except ExpressionError as error:
        told = error.hint
    else:
        told = describe(check)
        assert check.compile(1, "a")(found, 0, {}) in (True, False)
    assert told


@pytest.mark.parametrize(
    ("operator", "value", "offset", "told"),
    [
        ("matches", "a(b", 1, "no regular expression"),
        ("matches", "${cart}(", 0, "no regular expression"),
        ("matches", 5, 0, "no regular expression"),
        ("at_least", "many", 0, "at_least cannot be 'many'"),
        ("at_most", None, 0, "at_most cannot be null"),
        ("at_most", True, 0, "at_most cannot be true"),
        ("at_most", "1${cart}", 0, "at_most cannot be"),
        ("exists", 3, 0, "exists cannot be 3"),
        ("length", "abc", 0, "length cannot be 'abc'"),
        ("length", -1, 0, "length cannot be -1"),
        ("length", 1.5, 0, "length cannot be 1.5"),
        ("contain", "a", 0, "no check is named 'contain'"),
        ("equals", "${", 0, "not closed"),
    ],
)
def test_nonsense_is_told_where_it_stands(
    operator: str, value: object, offset: int, told: str
) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_check(operator, value)
    assert told in caught.value.message
    assert caught.value.offset == offset
    assert caught.value.hint


def test_a_pattern_with_a_reference_is_judged_around_it() -> None:
    assert parse_check("matches", "^${services.api.url}/[0-9]+$")


@pytest.mark.parametrize(
    ("operator", "value", "told"),
    [
        ("contains", "ok", "contains 'ok'"),
        ("equals", 5, "equals 5"),
        ("not", None, "not null"),
        ("at_most", 100, "at most 100"),
        ("at_least", "${cart}", "at least '${cart}'"),
        ("exists", True, "exists"),
        ("exists", False, "does not exist"),
        ("length", 3, "length 3"),
        ("equals", {"a": ["${cart}", 1]}, 'equals {"a":["${cart}",1]}'),
        ("equals", "x" * 100, f"equals '{'x' * 56}..."),
    ],
)
def test_a_check_is_told_in_words(operator: str, value: object, told: str) -> None:
    assert describe(parse_check(operator, value)) == told
