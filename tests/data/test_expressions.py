from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressrun.data.expressions import (
    ExpressionError,
    compile_json,
    compile_text,
    compile_value,
    parse,
    parse_json,
)

VARIABLES: Mapping[str, object] = {
    "cart": 7,
    "name": 'a "b"\n\\',
    "tags": [1, {"x": None}],
    "on": True,
    "lone": "\ud800",
}


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
        ("%d/${cart}/checkout", "%d/7/checkout"),
        ("${cart}${on}${tags}", '7true[1,{"x":null}]'),
        ("${integer(5, 5)}", "5"),
        ("%${integer(5,5)}", "%5"),
        ("a${integer( 5 , 5 )}b", "a5b"),
        ("${integer(5, 5)}b", "5b"),
        ("${integer(1_000, 1_000)}", "1000"),
        ("${integer(-3, -3)} ${cart} ${decimal(2, 2)}", "-3 7 2.00"),
        ("${decimal(0.125, 0.125)}", "0.125"),
        ("${choice('a, }b')}", "a, }b"),
        ('${choice("it\'s")}', "it's"),
        ("${choice(dark-blue)}", "dark-blue"),
        ("${choice(true)}", "true"),
        ("${choice('')}", ""),
    ],
)
def test_a_text_is_rendered(source: str, rendered: str) -> None:
    assert text(source) == rendered


def test_generated_texts_have_their_form() -> None:
    assert len(text("${hex(16)}")) == 16
    assert len(text("${text(20)}")) == 20
    assert len(text("${uuid}")) == 36
    assert text("${faker.name}")
    now = text("${now}")
    assert now.endswith("Z")
    assert datetime.fromisoformat(now).utcoffset() == timedelta(0)


def test_escape_meets_the_values_and_not_the_text_around_them() -> None:
    for source, escaped in (
        ("/a b/${name}", "/a b/a%20%22b%22%0A%5C"),
        ("/a b/${choice('x/y')}?", "/a b/x%2Fy?"),
        ("/${choice('x/y')}/${name}", "/x%2Fy/a%20%22b%22%0A%5C"),
    ):
        render = compile_text(parse(source), 1, "a", escape=lambda value: quote(value, safe=""))
        assert render(0, VARIABLES) == escaped


def test_a_template_knows_its_variables_and_whether_it_is_constant() -> None:
    assert parse("/${cart}/${integer(1, 2)}/${ user }").variables == (("cart", 3), ("user", 29))
    assert parse("$${cart}").constant
    assert not parse("${uuid}").constant
    assert not parse("${run.id}").constant


def test_a_name_with_dots_is_a_variable_unless_it_has_a_meaning() -> None:
    template = parse("${customers.email} ${shop.products.first-name} ${faker.name}${run.id}")
    assert template.variables == (("customers.email", 2), ("shop.products.first-name", 21))
    render = compile_text(parse("<${customers.email}>"), 1, "a")
    assert render(0, {"customers.email": "a@x"}) == "<a@x>"


def test_parts_of_one_text_draw_independently() -> None:
    render = compile_text(parse("${integer(1, 1000)} ${integer(1, 1000)}"), 1, "a")
    pairs = [render(index, {}).split() for index in range(100)]
    assert any(first != second for first, second in pairs)


def test_a_reference_must_be_replaced_before_it_is_compiled() -> None:
    with pytest.raises(ExpressionError, match="has no value yet"):
        compile_text(parse("a ${run.id}"), 1, "a")


