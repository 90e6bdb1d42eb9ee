"""The `seeding:` of a scenario: what it becomes, and the mistakes in it, each where it stands."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
from marked import assert_told

from stressrun.data.composites import Document, Nullable, RowReference
from stressrun.data.expressions import parse, parse_json
from stressrun.data.kinds import Constant, Hex
from stressrun.scenario.build import scenario_from
from stressrun.scenario.load import Loaded, load
from stressrun.scenario.model import (
    BasicAuth,
    CommandSeeding,
    Expect,
    JsonBody,
    Request,
    RequestSeeding,
    Scenario,
    Seed,
    SqlSeeding,
)

HEAD = """version: 1
name: seeds
base_url: http://127.0.0.1:8000
database: postgresql://a@127.0.0.1/a
"""
LOAD = """endpoints: [{name: e, request: GET /}]
stages: [{name: peak, duration: 1s, endpoints: {vus: 1}}]
"""


def loaded(folder: Path, source: str, *sets: str, head: str = HEAD, over: str = "") -> Loaded:
    path = folder / "scenario.yaml"
    path.write_text(head + source + LOAD)
    return load(path, sets=sets, environ={"WITHIN": "90s", "CODE": "007"}, environment=over or None)


def order_of(scenario: Scenario) -> list[str]:
    return [
        step.table.name if isinstance(step, Seed) else type(step).__name__
        for step in scenario.seeding
    ]


def test_steps_are_what_they_say(tmp_path: Path) -> None:
    (tmp_path / "schema.sql").write_text("create table t (\n  n int\n); -- $${kept}, ${run.id}")
    source = """http: {auth: {bearer: "${login.token}"}, headers: {X-A: a, X-B: "${people.name}"}}
feeders: {people: {sql: "select name from people"}}
login: {request: POST /session, capture: {token: $.token}}
seeding:
  - sql: "insert into t values ('${run.id}', '$${x}')"
  - sql_file: schema.sql
  - command: "alembic upgrade 'the head'"
    env: {CODE: "${CODE}", N: 5}
    cwd: app
    within: ${WITHIN}
  - {command: [make, seed]}
  - request: POST /reset/${integer(1, 9)}
    json: {full: true}
    query: {a: 1}
    timeout: 2s
    auth: {basic: {user: a, password: b}}
    expect: {status: 204}
"""
    one = loaded(tmp_path, source)
    document, scenario = one.resolve({"run.id": "run-7"})
    folder = str(tmp_path)
    assert scenario.seeding == (
        SqlSeeding("insert into t values ('run-7', '${x}')", None),
        SqlSeeding("create table t (\n  n int\n); -- ${kept}, run-7", f"{folder}/schema.sql"),
        CommandSeeding(
            ("alembic", "upgrade", "the head"), {"CODE": "007", "N": "5"}, f"{folder}/app", 90.0
        ),
        CommandSeeding(("make", "seed"), {}, ".", 60.0),
        RequestSeeding(
            Request(
                "POST /reset/${integer(1, 9)}",
                "POST",
                parse("/reset/${integer(1, 9)}"),
                query=(("a", parse("1")),),
                headers=(("X-A", parse("a")),),
                auth=BasicAuth(parse("a"), parse("b")),
                body=JsonBody(parse_json({"full": True})),
                expect=Expect((204,)),
                timeout=2.0,
            )
        ),
    )
    assert scenario_from(document) == scenario


def test_a_worker_in_another_folder_finds_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (tmp_path / "schema.sql").write_text("select 1")
    (tmp_path / "reset.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    source = """seeding:
  - {sql_file: schema.sql}
  - {command: make, cwd: .}
  - {request: POST /reset, body_file: reset.json}
