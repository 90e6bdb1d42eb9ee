from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressrun.data.conditions import parse_condition
from stressrun.data.errors import ExpressionError

VARIABLES = {
    "status": "paid",
    "total": 9.5,
    "count": "12",
    "more": True,
    "none": None,
    "tags": ["a", 5],
    "cart": {"id": 1},
    "empty": "",
    "login.token": "t",
    "words": "two words",
}


def holds(text: str) -> bool:
    return parse_condition(text).compile(1, "a")(3, VARIABLES)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("${status} == paid", True),
        ("${status} == 'paid'", True),
        ("${status}==paid", True),
        ("  ${status}   !=  open ", True),
        ("${words} == 'two words'", True),
        ("'${status} now' == \"paid now\"", True),
        ("a-${status} == a-paid", True),
        ("${total} > 9", True),
        ("${total} <= 9.50", True),
        ("${total} >= 10", False),
        ("${count} < 100", True),
        ("${count} == 12.0", True),
        ("5 < 10", True),
        ("5 < 1a", False),
        ("b > a", True),
        ("${more} == true", True),
        ("${none} == null", True),
        ("${status} contains ai", True),
        ("${tags} contains 5", True),
        ("${tags} contains b", False),
        ("${cart} contains id", True),
        ("'contains' contains 'con'", True),
        ("${choice('a == b')} == 'a == b'", True),
        ("${integer(5, 5)} == 5", True),
        ("${login.token} == t", True),
        ("'' == ''", True),
        ("${more}", True),
        ("${none}", False),
        ("${empty}", False),
        ("${tags}", True),
        ("${status}", True),
        ("true", True),
        ("false", False),
        ("null", False),
        ("0", False),
        ("0.0", False),
        ("''", False),
        ("7", True),
    ],
)
def test_a_condition_holds_or_not(text: str, wanted: bool) -> None:
    assert holds(text) is wanted


def test_a_condition_knows_where_its_variables_stand() -> None:
    condition = parse_condition("'${cart} x' == ${login.token}")
    assert condition.variables == (("cart", 3), ("login.token", 17))
    assert parse_condition("${more}").variables == (("more", 2),)


@pytest.mark.parametrize(
    ("text", "offset", "told"),
    [
        ("", 0, "expected a value, not the end"),
        ("== 5", 0, "expected a value, not '== 5'"),
        ("${a} ==", 7, "expected a value, not the end"),
        ("${a} contains", 13, "expected a value, not the end"),
        ("${a} = 5", 5, "expected one of ==, !=, <, <=, >, >=, contains, not '= 5'"),
        ("${a} is 5", 5, "expected one of"),
        ("${a} == 5 and ${b}", 10, "expected the end of the condition"),
        ("${a} == two words", 12, "expected the end of the condition"),
        ("${a} == ${intger(1, 2)}", 10, "unknown name 'intger'"),
        ("'x ${a' == 1", 3, "not closed"),
        ("'open == 1", 0, "expected a value"),
    ],
)
def test_a_mistake_is_told_where_it_stands(text: str, offset: int, told: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_condition(text)
    assert told in caught.value.message
    assert caught.value.offset == offset
    assert caught.value.hint


@given(st.text("ab$ {}'\"=<>!().,5contains"))
def test_any_text_is_a_condition_or_an_expression_error(text: str) -> None:
    try:
        variables = parse_condition(text).variables
    except ExpressionError as error:
        variables = (("", error.offset),)
    for name, offset in variables:
        assert 0 <= offset <= len(text)
        assert text[offset:].startswith(name)


@given(st.integers(), st.integers())
def test_numbers_compare_as_numbers(left: int, right: int) -> None:
    for sign, wanted in (("<", left < right), ("==", left == right), (">=", left >= right)):
        assert parse_condition(f"{left} {sign} {right}").compile(1, "a")(0, {}) is wanted
