from __future__ import annotations

import json

import pytest

from stressrun.data.composites import foreign_key, leaves, row_references, with_values
from stressrun.data.errors import GeneratorError
from stressrun.data.generators import parse_generator
from stressrun.data.kinds import Faker, Integer, Uuid
from stressrun.data.render import as_json

ORDER: dict[str, object] = {
    "json": {
        "id": {"uuid": True},
        "customer": {"reference": "customers.id"},
        "lines": [
            {
                "sku": {"reference": "products.sku", "null_share": "10%"},
                "price": {"decimal": [1, 9]},
            },
            "fixed",
            None,
        ],
        "made": {"timestamp": ["2024-01-01", "2024-01-02"]},
    },
    "null_share": "5%",
}


@pytest.mark.parametrize(
    ("share", "least", "most"), [("0%", 0, 0), ("5%", 420, 580), ("100%", 10_000, 10_000)]
)
def test_the_null_share_is_that_of_the_rows(share: str, least: int, most: int) -> None:
    read = parse_generator({"integer": [1, 9], "null_share": share}).compile(1, "t.c")
    values = [read(index) for index in range(10_000)]
    assert least <= values.count(None) <= most
    assert {*values} <= {None, *range(1, 10)}


def test_which_rows_are_null_does_not_depend_on_the_generator() -> None:
    one, other = (
        parse_generator({**spec, "null_share": "30%"}).compile(1, "t.c")
        for spec in ({"uuid": True}, {"faker": "name"})
    )
    assert [one(n) is None for n in range(500)] == [other(n) is None for n in range(500)]


def test_a_document_is_json_with_generated_leaves() -> None:
    generator = with_values(
        parse_generator(ORDER), {"customers.id": [7, 8], "products.sku": ["a", "b"]}
    )
    read = generator.compile(1, "orders.data")
    documents = [read(index) for index in range(300)]
    assert 0 < documents.count(None) < 40
    seen = set()
    for document in filter(None, documents):
        assert isinstance(document, dict)
        assert list(document) == ["id", "customer", "lines", "made"]
        assert json.loads(as_json(document)) == document
        line, fixed, nothing = document["lines"]
        assert document["customer"] in (7, 8)
        assert line["sku"] in ("a", "b", None)
        assert 1 <= line["price"] <= 9
        assert (fixed, nothing) == ("fixed", None)
        assert document["made"].startswith("2024-01-0")
        seen.add(document["id"])
    assert len(seen) == 300 - documents.count(None)


def test_a_mapping_is_a_generator_by_its_keys_and_an_object_by_json() -> None:
    plain = {"street": "Main", "number": 5}
    document = {"a": plain, "b": {"json": {"text": "hello", "uuid": True}}, "c": {"constant": "x"}}
    read = parse_generator({"json": document}).compile(1, "t.c")
    assert read(0) == {"a": plain, "b": {"text": "hello", "uuid": True}, "c": "x"}


@pytest.mark.parametrize(
    ("document", "path", "key", "told"),
    [
        ({"a": [{"integer": [2, 1]}]}, ("json", "a", 0), "integer", "lower bound first"),
        ({"a": {"text": "5B", "city": "x"}}, ("json", "a"), "city", "written {json: {text: …}}"),
        ({"a": {"decimal": [1, 2], "plces": 1}}, ("json", "a"), "plces", "mean 'places'?"),
        ({"a": {"json": {"b": {"hex": 5}}}}, ("json", "a", "json", "b"), "hex", "a size such as"),
        ({"a": float("nan")}, ("json", "a"), "", "write it as a text"),
    ],
)
def test_a_wrong_generator_within_a_document_is_told_where_it_is(
    document: dict[str, object], path: tuple[str | int, ...], key: str, told: str
) -> None:
    with pytest.raises(GeneratorError) as caught:
        parse_generator({"json": document})
    assert (caught.value.path, caught.value.key) == (path, key)
    assert told in f"{caught.value.message} {caught.value.hint}"


def test_a_reference_has_one_of_the_values_and_meets_all_of_them() -> None:
    generator = parse_generator({"reference": "customers.id"})
    assert generator.sql_type is None
    values = list(range(1000, 51_000))
    read = with_values(generator, {"customers.id": values}).compile_as(1, "orders.customer", str)
    again = with_values(generator, {"customers.id": values}).compile_as(1, "orders.customer", str)
    drawn = [read(index) for index in range(200_000)]
    assert drawn == [again(index) for index in range(200_000)]
    # Of values drawn with replacement, four for each place, e^-4 are missing.
    assert 0.97 < len({*drawn}) / len(values) < 0.99
    assert {*map(int, drawn)} <= {*values}


def test_what_a_generator_refers_to() -> None:
    order = parse_generator(ORDER)
    assert [reference.name for reference in row_references(order)] == [
        "customers.id",
        "products.sku",
    ]
    assert foreign_key(order) is None
    nullable = parse_generator({"reference": "customers.id", "null_share": "10%"})
    key = foreign_key(nullable)
    assert key is not None
    assert (key.table, key.column) == ("customers", "id")
    kinds = [
        type(leaf)
        for leaf in leaves(
            parse_generator(
                {
                    "json": [
                        {"a": {"uuid": True}},
                        {"integer": [1, 2]},
                        {"faker": "name", "null_share": "1%"},
                    ]
                }
            )
        )
    ]
    assert kinds == [Uuid, Integer, Faker]
