"""Every malformed scenario file gives located mistakes and exit code 2, never a traceback.

In a case `☞` marks where the mistake must point; it is taken out before the file is written.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from marked import MARK, assert_told, run

GOOD = (Path(__file__).parent / "checkout.yaml").read_text()


class Changed(NamedTuple):
    """The good scenario with one text put in another's place."""

    old: str
    new: str
    message: str
    hint: str = ""
    """What stands below the source line, in part."""
    more: int = 0
    """How many other mistakes follow from it."""


class Whole(NamedTuple):
    """A file of its own."""

    content: str
    message: str
    hint: str = ""
    more: int = 0


NO_UNIT = "expected a duration such as 250ms, 5s or 1m30s"
BROWSE = 'request: "GET /products/${integer(1, 10000)}"'

CHANGED = {
    # YAML that parses, and says what no scenario needs
    "duplicate key": Changed(
        "random_seed: 42",
        "random_seed: 42\n☞random_seed: 43",
        "duplicate key 'random_seed'",
        "it stands on line 6 already",
    ),
    "second document": Changed(
        "teardown:", "---\n☞teardown:", "a second document; a file holds one scenario"
    ),
    "alias": Changed(
        "description: The", "description: ☞*text #", "aliases are not supported", "write the value"
    ),
    "merge key": Changed(
        "  api:\n", "  api:\n    ☞<<: {port: 1}\n", "merge keys are not supported", "write the keys"
    ),
    "python tag": Changed(
        "random_seed: 42",
        "random_seed: ☞!!python/object/apply:os.system [42]",
        "the tag !!python/object/apply:os.system is not supported",
    ),
    "key that is a number": Changed(
        'PORT: "', '☞8000: "', "the key 8000 is not a string", 'quote it: "8000"'
    ),
    "key that is a list": Changed("  api:\n", "  ? ☞[a]\n  : {}\n  api:\n", "a key must be"),
    # broken YAML
    "unquoted reference": Changed(
        'DATABASE_URL: "${services.db.url}"',
        "DATABASE_URL: ☞${services.db.url}",
        "an unquoted ${…} cannot stand inside {…} or […]",
        'quote the value that holds it: "${services.db.url}"',
    ),
    "unquoted reference within a value": Changed(
        BROWSE,
        "request: GET /products/☞${integer(1, 10000)}",
        "an unquoted ${…} cannot stand inside {…} or […]",
        'quote the value that holds it: "GET /products/${integer(1, 10000)}"',
    ),
    "unquoted reference in a list": Changed(
        "[staging.example.com]",
        "[☞${HOST}]",
        "an unquoted ${…} cannot stand inside {…} or […]",
        'quote the value that holds it: "${HOST}"',
    ),
    "value that begins with @": Changed(
        "name: checkout\nd",
        "name: ☞@home\nd",
        "not valid YAML: found character that cannot start any token",
        "quote a value that begins with @",
    ),
    "colon within a value": Changed(
        "name: checkout\nd",
        "name: check☞: out\nd",
        "not valid YAML: mapping values are not allowed",
        "quote a value that holds a colon",
    ),
    "tab as indentation": Changed(
        "random_seed: 42",
        "http:\n☞\ttimeout: 5s",
        "not valid YAML: found character that cannot start any token",
        "indent with spaces",
    ),
    # keys
    "unknown key": Changed(
        "random_seed", "☞random_sed", "unknown key 'random_sed'", "did you mean 'random_seed'?"
    ),
    "unknown key in an endpoint": Changed(
        "weight: 6", "☞wieght: 6", "unknown key 'wieght'", "did you mean 'weight'?"
    ),
    "unknown key like no other": Changed(
        "get: /healthz", "☞zzz: /healthz", "unknown key 'zzz'", "the keys here are get, within"
    ),
    "missing key": Changed(
        "{name: ramp, duration: 20s,",
        "☞{name: ramp,",
        "'duration' is missing in a stage",
        "such as duration: 20s",
    ),
    "misspelt kind of service": Changed(
        "{postgres: embedded, s",
        "☞{postgress: embedded, s",
        "expected one of the keys postgres, command, mock or url",
        "did you mean 'postgres'?",
    ),
    "two kinds of load": Changed(
        "{vus: 20}", "{☞vus: 20, rate: 5/s}", "'vus' cannot stand beside 'rate'", "leave one"
    ),
    "no kind of load": Changed(
        "{vus: 20}", "☞{}", "expected one of the keys rate, vus, iterations or"
    ),
    "misspelt step": Changed(
        "{think: 5",
        "☞{thnk: 5",
        "expected one of the keys request, think or steps",
        "did you mean 'think'?",
    ),
    "two generators": Changed(
        "{faker: email,", "{faker: email, ☞hex: 1KB,", "'hex' cannot stand beside 'faker'", "leave"
    ),
    # types
    "duration without a unit": Changed(
        "duration: 5s", "duration: ☞5", "5 has no unit: write 5s or 5ms", NO_UNIT
    ),
    "quoted duration without a unit": Changed(
        "duration: 5s", "duration: ☞'5'", "5 has no unit: write 5s or 5ms", NO_UNIT
    ),
    "duration in words": Changed(
        "duration: 5s", "duration: ☞5 seconds", f"{NO_UNIT}, not '5 seconds'"
    ),
    "duration of nothing": Changed(
        "duration: 5s", "duration: ☞0s", "a stage lasts more than 0 seconds"
    ),
    "rate without a unit": Changed(
        "rate: 50/s", "rate: ☞50", "50 has no unit: write 50/s or 50/m", "expected a rate such as"
    ),
    "reference that is not closed": Changed(
        "- sql: ",
        "- sql: ☞${run.id #",
        "this ${…} is not closed, or there is a space in it",
    ),
    "expression in a constant": Changed(
        "name: {faker: catch_phrase}",
        'name: {constant: "☞${uuid}"}',
        "this ${…} is not known before the load",
    ),
    "header that follows from the body": Changed(
        BROWSE,
        f"{BROWSE}, headers: {{Content-Length: ☞5}}",
        "the header Content-Length follows from the body",
    ),
    "rate past all bounds": Changed(
        "rate: 50/s", f"rate: ☞{'9' * 400}/s", "a rate is at most 1,000,000/s"
    ),
    "duration past all bounds": Changed(
        "duration: 5s", f"duration: ☞{'9' * 400}s", "is longer than a year"
    ),
    "size without a unit": Changed(
        "hex: 1KB", "hex: ☞1000", "1000 has no unit: write 1000B or 1000KB", "expected a size"
    ),
    "yes for true": Changed(
        "warmup: true", "warmup: ☞yes", "expected true or false, not 'yes'", "write true"
    ),
    "word for a number": Changed(
        "10_000", "☞many", "expected a whole number from 0 to 100,000,000, not 'many'"
    ),
    "quoted number": Changed(
        "10_000", "☞'10000'", "expected a whole number from 0", "leave out the quotes: 10000"
    ),
    "number for a string": Changed(
        "description: The", "description: ☞5 #", "expected a string, not 5", 'quote it: "5"'
    ),
    "number below its range": Changed("10_000", "☞-1", "expected a whole number from 0 to"),
    "number past all bounds": Changed(
        "random_seed: 42", f"random_seed: ☞{'9' * 400}", "expected a whole number from 0 to"
    ),
    "mapping for a threshold": Changed(
        "- http errors < 1%",
        "- ☞{chek: http}",
        "'check' is missing",
        more=1,
    ),
    "number for a load": Changed(
        "{vus: 20}", "☞20", "expected a load such as {rate: 50/s} or {vus: 20}, not 20"
    ),
    "nothing for a list": Changed(
        "teardown:\n  - sql", "teardown:☞\nreport:\n  - sql", "expected a list of teardown", more=1
    ),
    "wrong version": Changed("version: 1", "version: ☞2", "expected 1, not 2"),
    "unknown environment": Changed(
        "environment: development",
        "environment: ☞stagign",
        "expected development, test, ci, staging or production, not 'stagign'",
        "did you mean 'staging'?",
    ),
    "name with a space": Changed(
        "name: browse", 'name: ☞"to browse"', "expected a name: a letter, then letters"
    ),
    "column that PostgreSQL cannot name so": Changed(
        "{sku:", "{☞'sku name':", "expected a PostgreSQL name: letters, digits and _"
    ),
    # variables
    "unset variable": Changed(
        "random_seed: 42",
        "random_seed: ☞${SEED}",
        "the variable SEED is not set",
        "give a default: ${SEED:-value}",
    ),
    "unset variable within a text": Changed(
        "python -m stressrun.demo.checkout", "python -m ☞${SHOP}", "the variable SHOP is not set"
    ),
    "unset variable with a message": Changed(
        "random_seed: 42",
        "random_seed: ☞${SEED:?name a seed}",
        "the variable SEED is not set: name a seed",
    ),
    "variable of the wrong type": Changed(
        "random_seed: 42",
        "random_seed: ☞${WORD}",
        "expected a whole number from 0 to 9,007,199,254,740,991, not 'lemon'",
        "it comes from ${WORD}",
    ),
    # services
    "unknown service": Changed(
        '"${services.db.url}", PORT',
        '"${☞services.dbb.url}", PORT',
        "no 'services.dbb.url' to refer to",
        "did you mean 'services.db.url'?",
    ),
    "unknown attribute of a service": Changed(
        "${services.api.port}",
        "${☞services.api.password}",
        "no 'services.api.password' to refer to",
    ),
    "unknown fact of the run": Changed(
        "'${run.id}'", "'${☞run.name}'", "no 'run.name' to refer to"
    ),
    "circle of services": Changed(
        "  api:\n",
        '  pay: {command: pay, env: {API: "${services.api.url}"}}\n'
        '  api:\n    cwd: "${☞services.pay.host}"\n',
        "the services need each other in a circle: api → pay → api",
    ),
    "command that is no shell words": Changed(
        "python -m stressrun.demo.checkout", "☞python 'm", "not shell words: no closing quotation"
    ),
    "name of a service in capitals": Changed(
        "  db: {", "  ☞DB: {", "expected a service's name: a small letter", more=2
    ),
    # URLs
    "base URL of another scheme": Changed(
        "${services.api.url}\n", "☞ftp://example.com\n", "not an http:// or https:// URL"
    ),
    "base URL with a port that is none": Changed(
        "${services.api.url}\n", "☞http://localhost:99999\n", "not a URL: Port out of range"
    ),
    "database for a base URL": Changed(
        "${services.api.url}\n", "☞${services.db.url}\n", "db is a PostgreSQL server, and endpoints"
    ),
    "API for a database": Changed(
        'url: "${services.db.url}"}', 'url: ☞"${services.api.url}"}', "api is not a PostgreSQL"
    ),
    "database that is no URL": Changed(
        'url: "${services.db.url}"}', "url: ☞staging}", "not a PostgreSQL URL", "service=staging"
    ),
    "service that is no PostgreSQL URL": Changed(
        "postgres: embedded", "postgres: ☞embeded", "expected `embedded`, a postgresql:// URL, or"
    ),
    "timeout that the server would take for none": Changed(
        'url: "${services.db.url}"}',
        'url: "${services.db.url}", lock_timeout: ☞500us}',
        "expected 0s for no timeout, or one from 1ms to 576h",
    ),
    "monitor that would be a load": Changed(
        'url: "${services.db.url}"}',
        'url: "${services.db.url}", monitor: {every: ☞1ms}}',
        "expected a duration from 10ms to 10s",
    ),
    "monitor that says nothing": Changed(
        'url: "${services.db.url}"}',
        'url: "${services.db.url}", monitor: ☞50ms}',
        "expected true, false or {every: 100ms}",
    ),
    "negative floor": Changed(
        'url: "${services.db.url}"}',
        'url: "${services.db.url}", min_free_connections: ☞-1}',
        "expected a whole number from 0 to 10,000",
    ),
    "unknown setting of the database": Changed(
        'url: "${services.db.url}"}',
        'url: "${services.db.url}", ☞lock_timout: 1s}',
        "unknown key 'lock_timout'",
        "did you mean 'lock_timeout'?",
    ),
    "no base URL": Changed(
        "base_url: ${services.api.url}\ndatabase", "database", "requests need a base_url"
    ),
    "network that is none": Changed(
        "[staging.example.com]", "[☞10.0.0.0/33]", "not a network: '10.0.0.0/33' does not"
    ),
    # endpoints and their expressions
    "unknown method": Changed(
        "POST /carts,", "☞PSOT /carts,", "no method 'PSOT'", "did you mean 'POST'?"
    ),
    "no method": Changed("POST /carts,", "☞/carts,", "expected a method and a path such as GET"),
    "space in a path": Changed(
        "POST /carts,", "POST /my☞ carts,", "' ' cannot stand in a request's path", "write %20"
    ),
    "unknown provider": Changed(
        "faker.name", "☞faker.nmae", "unknown faker provider 'nmae'", "did you mean 'name'?"
    ),
    "unknown function": Changed(
        "integer(1, 1", "☞intger(1, 1", "unknown name 'intger'", "did you mean 'integer'?"
    ),
    "unclosed expression": Changed(
        '/${cart}/checkout"', '/${cart☞/checkout"', "expected `}`, not '/'"
    ),
    "variable that nothing captures": Changed(
        "${cart}/", "${☞crat}/", "'crat' is neither captured by an earlier step nor a generator"
    ),
    "variable captured too late": Changed(
        "request: POST /carts,",
        'request: "POST /carts?after=${☞cart}",',
        "'cart' is neither captured by an earlier step nor a generator",
    ),
    "captured name of a generator": Changed(
        "capture: {cart: $.id}",
        "capture: {cart: $.id, now: ☞$.now}",
        "'now' is the name of a generator",
    ),
    "bad JSON path": Changed("$.id", "$.id ☞== 1", "'== 1' is no step of a JSON path"),
    "think time backwards": Changed(
        "50ms..200ms", "☞200ms..50ms", "the shortest think time comes first"
    ),
    "status that is none": Changed("status: 201", "status: ☞20", "expected a status such as 200"),
    "two endpoints of a name": Changed(
        "name: browse", "name: checkout", "a second 'checkout' in endpoints", "give it another name"
    ),
    "generator in SQL": Changed(
        "'${run.id}'", "'☞${faker.name}'", "this ${…} is not known before the load", "$${ gives"
    ),
    # tables
    "unknown provider of a column": Changed(
        "catch_phrase}", "catch_phrse}", "unknown faker provider 'catch_phrse'", "did you mean"
    ),
    "bounds the wrong way round": Changed("[0, 1000]", "☞[1000, 0]", "1000 is above 0"),
    "one bound": Changed("[0, 1000]", "☞[1000]", "expected [lowest, highest], not [1000]"),
    "index of no column": Changed(
        "[email, {", "[☞emial, {", "no column 'emial'", "did you mean 'email'?"
    ),
    "updates without rows": Changed(
        "    rows: 5_000\n", "", "update needs rows that are there before the load", more=1
    ),
    "mix of nothing": Changed(
        "{insert: 70, update: 25, select: 5}", "☞{insert: 0}", "a mix without a weight", more=1
    ),
    # stages and thresholds
    "stage without load": Changed(
        "{name: users, duration: 10s, endpoints: {vus: 20}}",
        "☞{name: users, duration: 10s}",
        "a stage without load",
        "add endpoints:",
    ),
    "load of nothing": Changed("{vus: 20}", "{vus: ☞0}", "a load of 0 is none"),
    "unknown stage": Changed("in peak", "in ☞peek", "no stage 'peek'", "did you mean 'peak'?"),
    "unknown endpoint": Changed(
        "endpoint checkout",
        "endpoint ☞chekout",
        "no endpoint 'chekout'",
        "did you mean 'checkout'?",
    ),
    "unknown write mix": Changed(
        "write audit.insert", "write ☞audti.insert", "no write mix 'audti'", "did you mean 'audit'?"
    ),
    "unknown operation": Changed(
        "audit.insert",
        "audit.☞insrt",
        "expected an operation, not 'insrt'",
        "did you mean 'insert'?",
    ),
    "unknown metric": Changed(
        "http p95", "http ☞mena", "expected a metric, not 'mena'", "did you mean 'mean'?"
    ),
    "unknown subject": Changed(
        "http p95",
        "☞htp p95",
        "expected http, endpoint NAME, write NAME, mock NAME, postgres",
        "did you mean 'http'?",
    ),
    "threshold without a unit": Changed(
        "< 250ms", "< ☞250", "250 has no unit: write 250s or 250ms"
    ),
    "threshold of another unit": Changed(
        "errors < 1%", "errors < ☞10ms", "'errors' is compared with a share such as 1%"
    ),
    "threshold that ends early": Changed(
        "http p95 < 250ms", "http p95 <☞", "the threshold ends where a duration"
    ),
    "unknown kind of errors": Changed(
        "http p95 < 250ms",
        "http errors.☞tiemout < 1%",
        "expected a kind of errors, not 'tiemout'",
        "did you mean 'timeout'?",
    ),
    "kind of errors of another subject": Changed(
        "http p95 < 250ms",
        "write audit errors.☞503 < 1%",
        "expected a kind of errors, not '503'",
        "a SQLSTATE such as 40P01",
    ),
    "metric of another subject": Changed(
        "http p95", "postgres ☞p95", "expected a metric, not 'p95'", "write connections, free"
    ),
    "count with a unit": Changed(
        "http p95 < 250ms",
        "postgres deadlocks < ☞1%",
        "'deadlocks' is compared with a whole number",
    ),
    "words after a threshold": Changed(
        "< 250ms", "< 250ms ☞on peak", "expected `in STAGE`, `over WINDOW` or the end, not 'on'"
    ),
    "window without a unit": Changed("< 250ms", "< 250ms over ☞10", "10 has no unit: write 10s"),
    "window that is too short": Changed(
        "< 250ms", "< 250ms over ☞500ms", "a window is at least a second long"
    ),
    "window longer than all stages": Changed(
        "- http p95 < 250ms",
        "- ☞http p95 < 250ms over 1h",
        "no stage that it looks at lasts for 60 min 0 s",
        "make the window at most",
    ),
    "window of what is no load": Changed(
        "http p95 < 250ms", "postgres lock_waits < 5 ☞over 5s", "figures of postgres are of whole"
    ),
    "plan of users": Changed(
        "- http p95 < 250ms",
        "- ☞http achieved > 9% in users",
        "virtual users and workers have no plan to achieve",
    ),
    "end of a run that is found at its end": Changed(
        "- http p95 < 250ms",
        "- {check: postgres deadlocks < 1, abort: ☞true}",
        "figures of postgres are known at a stage's end only",
    ),
    "patience without an abort": Changed(
        "- http p95 < 250ms",
        "- {check: http p95 < 250ms, ☞after: 5s}",
        "there is no abort that could wait for it",
        "add abort: true",
    ),
    "threshold on an idle section": Changed(
        "- write audit.insert p95 < 50ms",
        "- ☞write audit.insert p95 < 50ms in users",
        "users puts no load on the writes",
    ),
    # overlays
    "overlay of an unknown stage": Changed(
        "{ramp: {duration: 5s}",
        "{☞rmap: {duration: 5s}",
        "no item 'rmap' in stages (with -e quick)",
        "did you mean 'ramp'?",
    ),
    "overlay with a wrong value": Changed(
        "rate: 10/s", "rate: ☞10", "10 has no unit: write 10/s or 10/m (with -e quick)"
    ),
    "overlays that are a list": Changed(
        "environments:\n", "environments: ☞[quick]\nreport:\n", "expected overlays by name", more=2
    ),
}

