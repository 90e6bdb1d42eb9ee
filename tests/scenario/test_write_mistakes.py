"""Mistakes in what a scenario says of write mixes, each where it stands."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
from marked import assert_told

from stressrun.scenario.load import load as load_scenario

HEAD = (
    "version: 1\nname: shop\nbase_url: http://127.0.0.1:1\ndatabase: postgresql://a@127.0.0.1/a\n"
)
STAGES = "stages:\n  - {name: peak, duration: 1s, writes: {workers: 1}}\n"
COLUMNS = "columns: {a: {hex: 8B}, n: {serial: 1}}"
ROWS = f"table: t, rows: 5, {COLUMNS}"
OWN = "mix: {own: 1}, operations: {own: {sql: select 1}}"


class Told(NamedTuple):
    """A scenario's parts with `☞` where the mistake is, and what is said of it."""

    source: str
    message: str
    hint: str = ""
    more: int = 0


def mix(rest: str) -> str:
    """The parts of a scenario with one write mix."""
    return f"writes:\n  - {{name: w, {rest}}}\n"


def sql(statement: str, rest: str = ROWS) -> str:
    """The parts of a scenario with an operation of its own."""
    return f"writes:\n  - {{name: w, {rest}, mix: {{own: 1}}, operations: {{own: {statement}}}}}\n"


def judged(threshold: str) -> str:
    return mix(
        f"{ROWS}, mix: {{insert: 1, own: 1, update: 0}}, operations: {{own: {{sql: x}}}}"
    ) + (f"thresholds:\n  - {threshold}\n")


def load(source: str) -> str:
    return mix(OWN) + f"stages:\n  - {{name: peak, duration: 1s, writes: {source}}}\n"


MIXES = {
    "no mix": Told("writes:\n  - ☞{name: w}\n", "'mix' is missing in a write mix", "such as mix:"),
    "mix of nothing": Told(mix("mix: ☞{}"), "expected weights such as", "", 0),
    "weights that are all 0": Told(
        mix(f"{ROWS}, mix: ☞{{insert: 0, own: 0}}, operations: {{own: {{sql: x}}}}"),
        "a mix without a weight above 0",
        "such as {insert: 70",
    ),
    "weight below 0": Told(mix(f"{ROWS}, mix: {{insert: ☞-1}}"), "expected a weight, 0 or above"),
    "weight in words": Told(mix(f"{ROWS}, mix: {{insert: ☞much}}"), "a weight, 0 or above, not"),
    "unknown operation": Told(
        mix(f"{ROWS}, mix: {{☞isnert: 1}}"), "no operation 'isnert'", "did you mean 'insert'?"
    ),
    "unknown operation like no other": Told(
        mix(f"{ROWS}, mix: {{☞zzz: 1}}"), "no operation 'zzz'", "the operations are insert, update"
    ),
    "unknown operation like one's own": Told(
        mix("mix: {own: 1, ☞onw: 1}, operations: {own: {sql: select 1}}"),
        "no operation 'onw'",
        "did you mean 'own'?",
    ),
    "name of an operation with a dot": Told(
        mix(f"{ROWS}, mix: {{☞a.b: 1}}"), "expected a name: a letter, then letters"
    ),
    "unknown key": Told(mix(f"{OWN}, ☞pipline: 2"), "unknown key 'pipline'", "mean 'pipeline'?"),
    "unknown key like no other": Told(
        mix(f"{OWN}, ☞unknown: 2"), "unknown key 'unknown'", "the keys here are name, table, rows"
    ),
    "unknown choice of keys": Told(
        mix(f"{ROWS}, mix: {{insert: 1}}, keys: ☞zipf"), "expected uniform, zipfian, latest or"
    ),
    "unknown protocol": Told(
        mix(f"{OWN}, protocol: ☞prepard"), "prepared, extended or simple", "mean 'prepared'?"
    ),
    "unknown isolation": Told(
        mix(f"{OWN}, isolation: ☞serialisable"), "or serializable, not", "mean 'serializable'?"
    ),
    "retries below 0": Told(mix(f"{OWN}, retries: ☞-1"), "expected a whole number from 0 to 100"),
    "pipeline of nothing": Told(mix(f"{OWN}, pipeline: ☞0"), "a whole number from 1 to 1,000"),
    "batch of nothing": Told(mix(f"{OWN}, batch: ☞0"), "expected a whole number from 1 to 10,000"),
}

