"""`stressrun SCENARIO --once` as a user runs it: what it shows, how it ends, what it leaves."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import psycopg
import pytest
from runs import PATIENCE, ROOT, Ended, Run, assert_nothing_is_left, stressrun

SHOP = Path(__file__).with_name("shop.yaml")
SERVICE = """
import http.server, json, os, time

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/end":
            os._exit(1)
        if self.path == "/hang":
            open("hanging", "w").close()
            time.sleep(600)
        known = self.headers["Authorization"] == "Bearer sesame-open"
        self.answer(200 if known else 401, {"path": self.path, "state": "open"})

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(int(os.environ.get("LOGIN", "200")), {"token": "sesame-open"})

    def answer(self, status, body):
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

address = ("127.0.0.1", int(os.environ["PORT"]))
http.server.ThreadingHTTPServer(address, Handler).serve_forever()
"""
SCENARIO = """
version: 1
name: tickets
services:
  api: {command: python service.py, env: {PORT: "${services.api.port}", LOGIN: "${LOGIN:-200}"}}
base_url: ${services.api.url}
feeders: {people: {csv: people.csv, order: sequential}}
http: {auth: {bearer: "${login.token}"}}
login:
  steps:
    - request: POST /session
      auth: none
      json: {user: "${people.name}", secret: "${API_SECRET}"}
      capture: {token: $.token}
endpoints:
  - {name: tickets, request: "GET /tickets?of=${people.name}", expect: {json: {$.state: open}}}
  - {name: sold, request: GET /sold, expect: {json: {$.state: sold}}}
  - {name: hang, request: GET /hang}
  - {name: end, request: GET /end}
