from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressrun.data.expressions import ExpressionError, parse
from stressrun.data.references import Reference, find_references, substitute

VALUES = {
    "services.api.url": "http://127.0.0.1:8000",
    "run.id": "r1",
    "services.my-db.port": "5432",
}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("${services.api.url}", [Reference("services.api.url", 2)]),
        (
            "x ${ run.id }/${services.my-db.port}",
            [Reference("run.id", 5), Reference("services.my-db.port", 16)],
        ),
        ("$${run.id}", []),
        ("$$${run.id}", []),
        ("${run.id", []),
        ("${cart} ${uuid}", []),
        ("${services.}", [Reference("services.", 2)]),
    ],
)
def test_references_are_found_where_they_stand(text: str, found: list[Reference]) -> None:
    assert find_references(text) == found


def test_references_are_replaced_everywhere_and_nothing_else_is() -> None:
    document = {
        "url": "${services.api.url}/${cart}",
        "list": [
            "${run.id}",
            "$${run.id}",
            "$$",
            5,
            None,
            True,
            {"port": "${ services.my-db.port }"},
        ],
    }
    assert substitute(document, VALUES) == {
        "url": "http://127.0.0.1:8000/${cart}",
        "list": ["r1", "$${run.id}", "$$", 5, None, True, {"port": "5432"}],
    }


def test_an_unknown_reference_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        substitute(["${services.none.url}"], VALUES)


TEXT = st.lists(st.sampled_from(["$", "{", "}", "$${", "${run.id}", "${a}", "x", " "])).map("".join)
JSON = st.recursive(
    TEXT | st.integers() | st.none() | st.booleans(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def shape(value: object) -> object:
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    return [shape(item) for item in value] if isinstance(value, list) else type(value)


@given(JSON)
def test_substitution_keeps_the_shape_and_the_escapes(document: object) -> None:
    replaced = substitute(document, VALUES)
    assert shape(replaced) == shape(document)
    assert str(replaced).count("$${") == str(document).count("$${")
    assert substitute(replaced, VALUES) == replaced


@given(TEXT)
def test_the_parser_and_the_substitution_see_the_same_references(text: str) -> None:
    try:
        template = parse(text)
    except ExpressionError:
        return
    assert [part for part in template.parts if isinstance(part, Reference)] == find_references(text)