WHOLE = {
    "empty": Whole("☞", "the file is empty", "begin with version: 1"),
    "comments only": Whole("☞# nothing\n", "the file is empty"),
    "list": Whole("☞- version: 1\n", "expected a mapping of keys to values"),
    "text": Whole("☞checkout", "expected a mapping of keys to values"),
    "unclosed quote": Whole(
        'version: 1\nname: ☞"abc\nstages: 3\n',
        "not valid YAML: found unexpected end of stream in a quoted scalar that begins here",
    ),
    "unclosed bracket": Whole(
        "version: 1\nstages: [☞{name: a\n",
        "not valid YAML: did not find expected ',' or '}' in a flow mapping that begins here",
    ),
    "NUL": Whole("version: 1\nname: a☞\x00b\n", "the character '\\x00' cannot stand in YAML"),
    "deep nesting": Whole("a: " + "[" * 49 + "☞" + "[" * 100_000, "nested more than 50 deep"),
    "deep block": Whole(
        "\n".join(f"{' ' * n}{MARK if n == 49 else ''}k:" for n in range(60)),
        "nested more than 50 deep",
    ),
    "alias bomb": Whole(
        "a: &a [x, x]\nb: &b [☞*a, *a]\n"
        + "\n".join(f"{k}: &{k} [*{j}, *{j}]" for j, k in zip("bcdefg", "cdefgh", strict=True)),
        "aliases are not supported",
        more=24,
    ),
    "too large": Whole("☞" + "#" * 1_000_001, "larger than 1 MB, which no scenario needs"),
    "many mistakes": Whole(
        "version: 1\nname: a\nstages: [" + "☞0, 0, " + "0, " * 50_000 + "]",
        "expected a stage, not 0",
        more=300,
    ),
}