"""
    document, scenario = loaded(Path(), source).resolve({"run.id": "r"})
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert scenario_from(document) == scenario


def test_generators_of_columns(tmp_path: Path) -> None:
    source = """seeding:
  - {table: customers, rows: 5, key: code, columns: {code: {serial: "C{}"}}}
  - table: orders
    rows: 5
    columns:
      customer: {reference: customers.code, null_share: 5%, type: varchar(9)}
      other: {reference: customers.code}
      data: {json: {by: "${run.id} $${x}", customer: {reference: customers.code}, n: [1, null]}}
      mark: {constant: "$${x}"}
      text: {hex: 5B, null_share: 0%}
"""
    _, scenario = loaded(tmp_path, source).resolve({"run.id": "run-7"})
    orders = scenario.seeding[1]
    assert isinstance(orders, Seed)
    code = RowReference("customers", "code")
    assert [column.generator for column in orders.table.columns] == [
        Nullable(code, 0.05),
        code,
        Document({"by": "run-7 ${x}", "customer": code, "n": (1, None)}),
        Constant("${x}"),
        Nullable(Hex(5), 0.0),
    ]
    types = [column.type for column in orders.table.columns]
    assert types == ["varchar(9)", None, "jsonb", "text", "text"]


TABLES = """seeding:
  - table: lines
    rows: 5
    columns: {order: {reference: orders.id}, sku: {reference: products.sku}}
  - {table: orders, rows: 5, columns: {data: {json: [{customer: {reference: customers.id}}]}}}
  - {sql: select 1}
  - {table: late, rows: 5, columns: {order: {reference: orders.id}, note: {reference: notes.id}}}
writes:
  - {name: notes, table: notes, rows: 5, columns: {line: {reference: lines.id}}, mix: {insert: 1}}
"""


def test_tables_come_after_those_they_refer_to_and_steps_stay_where_they_are(
    tmp_path: Path,
) -> None:
    before = """  - {table: customers, rows: 5, columns: {name: {hex: 5B}}}
  - {table: products, rows: 5, key: sku, columns: {sku: {serial: 1}}}
  - {sql: select 1}
"""
    source = TABLES.replace("  - {sql: select 1}\n", before)
    stages = LOAD.replace("endpoints: {vus: 1}", "endpoints: {vus: 1}, writes: {workers: 1}")
    path = tmp_path / "scenario.yaml"
    path.write_text(HEAD + source + stages)
    scenario = load(path, environ={}).scenario
    assert order_of(scenario) == [
        *("customers", "products", "orders", "lines", "SqlSeeding", "notes", "late")
    ]
    assert scenario.writes[0].seed is scenario.seeding[5]


@pytest.mark.parametrize(
    ("services", "seeding", "url"),
    [
        ("{db: {postgres: embedded}}", "{command: make}", "${services.db.url}"),
        ("{db: {postgres: embedded}}", "{sql: select 1}", "${services.db.url}"),
        ("{a: {postgres: embedded}, b: {postgres: embedded}}", "{command: make}", None),
        ("{}", "{command: make}", None),
    ],
)
def test_a_command_is_told_the_database_where_there_is_one(
    tmp_path: Path, services: str, seeding: str, url: str | None
) -> None:
    head = f"version: 1\nname: seeds\nbase_url: http://127.0.0.1\nservices: {services}\n"
    scenario = loaded(tmp_path, f"seeding: [{seeding}]\n", head=head).scenario
    assert scenario.database_url == url


def test_overlays_and_assignments_change_steps(tmp_path: Path) -> None:
    source = """seeding:
  - {command: make, within: 5s}
  - {table: t, rows: 5, columns: {a: {hex: 5B}}}
  - {request: POST /a, json: {a: 1}}
environments:
  other:
    seeding:
      "0": {sql: select 1}
      t: {columns: {a: {json: {b: 1}}}}
      "2": {body: text, expect: {status: 201}}
