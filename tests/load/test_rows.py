from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stressrun.data.composites import with_values
from stressrun.data.conditions import parse_condition
from stressrun.data.errors import FeederError
from stressrun.data.expressions import parse, parse_json, variables_of
from stressrun.data.feeders import Exhausted
from stressrun.data.generators import parse_generator
from stressrun.load.pacing import Segment
from stressrun.load.rows import RowSources, columns_used, needs_keys
from stressrun.scenario.build import scenario_from
from stressrun.scenario.model import (
    BearerAuth,
    Column,
    CsvFile,
    Endpoint,
    Feeder,
    Group,
    JsonBody,
    JsonLinesFile,
    Login,
    Query,
    Request,
    Scenario,
    Seed,
    Table,
)


@pytest.fixture
def bare() -> Scenario:
    return scenario_from({"version": 1, "name": "rows", "stages": []})


def using(*names: str) -> tuple[Endpoint, ...]:
    path = "/" + "/".join(f"${{{name}}}" for name in names)
    return (Endpoint("e", 1, (Request("e", "GET", parse(path)),)),)


def products(rows: int = 1000, **columns: dict[str, object]) -> Seed:
    generators = {name: parse_generator(spec) for name, spec in columns.items()}
    built = tuple(Column(name, one, one.sql_type) for name, one in generators.items())
    return Seed(Table("shop.products", "id", built, ()), rows)


def with_(scenario: Scenario, **parts: Any) -> Scenario:
    return replace(scenario, **parts)


PLAIN = [{"name": "e", "request": "GET /"}]


def fed(**parts: Any) -> Scenario:
    """A scenario as it is loaded, with a feeder of people."""
    document = {
        "version": 1,
        "name": "rows",
        "base_url": "http://127.0.0.1",
        "database": "postgresql://app@127.0.0.1/app",
        "feeders": {"people": {"sql": "select email from people"}},
        "stages": [],
        **parts,
    }
    return scenario_from(document)


def drawn(sources: RowSources, *names: str, index: int = 0) -> dict[str, object]:
    variables: dict[str, object] = {}
    for source in sources.feeding(names):
        source.draw(index, variables)
    return variables


def test_variables_are_found_wherever_an_expression_may_stand(bare: Scenario) -> None:
    request = Request(
        "r",
        "POST",
        parse("/${a}"),
        query=(("q", parse("${b.c}")),),
        auth=BearerAuth(parse("${login.token}")),
        body=JsonBody(parse_json({"x": ["${d}"]})),
    )
    group = Group((request,), 1, parse_condition("${e} == ${f}"))
    assert set(variables_of(Endpoint("e", 1, (group,)))) == {*"adef", "b.c", "login.token"}


def test_a_column_belongs_to_what_stands_before_its_last_dot(bare: Scenario) -> None:
    login = Login(using("users.name", "users.password")[0].steps, per_vu=True, refresh=None)
    scenario = with_(bare, endpoints=using("shop.products.sku", "users.name"), login=login)
    assert columns_used(scenario, "users") == ("name", "password")
    assert columns_used(scenario, "shop.products") == ("sku",)
    assert columns_used(scenario, "shop") == ()