@pytest.mark.parametrize("case", CHANGED.values(), ids=CHANGED)
def test_a_mistake_in_a_scenario_is_told_where_it_stands(case: Changed, tmp_path: Path) -> None:
    assert GOOD.count(case.old) >= 1
    assert_told(tmp_path, GOOD.replace(case.old, case.new, 1), case.message, case.hint, case.more)


@pytest.mark.parametrize("case", WHOLE.values(), ids=WHOLE)
def test_a_file_that_is_no_scenario_is_told_so(case: Whole, tmp_path: Path) -> None:
    assert_told(tmp_path, case.content, case.message, case.hint, case.more)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"version: 1\nname: \xff\xfe\n", "2:7: not UTF-8 text"),
        ("version: 1\n".encode("utf-16"), "1:1: not UTF-8 text"),
        (b"\x7fELF\x02\x01\x01\x00", "1:1: the character '\\x7f' cannot stand in YAML"),
        (b"\x89PNG\r\n\x1a\n\x00", "1:1: not UTF-8 text"),
    ],
)
def test_a_binary_file_is_told_so(data: bytes, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_bytes(data)
    code, told = run(path)
    assert (code, told.startswith(f"{path}:{expected}")) == (2, True)


def test_a_file_that_is_not_there_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "missing.yaml"
    assert run(path) == (2, f"{path}:1:1: cannot be read: No such file or directory\n")


def test_a_directory_is_told_so(tmp_path: Path) -> None:
    assert run(tmp_path) == (2, f"{tmp_path}:1:1: cannot be read: Is a directory\n")


def test_mistakes_of_every_kind_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    content = (
        GOOD.replace("random_seed: 42", "random_seed: ${SEED}")
        .replace('services.db.url}", PORT', 'services.dbb.url}", PORT')
        .replace("weight: 6", "wieght: 6")
        .replace("duration: 5s", "duration: 5", 1)
        .replace("in peak", "in peek")
        .replace("rate: 10/s", "rate: 10")
    )
    path = tmp_path / "scenario.yaml"
    path.write_text(content)
    _, told = run(path)
    messages = [line.split(": ", 1)[1] for line in told.splitlines() if line.startswith(str(path))]
    assert messages == [
        "the variable SEED is not set",
        "no 'services.dbb.url' to refer to",
        "unknown key 'wieght'",
        "5 has no unit: write 5s or 5ms",
        "no stage 'peek'",
        "10 has no unit: write 10/s or 10/m (with -e quick)",
    ]


def test_a_broken_part_hides_no_name_from_the_others(tmp_path: Path) -> None:
    content = GOOD.replace("name: checkout\n    weight: 2", "name: checkout\n    weight: two")
    path = tmp_path / "scenario.yaml"
    path.write_text(content)
    _, told = run(path)
    assert told.count(str(path)) == 1
    assert "expected a number above 0, not 'two'" in told


def test_a_mistake_shows_its_line_a_caret_and_what_was_meant(tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text(GOOD.replace("random_seed", "random_sed"))
    _, told = run(path)
    assert told == (
        f"{path}:6:1: unknown key 'random_sed'\n"
        "  6 | random_sed: 42\n"
        "    | ^\n"
        "  did you mean 'random_seed'?\n"
    )


@pytest.mark.parametrize("command", ["validate", "plan", "run"])
@pytest.mark.parametrize(
    "content", [b"", b"\x00\xff", b"version: 1\nversion: 1", b"a: {b: ${c}}", b"stages: 5"]
)
def test_the_real_command_line_exits_with_2_and_no_traceback(
    command: str, content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_bytes(content)
    ended = subprocess.run(
        [sys.executable, "-m", "stressrun", command, str(path)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith(f"{path}:")
    assert "Traceback" not in ended.stderr
