"""Mistakes in what a scenario says of invariants, each where it stands."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
from marked import assert_told

HEAD = """version: 1
name: shop
base_url: http://127.0.0.1:8000
database: postgresql://a@127.0.0.1/a
login: {request: POST /session, capture: {token: $.token}}
endpoints:
  - {name: home, request: GET /}
  - {name: buy, steps: [{request: POST /carts}, {request: POST /pay}]}
writes:
  - {name: audit, table: t, rows: 5, columns: {sku: {hex: 8B}}, mix: {insert: 1}}
stages:
  - {name: peak, duration: 1s, endpoints: {vus: 1}, writes: {workers: 1}}
invariants:
"""


DATABASE = "database: postgresql://a@127.0.0.1/a"


class Told(NamedTuple):
    """An invariant with `☞` where the mistake is, and what is said of it."""

    source: str
    message: str
    hint: str = ""


MISTAKES = {
    "nothing expected": Told("☞{sql: select 1}", "'expect' is missing"),
    "no question": Told("☞{expect: 0}", "expected one of the keys sql or request"),
    "two questions": Told("{sql: select 1, ☞request: GET /, expect: 0}", "'request'"),
    "an unknown key": Told("{sql: select 1, ☞expects: 0, expect: 0}", "unknown key 'expects'"),
    "an unknown check": Told("{sql: select 1, expect: {☞at_leest: 1}}", "'at_leest'", "at_least"),
    "a check of no number": Told(
        "{sql: select 1, expect: {at_least: ☞many}}",
        "expected a number, or an expression such as ${total}, not 'many'",
    ),
    "a variable": Told('{sql: "select ☞${cart}", expect: 0}', "is not known before the load"),
    "a variable expected": Told(
        '{sql: select 1, expect: "${☞cart}"}', "'cart' is no variable", "ask for it"
    ),
    "an unknown stage": Told(
        "{sql: select 1, expect: 0, after: ☞peek}", "no stage 'peek'", "did you mean 'peak'?"
    ),
    "an unknown stage in a list": Told(
        "{sql: select 1, expect: 0, after: [peak, ☞end]}", "no stage 'end'", "the stages are peak"
    ),
    "counting nothing": Told(
        "{sql: select 1, expect: {succeeded: ☞home}}",
        "expected endpoint NAME or write NAME.OPERATION, not 'home'",
    ),
    "counting an unknown endpoint": Told(
        "{sql: select 1, expect: {succeeded: ☞endpoint hoem}}",
        "no endpoint 'hoem'",
        "did you mean 'home'?",
    ),
    "counting several steps": Told(
        "{sql: select 1, expect: {succeeded: ☞endpoint buy}}",
        "buy has several steps: which of them is counted?",
        "write endpoint buy: POST /pay",
    ),
    "counting an unknown step": Told(
        '{sql: select 1, expect: {succeeded: ☞"endpoint buy: POST /cart"}}',
        "no step of buy 'POST /cart'",
        "did you mean 'POST /carts'?",
    ),
    "counting steps of a request": Told(
        '{sql: select 1, expect: {succeeded: ☞"endpoint home: GET /"}}',
        "home has no steps",
        "write endpoint home",
    ),
    "counting an unknown mix": Told(
        "{sql: select 1, expect: {succeeded: ☞write audits.insert}}",
        "no write mix 'audits'",
        "did you mean 'audit'?",
    ),
    "counting all operations": Told(
        "{sql: select 1, expect: {succeeded: ☞write audit}}",
        "expected write audit.OPERATION",
        "the operation is insert, update",
    ),
    "an unknown method": Told("{request: ☞GETT /, expect: 200}", "no method 'GETT'"),
    "a broken path": Told('{request: GET /, value: "$.a☞[", expect: 0}', "JSON path"),
    "no path": Told("{request: GET /, value: ☞orders, expect: 0}", "expected"),
    "a row": Told('{request: "GET /${☞products.id}", expect: 0}', "is there for the load only"),
}


@pytest.mark.parametrize("told", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_an_invariant_is_told_where_it_stands(told: Told, tmp_path: Path) -> None:
    assert_told(tmp_path, f"{HEAD}  - {told.source}\n", told.message, told.hint)


@pytest.mark.parametrize(
    ("head", "source", "missing"),
    [
        ("base_url: http://127.0.0.1:8000", "☞{sql: select 1, expect: 0}", "needs a database"),
        (DATABASE, "☞{request: GET /, expect: 200}", "requests need a base_url"),
        (DATABASE, "{sql: select 1, ☞expect: {request: GET /}}", "requests need a base_url"),
    ],
)
def test_a_question_needs_somebody_to_be_asked(
    head: str, source: str, missing: str, tmp_path: Path
) -> None:
    if head == DATABASE:
        load = "writes: [{name: w, operations: {one: {sql: select 1}}, mix: {one: 1}}]"
        stage = "{name: peak, duration: 1s, writes: {workers: 1}}"
    else:
        load = "endpoints: [{name: e, request: GET /}]"
        stage = "{name: peak, duration: 1s, endpoints: {vus: 1}}"
    marked = f"version: 1\nname: s\n{head}\n{load}\nstages: [{stage}]\ninvariants:\n  - {source}\n"
    assert_told(tmp_path, marked, missing)