stages: [{name: s, duration: 60s, endpoints: {vus: 1}}]
thresholds: [http p99 < 1us]
"""


@pytest.fixture
def tickets(tmp_path: Path) -> Path:
    """A scenario with a login and a feeder, and its service, in a folder of their own."""
    (tmp_path / "service.py").write_text(SERVICE)
    (tmp_path / "people.csv").write_text("name\nAnn\nBob\n")
    (tmp_path / "tickets.yaml").write_text(SCENARIO)
    return tmp_path


def once(folder: Path, *endpoints: str, **environment: str) -> Ended:
    chosen = [f"--endpoint={name}" for name in endpoints]
    environment = {"API_SECRET": "abracadabra", **environment}
    ended = stressrun(folder, "tickets.yaml", "--once", *chosen, **environment)
    assert "Traceback" not in ended.output
    return ended


def assert_ended(ended: Ended, code: int, *lines: str) -> None:
    assert ended.code == code, ended.output
    for line in lines:
        assert f"\n{line}\n" in ended.output, ended.output
    assert not list(ended.directory.rglob("report.json"))
    assert_nothing_is_left(ended)


def test_a_scenario_is_tried_and_leaves_the_database_as_it_was(
    tmp_path: Path, database_url: str
) -> None:
    # Of a budget only what it seeds is planned: it does not do the stages.
    budget = "--set=budget={requests: 5, rows: 300, duration: 600s}"
    ended = stressrun(tmp_path, SHOP, "--once", budget, TEST_DATABASE_URL=database_url)
    assert_ended(
        ended,
        0,
        "  --once does no writes: audit left out",
        "list: GET /products?limit=5",
        "  > GET /products?limit=5",
        "  < 200 OK",
        "checkout: POST /carts",
        "  > POST /carts",
        "  captured  ✓ cart = 1   ($.id)",
        "checkout: POST /carts/${cart}/checkout",
        "  > POST /carts/1/checkout",
        "  expected  ✓ status below 400   (201)",
        "iterations\n  ✓ list\n  ✓ checkout\n\nverdict: passed (exit code 0)",
    )
    assert ended.output.count("\n  > GET ") == 1
    assert ended.output.count("\n  > POST ") == 2
    for absent in ("stage first", "thresholds", "partial", "cause:"):
        assert absent not in ended.output
    with psycopg.connect(database_url) as connection:
        count = "select (select count(*) from products) + (select count(*) from carts)"
        assert connection.execute(count).fetchone() == (0,)
        found = connection.execute("select to_regclass('load_test_data')").fetchone()
        assert found == (None,)


def test_the_login_comes_first_and_secrets_are_not_shown(tickets: Path) -> None:
    ended = once(tickets, "tickets")
    assert_ended(
        ended,
        0,
        '  > {"user":"Ann","secret":"***"}',
        "  captured  ✓ token = ***   ($.token)",
        "  > GET /tickets?of=Bob",
        "  > Authorization: ***",
        "            ✓ $.state equals 'open'   (\"open\")",
        "iterations\n  ✓ login\n  ✓ tickets\n\nverdict: passed (exit code 0)",
    )
    assert "sesame" not in ended.output
    assert "abracadabra" not in ended.output
    assert ended.output.index("login: POST /session") < ended.output.index("\ntickets\n")
    assert "> GET /sold" not in ended.output


def test_an_endpoint_that_fails_is_named_and_does_not_keep_the_others_from_theirs(
    tickets: Path,
) -> None:
    ended = once(tickets, "sold", "tickets", "sold")
    cause = "sold: expected $.state equals 'sold': it is \"open\""
    assert_ended(
        ended,
        1,
        "            ✗ $.state equals 'sold'   (\"open\")",
        f"iterations\n  ✓ login\n  ✓ tickets\n  ✗ {cause}",
        "verdict: failed (exit code 1)",
        f"cause: {cause}",
    )
    assert "\nremedy: " in ended.output
    assert ended.output.count("> GET /sold") == 1


@pytest.mark.faults
def test_a_login_that_fails_is_shown_and_ends_it(tickets: Path) -> None:
    ended = once(tickets, LOGIN="403")
    cause = "login: POST /session: expected status below 400: it is 403"
    assert_ended(ended, 1, "  < 403 Forbidden", f"cause: {cause}")
    assert "> GET" not in ended.output


@pytest.mark.faults
def test_a_service_that_ends_is_the_cause_of_what_fails(tickets: Path) -> None:
    ended = once(tickets, "end")
    assert_ended(ended, 4, "iterations\n  ✓ login", "verdict: invalid (exit code 4)")
    assert "\n  ✗ no answer: " in ended.output
    assert "cause: service api ended by itself in --once" in ended.output


@pytest.mark.faults
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_shows_what_is_unanswered_and_tears_down(
    tickets: Path, number: signal.Signals, code: int
) -> None:
    run = Run(tickets, "tickets.yaml", "--once", "--endpoint=hang", API_SECRET="abracadabra")
    deadline = time.monotonic() + PATIENCE
    while not (tickets / "hanging").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    run.signal(number)
    ended = run.end()
    assert_ended(
        ended,
        code,
        "  > GET /hang",
        "  ✗ no answer: interrupted",
        f"verdict: interrupted (exit code {code})",
    )
    assert f"cause: stopped by {number.name}" in ended.output


@pytest.mark.faults
def test_a_residue_is_told_as_in_a_run(tmp_path: Path, database_url: str) -> None:
    ended = stressrun(
        tmp_path,
        SHOP,
        "--once",
        "--endpoint=list",
        TEST_DATABASE_URL=database_url,
        TEARDOWN_SQL="delete from not_there_yet",
    )
    assert ended.code == 5, ended.output
    assert f"stressrun clean {ended.run_id}" in ended.output
    with psycopg.connect(database_url) as connection:
        connection.execute("create table not_there_yet ()")
    assert stressrun(tmp_path, "clean", ended.run_id).code == 0
    assert_nothing_is_left(ended)


@pytest.mark.faults
@pytest.mark.parametrize(
    ("setting", "code", "cause"),
    [
        ("environment=production", 6, "cause: the guard refused the scenario"),
        ("base_url=http://192.0.2.7:80", 6, "cause: the guard refused 192.0.2.7"),
        ("services.api.command=[python, -c, pass]", 3, "cause: service 'api' ended"),
        ("http.tls.ca=service.py", 3, "service.py"),
    ],
)
def test_what_cannot_be_set_up_is_told_as_in_a_run(
    tickets: Path, setting: str, code: int, cause: str
) -> None:
    ended = stressrun(tickets, "tickets.yaml", "--once", "--set", setting, API_SECRET="x")
    assert ended.code == code, ended.output
    assert cause in ended.output
    assert "  > " not in ended.output
    assert_nothing_is_left(ended)


@pytest.mark.parametrize(
    ("arguments", "cause", "remedy"),
    [
        (["--once", "--endpoint=ticket"], "no endpoint is named 'ticket'", "'tickets'?"),
        (["--once", "--endpoint=xyz"], "named 'xyz'", "one of tickets, sold, hang, end"),
        (["--endpoint=tickets"], "--endpoint is for --once alone", "add --once"),
        (["--once", "--report-dir=r"], "--once writes no report", "leave out --report-dir"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_anything_starts(
    tickets: Path, arguments: list[str], cause: str, remedy: str
) -> None:
    ended = stressrun(tickets, "tickets.yaml", *arguments, API_SECRET="x")
    assert ended.code == 2
    first, second = ended.output.splitlines()
    assert first.startswith("error: ")
    assert cause in first
    assert remedy in second
    assert not (tickets / ".stressrun").exists()


def test_a_scenario_without_endpoints_has_nothing_to_try(tmp_path: Path) -> None:
    ended = stressrun(tmp_path, ROOT / "scenarios" / "postgres-write-load.yaml", "--once")
    assert ended.code == 2
    assert "the scenario has no endpoints" in ended.output


@pytest.mark.faults
def test_what_is_tried_can_be_kept_and_looked_into(tickets: Path) -> None:
    kept = stressrun(
        tickets, "tickets.yaml", "--once", "--endpoint=tickets", "--keep", API_SECRET="x"
    )
    assert kept.code == 0, kept.output
    assert "kept as it is (--keep):\n  api: http://127.0.0.1" in kept.output
    assert stressrun(tickets, "clean", kept.run_id).code == 0
    assert_nothing_is_left(kept)