"""
    one = loaded(tmp_path, source, "seeding.t.columns.a={uuid: true}", over="other").document
    assert one["seeding"] == [
        {"sql": "select 1"},
        {"table": "t", "rows": 5, "columns": {"a": {"uuid": True}}},
        {"request": "POST /a", "body": "text", "expect": {"status": 201}},
    ]


class Told(NamedTuple):
    """The steps of a seeding with `☞` where the mistake is, and what is said of it."""

    source: str
    message: str
    hint: str = ""
    more: int = 0


def columns(source: str) -> str:
    """A table of these columns behind one that can be referred to."""
    return (
        "  - {table: customers, rows: 5, columns: {name: {hex: 5B}}}\n"
        f"  - {{table: orders, rows: 5, columns: {{{source}}}}}\n"
    )


MISTAKES = {
    "no kind of step": Told(
        "  - ☞{comand: make}\n", "expected one of the keys table", "did you mean 'command'?"
    ),
    "two kinds of steps": Told(
        "  - {sql: select 1, ☞command: make}\n", "'command' cannot stand beside 'sql'"
    ),
    "option of another step": Told("  - {sql: select 1, ☞within: 5s}\n", "unknown key 'within'"),
    "sql with an expression": Told(
        '  - {sql: "select ☞${uuid}"}\n', "not known before the load", "only ${services.…}"
    ),
    "unknown reference in sql": Told(
        '  - {sql: "select ${☞services.dbb.url}"}\n', "no 'services.dbb.url' to refer to"
    ),
    "sql with a NUL": Told('  - {sql: ☞"select \\0"}\n', "a NUL character"),
    "missing file": Told("  - {sql_file: ☞none.sql}\n", "cannot be read: No such file"),
    "file with an expression": Told(
        "  - {sql_file: ☞bad.sql}\n", "bad.sql:2: this ${…} is not known before the load", more=1
    ),
    "file with an unknown reference": Told(
        "  - {sql_file: ☞bad.sql}\n", "bad.sql:3: no 'services.dbb.url' to refer to", more=1
    ),
    "file that is not UTF-8": Told("  - {sql_file: ☞latin.sql}\n", "latin.sql:2: not UTF-8"),
    "file with a NUL": Told("  - {sql_file: ☞nul.sql}\n", "nul.sql:2: a NUL character"),
    "command that is not closed": Told("  - {command: ☞make 'a}\n", "no closing quotation"),
    "no time for a command": Told(
        "  - {command: make, within: ☞0s}\n", "expected a duration above 0"
    ),
    "unknown method": Told("  - {request: ☞PSOT /a}\n", "no method 'PSOT'", "did you mean 'POST'"),
    "rows in a request": Told(
        '  - {request: "GET /${☞customers.name}"}\n', "not there yet while the data is seeded"
    ),
    "login in a request": Told(
        '  - {request: GET /, headers: {X-A: "${☞login.token}"}}\n',
        "'login.token' is not there yet",
    ),
    "capture in a request": Told(
        "  - {request: GET /, ☞capture: {a: $.b}}\n",
        "nothing needs what is captured here",
        "name it in undo",
    ),
    "undo of nothing in particular": Told(
        "  - {request: POST /, undo: ☞DELETE /all}\n",
        "this undoes the same thing each time",
        "capture what the answer calls it",
    ),
    "undo of what is not captured": Told(
        '  - {request: POST /, capture: {a: $.b}, undo: "DELETE /${☞b}"}\n',
        "'b' is neither captured by an earlier step nor a generator",
    ),
    "undo without a method": Told(
        '  - {request: POST /, capture: {a: $.b}, undo: ☞"/${a}"}\n',
        "expected a method and a path",
    ),
    "reference to an unknown table": Told(
        columns("c: {reference: ☞custmers.id}"),
        "the scenario seeds no table 'custmers'",
        "did you mean 'customers'?",
    ),
    "reference to a table far from any": Told(
        columns("c: {reference: ☞x.id}"), "seeds no table 'x'", "the seeded tables are customers"
    ),
    "reference to an unknown column": Told(
        columns("c: {reference: ☞customers.nmae}"),
        "customers has no column 'nmae'",
        "did you mean 'name'?",
    ),
    "reference without a column": Told(
        columns("c: {reference: ☞customers}"), "expected a column of a seeded table"
    ),
    "reference within JSON": Told(
        columns("c: ☞{json: {a: {reference: customers.nmae}}}"), "no column 'nmae'"
    ),
    "reference to no rows": Told(
        columns("c: {reference: ☞customers.id}").replace("rows: 5", "rows: 0", 1),
        "customers has no rows to refer to",
        "such as rows: 100",
    ),
    "reference to itself": Told(
        columns("c: {reference: ☞orders.id}"), "in a circle: orders → orders", "leave one reference"
    ),
    "circle": Told(
        columns("c: {reference: customers.id}").replace("{hex: 5B}", "{reference: ☞orders.id}"),
        "in a circle: customers → orders → customers",
    ),
    "reference to a later table": Told(
        "  - {table: a, rows: 5, columns: {b: {reference: ☞b.id}}}\n"
        "  - {sql: select 1}\n"
        "  - {table: b, rows: 5, columns: {c: {hex: 5B}}}\n",
        "b is seeded later than a",
        "move b before the steps that stand between",
    ),
    "reference to a table with a mistake": Told(
        "  - {table: a, rows: 5, columns: {b: {reference: b.id}}}\n"
        "  - {table: b, rows: 5, columns: {c: {hex: ☞5}}}\n",
        "5 has no unit",
    ),
    "null key": Told(
        "  - {table: a, key: b, rows: 5, columns: {b: {uuid: true, ☞null_share: 5%}}}\n",
        "b is the table's key, which cannot be null",
    ),
    "no share": Told(columns("c: {uuid: true, null_share: ☞5}"), "expected a share such as 1%"),
    "more than all": Told(columns("c: {uuid: true, null_share: ☞101%}"), "'101%' is no share"),
    "two generators": Told(
        columns("c: {json: {}, ☞reference: customers.id}"), "'reference' cannot stand beside 'json'"
    ),
    "wrong generator within JSON": Told(
        columns("c: {json: {a: [{integer: ☞[2, 1]}]}}"),
        "2 is above 1",
        "write the lower bound first",
    ),
    "unknown option within JSON": Told(
        columns("c: {json: {a: {integer: [1, 2], plces: ☞1}}}"),
        "unknown option 'plces'",
        "an object with the field integer is written {json: {integer: …}}",
    ),
    "expression within JSON": Told(
        columns('c: {json: {a: "☞${uuid}"}}'), "this ${…} is not known before the load"
    ),
    "JSON that is no object": Told(
        columns("c: {json: ☞text}"), "expected an object or a list with generators in it"
    ),
}


@pytest.mark.parametrize("case", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_where_it_stands(case: Told, tmp_path: Path) -> None:
    (tmp_path / "bad.sql").write_text("select 1;\nselect ${uuid};\nselect '${services.dbb.url}'")
    (tmp_path / "latin.sql").write_bytes(b"select 1;\nselect '\xe9'")
    (tmp_path / "nul.sql").write_bytes(b"select 1;\nselect '\0'")
    assert_told(
        tmp_path, f"{HEAD}seeding:\n{case.source}{LOAD}", case.message, case.hint, case.more
    )


@pytest.mark.parametrize(
    ("step", "message"),
    [("request: GET /", "requests need a base_url"), ("sql: select 1", "this needs a database")],
)
def test_a_step_needs_somewhere_to_go(tmp_path: Path, step: str, message: str) -> None:
    head = f"version: 1\nname: seeds\nseeding:\n  - ☞{{{step}}}\n"
    assert_told(tmp_path, f"{head}stages: [{{name: peak, duration: 1s}}]\n", message, more=1)