TABLES = {
    "operation of a table without one": Told(
        mix("mix: {insert: ☞1}"), "insert needs a table", "give the write mix a table"
    ),
    "settings of a table without one": Told(
        mix(f"{OWN}, ☞keys: zipfian"), "keys needs a table", "give the write mix a table"
    ),
    "table without columns": Told(
        mix("table: ☞t, mix: {insert: 1}"), "a table needs columns", "such as columns:"
    ),
    "updates without rows": Told(
        mix(f"table: t, {COLUMNS}, mix: {{insert: 1, update: ☞1}}"),
        "update needs rows that are there before the load",
        "such as rows: 5000",
    ),
    "deletes and selects without rows": Told(
        mix(f"table: t, {COLUMNS}, mix: {{delete: ☞1, select: 1}}"), "delete needs rows", more=1
    ),
    "update without a column to set": Told(
        mix("table: t, rows: 5, columns: {n: {serial: 1}}, mix: {update: ☞1}"),
        "update has no column to set",
        "give the table another column",
    ),
    "update of an unknown column": Told(
        mix(f"{ROWS}, mix: {{update: 1}}, update: [a, ☞m]"), "no column 'm'", "columns are a, n"
    ),
    "update of the key": Told(
        mix(f"{ROWS}, key: n, mix: {{update: 1}}, update: [☞n, a]"),
        "n is the table's key, which an update does not set",
    ),
}

OPERATIONS = {
    "neither sql nor a transaction": Told(
        sql("☞{}"), "expected one of the keys sql or transaction"
    ),
    "both sql and a transaction": Told(
        sql("{sql: a, ☞transaction: [a]}"), "'transaction' cannot stand beside 'sql'"
    ),
    "misspelt": Told(sql("☞{slq: a}"), "one of the keys sql or transaction", "mean 'sql'?"),
    "only a text": Told(sql("☞select 1"), "expected {sql: …} or {transaction: […]}"),
    "empty statement": Told(sql("{sql: ☞''}"), "expected one SQL statement, not ''"),
    "empty transaction": Told(sql("{transaction: ☞[]}"), "a list of SQL statements, and at least"),
    "operation without a weight": Told(
        mix("mix: {own: 1}, operations: {own: {sql: a}, ☞two: {sql: b}}"),
        "the mix gives two no weight",
        "such as mix: {two: 10}",
    ),
    "name that is taken": Told(
        mix(f"{ROWS}, mix: {{copy: 1}}, operations: {{☞copy: {{sql: a}}}}"),
        "copy is an operation already",
        "give this one another name",
    ),
    "unknown variable": Told(
        sql('{sql: "select ${☞kye}"}'), "'kye' is no variable and no generator", "mean 'key'?"
    ),
    "key of a mix without rows": Told(
        sql('{sql: "select ${☞key}"}', f"table: t, {COLUMNS}"),
        "'key' is no variable and no generator",
        "a mix with rows has ${key}",
    ),
    "unknown function": Told(
        sql('{sql: "select ${☞intger(1, 2)}"}'), "unknown name 'intger'", "mean 'integer'?"
    ),
    "unknown column": Told(sql('{sql: "select ${t.☞b}"}'), "t has no column 'b'", "of t are id"),
    "column that the mix changes": Told(
        sql('{sql: "select ${☞t.a}"}', f"{ROWS}, update: [a]").replace(
            "{own: 1}", "{own: 1, update: 1}"
        ),
        "t.a is changed by the updates of w",
        "by a feeder",
    ),
    "unknown source": Told(
        sql('{sql: "select ${☞u.b}"}'), "no feeder, and no table with rows, 'u'"
    ),
    "in the second statement": Told(
        sql('{transaction: [select 1, "select ${☞kye}"]}'), "'kye' is no variable"
    ),
}

CLOSED = (
    "select '${uuid}'",
    "select 'it''s ${uuid}'",
    "select E'\\' ${uuid}'",
    'select "${uuid}"',
    "do $$ begin perform ${uuid}; end $$",
    "do $body$ $$ ${uuid} $body$",
    "select 1 -- ${uuid}",
    "select 1 /* it's\n ${uuid} */",
)
OPEN = (
    "select 'a' || ${uuid} || 'b'",
    "select '''' || ${uuid}",
    "select E'\\\\' || ${uuid}",
    'select ${uuid} as "it\'s"',
    "select 1 -- it's\n + ${integer(1, 2)}",
    "select /* it's */ ${uuid}",
    "select $$it's$$ || ${uuid}",
    "select a$b, ${uuid}, c$d from t",
)
PIPELINES = {
    "pipeline with the simple protocol": Told(
        mix(f"{OWN}, protocol: simple, pipeline: ☞2"), "the simple protocol has no pipeline"
    ),
    "pipeline with a transaction": Told(
        mix("mix: {own: 1}, operations: {own: {transaction: [a]}}, pipeline: ☞2"),
        "own cannot be sent in a pipeline",
        "give it a write mix of its own",
    ),
    "pipeline with copy": Told(
        mix(f"{ROWS}, mix: {{insert: 1, copy: 1}}, pipeline: ☞2"), "copy cannot be sent in a"
    ),
}

