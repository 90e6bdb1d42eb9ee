"""From what a scenario says of requests, feeders, logins and loads to the canonical scenario."""

from __future__ import annotations

from math import inf
from pathlib import Path

import pytest

from stressrun.data.checks import Check, parse_check
from stressrun.data.conditions import parse_condition
from stressrun.data.expressions import parse, parse_json
from stressrun.data.jsonpath import parse_path
from stressrun.scenario.build import scenario_from
from stressrun.scenario.load import Loaded, load
from stressrun.scenario.model import (
    ApiKeyAuth,
    Arrivals,
    Auth,
    BasicAuth,
    BearerAuth,
    Body,
    Capture,
    CsvFile,
    Expect,
    Feeder,
    FormBody,
    FromCookie,
    FromHeader,
    FromJson,
    FromRegex,
    FromStatus,
    Group,
    Http,
    IterationsPerVu,
    JsonBody,
    JsonLinesFile,
    Load,
    Login,
    MultipartBody,
    MultipartPart,
    Query,
    Ramp,
    RawBody,
    Request,
    SharedIterations,
    Think,
    Tls,
    Users,
)

HEAD = "version: 1\nname: shop\nbase_url: http://127.0.0.1:8000\n"
STAGES = "stages: [{name: peak, duration: 10s, endpoints: {vus: 1}}]\n"
BYTES = b"\x89PNG\r\n\x1a\n\x00\xff"
VALUES = {
    "run.id": "run-7",
    "services.db.url": "postgresql://a@127.0.0.1:1/a",
    "services.db.host": "127.0.0.1",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files that the scenarios name."""
    (tmp_path / "payloads").mkdir()
    (tmp_path / "payloads" / "cart.json").write_text('{"id": "${uuid}", "by": "${run.id}"}')
    (tmp_path / "payloads" / "note").write_text("café $${x}")
    (tmp_path / "picture.png").write_bytes(BYTES)
    (tmp_path / "people.csv").write_text("email,name\na@example.org,Alice\n")
    (tmp_path / "orders.jsonl").write_text('{"id": 1, "total": 5}\n')
    return tmp_path


def loaded(folder: Path, source: str, *sets: str, environment: str | None = None) -> Loaded:
    path = folder / "scenario.yaml"
    rest = "" if "endpoints:\n" in source else "endpoints:\n  - {name: e, request: GET /}\n"
    path.write_text(HEAD + source + rest + ("" if "stages:" in source else STAGES))
    return load(path, sets=sets, environment=environment, environ={"API_KEY": "1_000"})


def of_request(folder: Path, rest: str, before: str = "") -> Request:
    source = f"{before}endpoints:\n  - {{name: e, request: POST /a, {rest}}}\n"
    return loaded(folder, source).scenario.endpoints[0].requests[0]


def of_steps(folder: Path, *steps: str, before: str = "") -> tuple[object, ...]:
    lines = "".join(f"      - {{{step}}}\n" for step in steps)
    source = f"{before}endpoints:\n  - name: e\n    steps:\n{lines}"
    return loaded(folder, source).scenario.endpoints[0].steps


# Requests


@pytest.mark.parametrize(
    ("source", "body"),
    [
        ("json: {a: [1]}", JsonBody(parse_json({"a": [1]}))),
        ("json: null", JsonBody(parse_json(None))),
        (
            'form: {user: alice, pin: 0123, tag: [a, "${uuid}"], on: true}',
            FormBody(
                (
                    ("user", parse("alice")),
                    ("pin", parse("0123")),
                    ("tag", parse("a")),
                    ("tag", parse("${uuid}")),
                    ("on", parse("true")),
                )
            ),
        ),
        (
            "multipart: {title: 1.50, upload: {file: picture.png}}",
            MultipartBody(
                (
                    MultipartPart("title", parse("1.50"), None, None),
                    MultipartPart("upload", BYTES, "picture.png", "image/png"),
                )
            ),
        ),
        (
            "multipart: {a: {file: payloads/note, type: text/plain, name: n.txt}}",
            MultipartBody(
                (MultipartPart("a", "café $${x}".encode(), "n.txt", "text/plain"),),
            ),
        ),
        (
            "multipart: {a: {file: payloads/note}}",
            MultipartBody(
                (MultipartPart("a", "café $${x}".encode(), "note", "application/octet-stream"),),
            ),
        ),
        ('body: "id=${uuid}"', RawBody(parse("id=${uuid}"), None)),
        (
            "body_file: payloads/cart.json",
            RawBody(parse('{"id": "${uuid}", "by": "${run.id}"}'), "application/json"),
        ),
        ("body_file: payloads/note", RawBody(parse("café $${x}"), None)),
        ("body_file: picture.png", RawBody(BYTES, "image/png")),
    ],
)
def test_the_bodies_of_requests(source: str, body: Body, folder: Path) -> None:
    assert of_request(folder, source).body == body


@pytest.mark.parametrize(
    ("source", "auth"),
    [
        (
            "{basic: {user: alice, password: 'a:b'}}",
            BasicAuth(parse("alice"), parse("a:b")),
        ),
        ('{bearer: "${uuid}"}', BearerAuth(parse("${uuid}"))),
        (
            '{api_key: {header: X-Key, value: "${API_KEY}"}}',
            ApiKeyAuth("X-Key", parse("1_000"), in_query=False),
        ),
        ("{api_key: {query: key, value: a&b}}", ApiKeyAuth("key", parse("a&b"), in_query=True)),
        ("none", None),
    ],
)
def test_the_kinds_of_auth(source: str, auth: Auth | None, folder: Path) -> None:
    assert of_request(folder, f"auth: {source}").auth == auth
    assert of_request(folder, "json: 1", f"http: {{auth: {source}}}\n").auth == auth


def test_arguments_keep_their_order_and_a_list_gives_its_name_several_times(folder: Path) -> None:
    request = of_request(folder, 'query: {page: 01, q: "${faker.word}", tag: [a, 2]}')
    assert [(name, value.source) for name, value in request.query] == [
        ("page", "01"),
        ("q", "${faker.word}"),
        ("tag", "a"),
        ("tag", "2"),
    ]


def test_a_request_has_what_http_says_unless_it_says_other(folder: Path) -> None:
    http = "http: {timeout: 5s, redirects: 3, auth: {bearer: a}, headers: {X-A: 1, X-B: 2}}\n"
    plain = of_request(folder, "json: 1", http)
    assert (plain.timeout, plain.redirects, plain.auth) == (5, 3, BearerAuth(parse("a")))
    assert plain.headers == (("X-A", parse("1")), ("X-B", parse("2")))
    own = of_request(
        folder, "timeout: 2s, redirects: 0, auth: none, headers: {x-a: 5, X-C: 6}", http
    )
    assert (own.timeout, own.redirects, own.auth) == (2, 0, None)
    assert own.headers == (("X-B", parse("2")), ("x-a", parse("5")), ("X-C", parse("6")))


def test_the_content_type_of_all_is_not_that_of_a_multipart_body(folder: Path) -> None:
    http = "http: {headers: {content-type: application/json, X-A: b}}\n"
    assert of_request(folder, "multipart: {a: b}", http).headers == (("X-A", parse("b")),)
    assert "content-type" in dict(of_request(folder, "body: a", http).headers)


def test_a_requests_own_header_stands_in_place_of_the_auth_of_all_and_the_reverse(
    folder: Path,
) -> None:
    own_header = of_request(folder, "headers: {authorization: mine}", "http: {auth: {bearer: a}}\n")
    assert own_header.auth is None
    assert own_header.headers == (("authorization", parse("mine")),)
    own_auth = of_request(
        folder, "auth: {bearer: a}", "http: {headers: {Authorization: all, X-A: b}}\n"
    )
    assert own_auth.headers == (("X-A", parse("b")),)


def test_what_is_captured(folder: Path) -> None:
    captures = of_request(
        folder,
        "capture: {cart: $.id, etag: {header: ETag}, code: status, sid: {cookie: sid},"
        " token: {regex: 'token=(\\w+)'}, deep: {json: \"$..id\"}}",
    ).captures
    assert captures == (
        Capture("cart", FromJson(parse_path("$.id"))),
        Capture("etag", FromHeader("ETag")),
        Capture("code", FromStatus()),
        Capture("sid", FromCookie("sid")),
        Capture("token", FromRegex(r"token=(\w+)")),
        Capture("deep", FromJson(parse_path("$..id"))),
    )


@pytest.mark.parametrize(
    ("source", "expect"),
    [
        ("{status: 200, within: 1s}", Expect((200,), 1.0)),
        ("{status: [200, 201]}", Expect((200, 201))),
        (
            "{headers: {Content-Type: {contains: json}, Content-Length: 010}}",
            Expect(
                headers=(
                    ("Content-Type", parse_check("contains", "json")),
                    ("Content-Length", parse_check("equals", "010")),
                )
            ),
        ),
        (
            "{json: {$.total: 5, $.items: {length: 3, not: []}, $.id: {exists: true}}}",
            Expect(
                json=(
                    (parse_path("$.total"), parse_check("equals", 5)),
                    (parse_path("$.items"), parse_check("length", 3)),
                    (parse_path("$.items"), parse_check("not", [])),
                    (parse_path("$.id"), parse_check("exists", True)),
                )
            ),
        ),
        ('{json: {$.a: {equals: {b: "${uuid}"}}, $.c: null}}', None),
        ("{body: ok}", Expect(body=(parse_check("equals", "ok"),))),
        (
            "{body: {contains: o, matches: '^ok$'}}",
            Expect(body=(parse_check("contains", "o"), parse_check("matches", "^ok$"))),
        ),
        (
            "{size: {at_least: 1B, at_most: 10KB}}",
            Expect(size=(Check("at_least", parse_json(1)), Check("at_most", parse_json(10_000)))),
        ),
        ("{size: 1KiB}", Expect(size=(Check("equals", parse_json(1024)),))),
    ],
)
def test_what_is_expected(source: str, expect: Expect | None, folder: Path) -> None:
    expect = expect or Expect(
        json=(
            (parse_path("$.a"), parse_check("equals", {"b": "${uuid}"})),
            (parse_path("$.c"), parse_check("equals", None)),
        )
    )
    assert of_request(folder, f"expect: {source}").expect == expect


# Steps


def test_a_step_that_is_repeated_or_left_out_is_a_group(folder: Path) -> None:
    first, repeated, pause, group = of_steps(
        folder,
        "request: GET /a, capture: {status: $.status}",
        'request: "GET /a/${status}", repeat: 3',
        'think: 1s, when: "${status} == paid"',
        "steps: [{request: GET /b, capture: {b: $}}, {request: 'GET /${b}', repeat: 2}]",
    )
    assert isinstance(first, Request)
    assert isinstance(repeated, Group)
    assert (repeated.repeat, repeated.when) == (3, None)
    assert pause == Group((Think(1, 1),), 1, parse_condition("${status} == paid"))
    assert isinstance(group, Group)
    assert isinstance(group.steps[1], Group)


def test_steps_within_groups_are_numbered_with_the_others(folder: Path) -> None:
    steps = of_steps(
        folder, "request: GET /a", "steps: [{request: GET /a}, {steps: [{request: GET /a}]}]"
    )
    assert len(steps) == 2
    endpoint = loaded(
        folder,
        "endpoints:\n  - name: e\n    steps: [{request: GET /a}, {steps: [{request: GET /a}]}]\n",
    ).scenario.endpoints[0]
    assert [request.name for request in endpoint.requests] == ["GET /a", "GET /a #2"]


def test_what_is_captured_under_a_condition_is_known_under_it(folder: Path) -> None:
    *_, last = of_steps(
        folder,
        "request: GET /, capture: {a: $, c: $}",
        "when: '${a} == b', steps: [{request: GET /, capture: {d: $}}, {request: 'GET /${d}'}]",
        'request: "GET /${c}"',
    )
    assert isinstance(last, Request)


# Feeders, seeded rows and the login


def test_feeders_and_seeded_rows_are_variables(folder: Path) -> None:
    before = """database: postgresql://a@127.0.0.1/a
feeders:
  people: {csv: people.csv, order: unique}
  orders: {json_lines: orders.jsonl, order: sequential}
  users: {sql: "select id, email from users"}
seeding: [{table: products, rows: 5, key: number, columns: {sku: {hex: 8B}}}]
writes:
  - {name: audit, table: notes, rows: 5, columns: {text: {hex: 8B}}, mix: {insert: 1}}
"""
    names = "people.email orders.total users.anything products.sku products.number notes.text"
    path = "/".join(f"${{{name}}}" for name in names.split())
    scenario = loaded(
        folder, f'{before}endpoints:\n  - {{name: e, request: "GET /{path}"}}\n'
    ).scenario
    assert scenario.feeders == (
        Feeder("people", CsvFile(str(folder / "people.csv")), "unique"),
        Feeder("orders", JsonLinesFile(str(folder / "orders.jsonl")), "sequential"),
        Feeder("users", Query("select id, email from users"), "random"),
    )
    variables = scenario.endpoints[0].requests[0].path.variables
    assert [name for name, _ in variables] == names.split()


def test_a_login_has_what_http_says_but_for_what_it_gives_itself(folder: Path) -> None:
    before = """http:
  auth: {bearer: "${login.token}"}
  headers: {X-Session: "${login.session}", X-A: a}
  timeout: 5s
feeders: {people: {csv: people.csv}}
login:
  request: POST /session
  json: {user: "${people.email}"}
  capture: {token: $.token, session: {header: X-Session}}
  per: vu
  refresh: 10m
"""
    scenario = loaded(folder, before).scenario
    login = scenario.login
    assert isinstance(login, Login)
    assert (login.per_vu, login.refresh) == (True, 600)
    (request,) = login.requests
    assert (request.name, request.auth, request.timeout) == ("login", None, 5)
    assert request.headers == (("X-A", parse("a")),)
    browse = scenario.endpoints[0].requests[0]
    assert browse.auth == BearerAuth(parse("${login.token}"))
    assert len(browse.headers) == 2


def test_a_login_of_several_steps_uses_its_own_captures(folder: Path) -> None:
    source = """login:
  steps:
    - {request: GET /form, capture: {csrf: {regex: 'csrf=(\\w+)'}}}
    - {request: POST /session, form: {csrf: "${csrf}"}, auth: {basic: {user: a, password: b}}}
"""
    login = loaded(folder, source).scenario.login
    assert login is not None
    assert (login.per_vu, login.refresh) == (False, None)
    assert [request.name for request in login.requests] == ["GET /form", "POST /session"]
    assert login.requests[1].auth == BasicAuth(parse("a"), parse("b"))


# Settings and loads


@pytest.mark.parametrize(
    ("source", "http"),
    [
        ("{}", Http()),
        (
            "{protocol: http2, connect_timeout: 1s, cookies: none, reuse: iteration}",
            Http(protocol="http2", connect_timeout=1, cookies="none", reuse="iteration"),
        ),
        ("{resolve: once}", Http(resolve_after=inf)),
        ("{resolve: connection}", Http(resolve_after=0)),
        ("{resolve: 30s}", Http(resolve_after=30)),
        ("{trace: true}", Http(traced=1)),
        ("{trace: false}", Http(traced=None)),
        ("{trace: {sampled: 10%}}", Http(traced=0.1)),
        ("{tls: {verify: false}}", Http(tls=Tls(verify=False))),
        ("{unix_socket: /run/app.sock}", Http(unix_socket="/run/app.sock")),
    ],
)
def test_the_settings_of_http(source: str, http: Http, folder: Path) -> None:
    assert loaded(folder, f"http: {source}\n").scenario.http == http


@pytest.mark.parametrize("url", ["https://example.com", "https://[::1]:8443/v1", "http://[::1]"])
def test_base_urls_can_be_https_and_ipv6(url: str, folder: Path) -> None:
    assert loaded(folder, "", f"base_url='{url}'").scenario.base_url == url


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{rate: 50/s}", Arrivals(Ramp(50, 50), 100)),
        (
            "{rate: 50/s, max_vus: 5, spacing: poisson, catch_up: false}",
            Arrivals(Ramp(50, 50), 5, "poisson", catch_up=False),
        ),
        ("{vus: 20}", Users(Ramp(20, 20))),
        ("{iterations: 1_000, vus: 10}", SharedIterations(1000, 10)),
        ("{iterations_per_vu: 10, vus: 20}", IterationsPerVu(10, 20)),
    ],
)
def test_the_loads_of_endpoints(source: str, expected: Load, folder: Path) -> None:
    scenario = loaded(
        folder, f"stages: [{{name: a, duration: 1s, endpoints: {source}}}]\n"
    ).scenario
    assert scenario.stages[0].endpoints == expected


# Overlays and assignments


@pytest.mark.parametrize(
    ("base", "over", "expected"),
    [
        ("{iterations: 100, vus: 5}", "{vus: 20}", SharedIterations(100, 20)),
        ("{vus: 5}", "{iterations: 100}", SharedIterations(100, 5)),
        ("{iterations: 100, vus: 5}", "{iterations_per_vu: 3}", IterationsPerVu(3, 5)),
        ("{iterations: 100, vus: 5}", "{rate: 5/s}", Arrivals(Ramp(5, 5), 100)),
        ("{rate: 5/s, max_vus: 2}", "{vus: 20}", Users(Ramp(20, 20))),
        ("{rate: 5/s}", "{spacing: poisson}", Arrivals(Ramp(5, 5), 100, "poisson")),
    ],
)
def test_a_load_over_another(base: str, over: str, expected: Load, folder: Path) -> None:
    source = f"""stages: [{{name: peak, duration: 1s, endpoints: {base}}}]
environments: {{other: {{stages: {{peak: {{endpoints: {over}}}}}}}}}
"""
    scenario = loaded(folder, source, environment="other").scenario
    assert scenario.stages[0].endpoints == expected


def test_overlays_and_assignments_reach_the_new_keys(folder: Path) -> None:
    source = """http: {auth: {bearer: a}}
feeders: {people: {csv: people.csv, order: unique}}
login: {request: POST /session, json: {user: a}, capture: {token: $.token}}
endpoints:
  - {name: e, request: GET /, json: 1}
  - name: f
    steps: [{request: GET /a, capture: {id: {header: ETag}}}, {steps: [{request: GET /b, body: a}]}]
environments:
  other:
    http: {auth: {basic: {user: a, password: b}}, trace: false}
    feeders: {people: {json_lines: orders.jsonl}}
    login: {form: {user: b}, per: vu}
    endpoints:
      e: {body_file: payloads/note, redirects: 2}
      f:
        steps:
          "0": {capture: {id: {cookie: sid}}}
          "1": {repeat: 2, steps: {"0": {form: {a: b}}}}
"""
    scenario = loaded(
        folder, source, "http.redirects=5", "endpoints.e.query={a: 1}", environment="other"
    ).scenario
    assert scenario.http.traced is None
    assert scenario.feeders[0].source == JsonLinesFile(str(folder / "orders.jsonl"))
    assert scenario.feeders[0].order == "unique"
    assert scenario.login is not None
    assert scenario.login.per_vu
    assert scenario.login.requests[0].body == FormBody((("user", parse("b")),))
    first, second = scenario.endpoints
    (request,) = first.requests
    assert request.body == RawBody(parse("café $${x}"), None)
    assert (request.redirects, request.query) == (2, (("a", parse("1")),))
    assert request.auth == BasicAuth(parse("a"), parse("b"))
    assert second.requests[0].captures == (Capture("id", FromCookie("sid")),)
    group = second.steps[1]
    assert isinstance(group, Group)
    assert group.repeat == 2
    assert second.requests[1].body == FormBody((("a", parse("b")),))


# The canonical document


def test_a_worker_in_another_folder_builds_the_same_scenario(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    source = """services: {db: {postgres: embedded}}
http: {tls: {ca: people.csv, certificate: people.csv, key: people.csv}, unix_socket: app.sock}
feeders:
  people: {csv: people.csv}
  orders: {json_lines: ./payloads/../orders.jsonl}
login: {request: POST /session, body_file: payloads/cart.json, capture: {token: $.token}}
endpoints:
  - {name: e, request: POST /, multipart: {upload: {file: picture.png}}}
  - name: f
    steps: [{steps: [{request: POST /, body_file: picture.png}], repeat: 2}]
"""
    monkeypatch.chdir(folder)
    document, scenario = loaded(Path(), source).resolve(
        VALUES | {f"services.db.{name}": "x" for name in ("port", "user", "password", "database")}
    )
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert scenario_from(document) == scenario
    assert scenario.http.tls.ca == str(folder / "people.csv")
    assert scenario.http.unix_socket == str(folder / "app.sock")
    assert scenario.feeders[1].source == JsonLinesFile(str(folder / "orders.jsonl"))


def test_the_references_of_a_body_file_are_replaced_when_they_are_known(folder: Path) -> None:
    one = loaded(
        folder, "endpoints:\n  - {name: e, request: POST /, body_file: payloads/cart.json}\n"
    )
    document, scenario = one.resolve({"run.id": "run-7"})
    expected = RawBody(parse('{"id": "${uuid}", "by": "run-7"}'), "application/json")
    assert scenario.endpoints[0].requests[0].body == expected
    assert scenario_from(document) == scenario