VALUE = "a ${people.email}"
PLACES: dict[str, dict[str, Any]] = {
    "path": {"request": "GET /${people.email}"},
    "query": {"query": {"q": ["1", VALUE]}},
    "header": {"headers": {"X-A": VALUE}},
    "json": {"json": [{"a": ["b", {"c": VALUE}]}]},
    "form": {"form": {"a": VALUE}},
    "multipart": {"multipart": {"a": "1", "b": VALUE}},
    "body": {"body": VALUE},
    "basic auth": {"auth": {"basic": {"user": "a", "password": VALUE}}},
    "bearer auth": {"auth": {"bearer": VALUE}},
    "API key": {"auth": {"api_key": {"query": "key", "value": VALUE}}},
    "expected header": {"expect": {"headers": {"X-A": VALUE}}},
    "expected JSON": {"expect": {"json": {"$.a": {"not": [1, VALUE]}}}},
    "expected text": {"expect": {"body": {"matches": VALUE}}},
    "condition": {"when": "${people.email} != a"},
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_column_is_found_wherever_a_step_may_name_it(place: dict[str, Any]) -> None:
    step = {"request": "POST /", **place}
    endpoints = [{"name": "e", "steps": [{"steps": [step], "repeat": 2}]}]
    assert columns_used(fed(endpoints=endpoints), "people") == ("email",)
    login = {"steps": [step]}
    assert columns_used(fed(endpoints=PLAIN, login=login), "people") == ("email",)


@pytest.mark.parametrize(
    "http",
    [
        {"headers": {"X-A": VALUE}},
        {"auth": {"basic": {"user": VALUE, "password": "a"}}},
        {"auth": {"bearer": VALUE}},
        {"auth": {"api_key": {"header": "X-Key", "value": VALUE}}},
    ],
)
def test_a_column_is_found_in_what_all_requests_have(http: dict[str, Any]) -> None:
    assert columns_used(fed(endpoints=PLAIN, http=http), "people") == ("email",)
    own = [{"name": "e", "request": "GET /", "auth": "none", "headers": {"x-a": "1"}}]
    assert columns_used(fed(endpoints=own, http=http), "people") == ()


def test_a_table_named_like_the_login_gives_no_rows(bare: Scenario) -> None:
    assert columns_used(with_(bare, endpoints=using("login.token")), "login") == ()


@pytest.mark.parametrize("order", ["sequential", "random", "unique"])
def test_a_feeder_gives_the_columns_that_are_used(
    bare: Scenario, tmp_path: Path, order: str
) -> None:
    (tmp_path / "rows.csv").write_text("a,b,c\n1,2,3\n")
    (tmp_path / "rows.jsonl").write_text(json.dumps({"a": 1, "b": [2], "c": "3"}))
    for source, wanted in (
        (CsvFile(str(tmp_path / "rows.csv")), {"f.a": "1", "f.c": "3"}),
        (JsonLinesFile(str(tmp_path / "rows.jsonl")), {"f.a": 1, "f.c": "3"}),
        (Query("select a, c from t"), {"f.a": 1, "f.c": None}),
    ):
        feeder = Feeder("f", source, order)
        scenario = with_(bare, feeders=(feeder,), endpoints=using("f.c", "f.a"))
        sources = RowSources(scenario, Segment(0, 1), {"f": [[1, None]]})
        assert drawn(sources, "f.a") == wanted
        assert drawn(sources, "other", "g.a") == {}


def test_what_no_request_uses_is_not_read(bare: Scenario) -> None:
    feeder = Feeder("f", CsvFile("/nowhere"), "random")
    assert drawn(RowSources(with_(bare, feeders=(feeder,)), Segment(0, 1), {}), "f.a") == {}
    scenario = with_(bare, feeders=(feeder,), endpoints=using("f.a"))
    with pytest.raises(FeederError, match="/nowhere"):
        RowSources(scenario, Segment(0, 1), {})


def test_a_unique_row_goes_to_one_endpoint_of_one_worker(bare: Scenario) -> None:
    scenario = with_(
        bare,
        feeders=(Feeder("f", Query(""), "unique"),),
        endpoints=using("f.a") + using("f.b"),
    )
    handed = {"f": [[number, -number] for number in range(7)]}
    used = []
    for worker in range(3):
        sources = RowSources(scenario, Segment(worker, 3), handed)
        for number in range(Segment(worker, 3).share(7)):
            used.append(drawn(sources, ("f.a", "f.b")[number % 2])["f.a"])
        with pytest.raises(Exhausted, match="no row left in f"):
            drawn(sources, "f.b")
    assert sorted(map(str, used)) == [*map(str, range(7))]


def test_a_seeded_row_has_the_values_that_seeding_wrote(bare: Scenario) -> None:
    seed = products(sku={"serial": "S{}"}, price={"decimal": [1, 500]})
    names = ("shop.products.id", "shop.products.sku", "shop.products.price")
    scenario = with_(bare, seeding=(seed,), endpoints=using(*names))
    assert needs_keys(scenario, seed)
    handed = {"shop.products": [[10, 20, 1], [500, -490, -1]]}
    keys = [*range(10, 20), *range(500, -490, -1)]
    price = seed.table.columns[1].generator.compile(1, "shop.products.price")
    one, another = (RowSources(scenario, Segment(worker, 2), handed) for worker in range(2))
    numbers = set()
    for index in range(300):
        row = drawn(one, names[1], index=index)
        assert row == drawn(another, names[0], index=index)
        number = int(str(row[names[1]])[1:]) - 1
        assert row == {names[0]: keys[number], names[1]: f"S{number + 1}", names[2]: price(number)}
        numbers.add(number)
    assert len(numbers) > 200


def test_a_seeded_reference_has_the_value_that_seeding_wrote(bare: Scenario) -> None:
    seed = products(owner={"reference": "people.id"}, data={"json": {"n": {"integer": [1, 9]}}})
    names = ("shop.products.owner", "shop.products.data")
    scenario = with_(bare, seeding=(seed,), endpoints=using(*names))
    keys = [*range(500, 600)]
    sources = RowSources(scenario, Segment(0, 1), {"people.id": keys})
    owner, data = (column.generator for column in seed.table.columns)
    owners = with_values(owner, {"people.id": keys}).compile(1, "shop.products.owner")
    documents = data.compile(1, "shop.products.data")
    rows = {(owners(number), repr(documents(number))) for number in range(seed.rows)}
    for index in range(200):
        row = drawn(sources, *names, index=index)
        assert (row[names[0]], repr(row[names[1]])) in rows


def test_a_key_that_is_generated_need_not_be_asked_for(bare: Scenario) -> None:
    seed = products(id={"uuid": True}, sku={"serial": 1})
    scenario = with_(bare, seeding=(seed,), endpoints=using("shop.products.id"))
    assert not needs_keys(scenario, seed)
    sources = RowSources(scenario, Segment(0, 1), {})
    assert len(str(drawn(sources, "shop.products.id")["shop.products.id"])) == 36
    other = products(sku={"serial": 1})
    assert not needs_keys(with_(bare, endpoints=using("shop.products.sku")), other)