THRESHOLDS = {
    "unknown operation": Told(
        judged("write w.☞onw p95 < 5ms"), "expected an operation, not 'onw'", "mean 'own'?"
    ),
    "operation without a weight": Told(
        judged("☞write w.update p95 < 5ms"),
        "the mix of w has no update, so nothing could be judged",
        "mix: {update: 10}",
    ),
    "metric of another kind": Told(
        judged("write w.own errors < ☞5ms"), "'errors' is compared with a share"
    ),
}

LOADS = {
    "rate beside workers": Told(
        load("{☞rate: 5/s, workers: 2}"), "'rate' cannot stand beside 'workers'"
    ),
    "max_workers with workers": Told(
        load("{workers: 2, ☞max_workers: 2}"), "unknown key 'max_workers'"
    ),
    "load of nothing": Told(load("{workers: ☞0}"), "a load of 0 is none"),
    "too many workers": Told(
        load("{rate: 5/s, max_workers: ☞1001}"), "expected a whole number from 1 to 1,000"
    ),
    "load on no mix": Told(
        "endpoints: [{name: e, request: GET /}]\nstages:\n"
        "  - {name: p, duration: 1s, endpoints: {vus: 1}, writes: ☞{workers: 1}}\n",
        "the scenario has no write mixes to put load on",
    ),
}

FEEDERS = {
    "unique rows for endpoints and writes": Told(
        "feeders:\n  f: {sql: select 1, order: ☞unique}\n"
        'endpoints: [{name: e, request: "GET /${f.a}"}]\n' + sql('{sql: "select ${f.b}"}'),
        "endpoints and writes would each use the unique rows of f",
        "give the writes a feeder of their own",
    ),
}

EVERY = MIXES | TABLES | OPERATIONS | PIPELINES | LOADS | FEEDERS


def told(folder: Path, case: Told) -> None:
    content = HEAD + case.source + ("" if "stages:" in case.source else STAGES)
    assert_told(folder, content, case.message, case.hint, case.more)


@pytest.mark.parametrize("case", EVERY.values(), ids=EVERY)
def test_a_mistake_is_told_where_it_stands(case: Told, tmp_path: Path) -> None:
    told(tmp_path, case)


@pytest.mark.parametrize("case", THRESHOLDS.values(), ids=THRESHOLDS)
def test_a_threshold_names_an_operation_that_is_there(case: Told, tmp_path: Path) -> None:
    told(tmp_path, case)


def statement(text: str) -> str:
    """The parts of a scenario with a statement as a block, in which YAML escapes nothing."""
    lines = "".join(f"          {line}\n" for line in text.split("\n"))
    return (
        f"writes:\n  - name: w\n    mix: {{own: 1}}\n    operations:\n      own:\n"
        f"        sql: ☞|\n{lines}"
    )


@pytest.mark.parametrize("text", CLOSED)
def test_a_parameter_between_quotes_or_in_a_comment_is_a_mistake(text: str, tmp_path: Path) -> None:
    case = Told(
        statement(text), "a parameter cannot stand between quotes or in a comment", "write it"
    )
    told(tmp_path, case)


@pytest.mark.parametrize("text", OPEN)
def test_a_parameter_beside_quotes_and_comments_is_right(text: str, tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text(HEAD + statement(text).replace("☞", "") + STAGES)
    assert load_scenario(path, environ={}).scenario.writes[0].named[0].name == "own"


@pytest.mark.parametrize("text", ["☞begin", "☞START TRANSACTION", "/* so */ ☞Commit and chain"])
def test_transactions_are_not_begun_and_ended_by_hand(text: str, tmp_path: Path) -> None:
    word = text.partition("☞")[2].split()[0].lower()
    source = sql(f"{{transaction: [select 1, {text}]}}")
    told(tmp_path, Told(source, f"{word} is sent by stressrun itself", "transaction: [update"))


def test_a_word_of_sql_is_found_after_comments(tmp_path: Path) -> None:
    source = statement("-- the end\n\n/* at\n last */ rollback")
    told(tmp_path, Told(source, "rollback is sent by stressrun itself"))


def test_a_copy_has_an_operation_of_its_own(tmp_path: Path) -> None:
    source = sql("{sql: ☞copy t to stdout}")
    told(tmp_path, Told(source, "copy is no statement", "mix: {copy: 1}"))
