from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressrun.data.expressions import (
    ExpressionError,
    compile_json,
    compile_text,
    parse,
    parse_json,
)

VARIABLES: Mapping[str, object] = {"cart": 7, "name": 'a "b"\n', "tags": [1, {"x": None}], "on": True}


def text(source: str, index: int = 3) -> str:
    return compile_text(parse(source), 1, "a")(index, VARIABLES)


def body(value: object, index: int = 3) -> object:
    return json.loads(compile_json(parse_json(value), 1, "a")(index, VARIABLES))


@pytest.mark.parametrize(
    ("source", "rendered"),
    [
        ("", ""),
        ("/products", "/products"),
        ("100 %s %% {} $", "100 %s %% {} $"),
        ("$${cart}", "${cart}"),
        ("$$${cart}", "$${cart}"),
        ("select $$ from $x$", "select $$ from $x$"),
        ("${cart}", "7"),
        ("${ cart }%", "7%"),
        ("/carts/${cart}/checkout", "/carts/7/checkout"),
        ("${cart}${on}${tags}", '7true[1,{"x":null}]'),
        ("${integer(5, 5)}", "5"),
        ("a${integer(5,5)}", "a5"),
        ("a${integer( 5 , 5 )}b", "a5b"),
        ("${integer(5, 5)}b", "5b"),
        ("${integer(1_000, 1_000)}", "1000"),
        ("${integer(-3, -3)} ${cart} ${decimal(2, 2)}", "-3 7 2.00"),
        ("${decimal(0.125, 0.125)}", "0.125"),
        ("${choice('a, }b')}", "a, }b"),
        ('${choice("it\\'s")}'.replace("\\\\", ""), "it\\'s".replace("\\\\", "")),
        ("${choice(dark-blue)}", "dark-blue"),
        ("${choice(true)}", "true"),
        ("${choice('')}", ""),
    ],
)
def test_a_text_is_rendered(source: str, rendered: str) -> None:
    assert text(source) == rendered