@pytest.mark.parametrize(
    ("source", "offset", "told"),
    [
        ("ab ${", 3, "$${"),
        ("ab ${cart", 3, "$${"),
        ("ab ${choice('a}", 12, 'not "\'"'),
        ("${}", 2, "a name"),
        ("${1}", 2, "a name"),
        ("${cart cart}", 7, "expected `}`"),
        ("${faker.nmae}", 2, "did you mean 'name'?"),
        ("${faker.name(3)}", 2, "takes no arguments"),
        ("${faker.profile}", 2, "gives dict"),
        ("x${intger(1,2)}", 3, "did you mean 'integer'?"),
        ("${fakr.name(3)}", 2, "did you mean 'faker'?"),
        ("${a-b}", 2, "a variable"),
        ("${a..b}", 2, "a variable"),
        ("${a.}", 2, "a variable"),
        ("${integer}", 2, "integer(1, 100)"),
        ("${integer()}", 2, "integer(1, 100)"),
        ("${integer(1)}", 2, "integer(1, 100)"),
        ("${integer(2, 1)}", 2, "2 is above 1"),
        ("${integer(1, 2}", 14, "`,` or `)`"),
        ("${integer(1,)}", 12, "a number, a word"),
        ("${integer(1, " + "9" * 5000 + ")}", 2, "integer(1, 100)"),
        ("${decimal(a, b)}", 2, "decimal(1, 9.99)"),
        ("${hex(0)}", 2, "hex(16)"),
        ("${hex(1.5)}", 2, "hex(16)"),
        ("${text(2000000)}", 2, "text(20)"),
        ("${uuid(1)}", 2, "write ${uuid}"),
        ("${choice()}", 2, "choice(red, blue)"),
    ],
)
def test_a_wrong_expression_is_told_where_it_stands(source: str, offset: int, told: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(source)
    assert caught.value.offset == offset
    assert told in f"{caught.value.message} {caught.value.hint}"


PIECES = st.sampled_from(
    [
        *"$}(),'\".-_% 1a\n\u0663",
        *("${", "$${", "9.5", "faker.name", "services.db.url", "run.id"),
        *("integer", "decimal", "choice", "hex", "text", "uuid", "now"),
    ]
)


@given(st.lists(PIECES).map("".join) | st.text())
def test_any_text_is_a_template_or_an_expression_error(source: str) -> None:
    try:
        template = parse(source)
    except ExpressionError as error:
        offset = error.offset
    else:
        offset = 0
        assert template.source == source
    assert 0 <= offset <= len(source)


@given(st.text())
def test_escaped_text_renders_as_itself(source: str) -> None:
    template = parse(source.replace("${", "$${"))
    assert template.constant
    assert compile_text(template, 1, "a")(0, {}) == source


@pytest.mark.parametrize(
    ("value", "rendered"),
    [
        ("${cart}", 7),
        ("${tags}", [1, {"x": None}]),
        ("${on}", True),
        ("${name}", 'a "b"\n\\'),
        ("no. ${cart}", "no. 7"),
        ('"${name}"\n${cart}', '"a "b"\n\\"\n7'),
        ("${integer(5, 5)}", 5),
        ("${decimal(0.5, 0.5)}", 0.5),
        ("${choice(null)}", None),
        ("${choice('5')}", "5"),
        ("$${cart} 100% é", "${cart} 100% é"),
        ("${lone}", "\ud800"),
        ({"%s": ["${cart}", "x", {"${cart}": 1.5}], "e": {}, "f": []}, None),
        ([None, True, False, -1, 1e30, "\x00"], None),
    ],
)
def test_a_json_body_keeps_the_types_of_its_values(value: object, rendered: object) -> None:
    if isinstance(value, dict):
        rendered = {"%s": [7, "x", {"${cart}": 1.5}], "e": {}, "f": []}
    elif isinstance(value, list):
        rendered = value
    assert body(value) == rendered


def test_a_json_body_is_compact_utf_8() -> None:
    render = compile_json(parse_json({"name": "é", "list": [1, "${cart}"]}), 1, "a")
    assert render(0, VARIABLES) == '{"name":"é","list":[1,7]}'.encode()


TEMPLATES = st.one_of(
    st.text(st.characters(exclude_characters="$")),
    st.sampled_from(
        ["${cart}", "${name}", "a ${name} %", "${tags}", "${on}/${cart}/${name}", "$${cart}"]
    ),
)
BODIES = st.recursive(
    TEMPLATES | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=15,
)


def naive(value: object) -> object:
    """The value with each text rendered by itself."""
    if isinstance(value, str):
        names = [name for name in VARIABLES if value == f"${{{name}}}"]
        return VARIABLES[names[0]] if names else text(value)
    if isinstance(value, dict):
        return {key: naive(item) for key, item in value.items()}
    return [naive(item) for item in value] if isinstance(value, list) else value


@given(BODIES)
def test_a_json_body_equals_its_naive_rendering(value: object) -> None:
    assert body(value) == naive(value)


def test_generated_values_in_a_json_body_change_with_the_index() -> None:
    value = {"id": "${uuid}", "customer": {"name": "${faker.name}", "no": "c-${integer(1, 9999)}"}}
    render = compile_json(parse_json(value), 1, "a")
    bodies = [render(index, {}) for index in range(50)]
    assert len(set(bodies)) == 50
    assert all(json.loads(one)["customer"].keys() == {"name", "no"} for one in bodies)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("${", ()),
        ({"a": [1, {"b": "${intger(1)}"}]}, ("a", 1, "b")),
        ({"a": float("nan")}, ("a",)),
        ([1e999], (0,)),
    ],
)
def test_a_mistake_in_a_json_body_has_the_path_to_it(value: object, path: tuple[object]) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_json(value)
    assert caught.value.path == path


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "text",
        "$${cart}",
        [1, 2.5, True, None],
        {"a": "${cart}", "b": ["${tags}", "x ${name}"], "c": {}},
        "${integer(1, 1000)} ${uuid}",
        "${decimal(1, 500)}",
        {"a": "${integer(1, 1000)}", "b": [["${hex(8)}"]]},
    ],
)
def test_a_value_is_what_its_json_reads_back_to(value: object) -> None:
    read = compile_value(parse_json(value), 1, "a")
    for index in range(20):
        assert read(index, VARIABLES) == body(value, index)


def test_a_value_of_a_time_is_text_and_of_a_decimal_a_number() -> None:
    variables = {"at": datetime(2024, 1, 31, 12, tzinfo=UTC), "price": Decimal("9.90")}
    json_value = parse_json({"at": "${at}", "price": "${price}"})
    read = compile_value(json_value, 1, "a")
    assert read(0, variables) == {"at": "2024-01-31T12:00:00Z", "price": 9.9}
    assert type(read(0, variables)["price"]) is float  # type: ignore[index]


def test_a_constant_value_is_the_same_object_each_time() -> None:
    assert parse_json({"a": ["b", 1]}).constant
    assert not parse_json({"a": ["${uuid}"]}).constant
    read = compile_value(parse_json({"a": ["b", 1]}), 1, "a")
    assert read(0, {}) is read(1, {})
