"""`stressrun plan` and `stressrun schema`, as a user calls them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from orders_scenario import ORDERS, write_files
from stressrun.cli.plan import plan
from stressrun.cli.schema import schema
from stressrun.scenario.load import load
from stressrun.scenario.source import compose

ROOT = Path(__file__).parents[2]
CHECKOUT = ROOT / "tests" / "scenario" / "checkout.yaml"


def run(*arguments: str | Path, **environ: str) -> str:
    result = CliRunner().invoke(plan, [str(argument) for argument in arguments], env=environ)
    if result.exception is not None:
        raise result.exception
    return result.output


def test_a_plan_shows_the_scenario_as_it_would_run() -> None:
    assert run(CHECKOUT) == (
        "checkout\n"
        "The checkout service's critical path, with PostgreSQL write pressure beside it.\n"
        "environment development · random seed 42 · 1 worker process · 55 s of load\n"
        "\n"
        "services, in the order of their start\n"
        "  db: embedded PostgreSQL, database postgres, user postgres"
        " (fsync=off, max_connections=120)\n"
        "  api: python -m stressrun.demo.checkout"
        " (ready when GET /healthz answers 200, within 20 s)\n"
        "\n"
        "seeding, in ${services.db.url}\n"
        "  10,000 rows of products (sku text, name text, price numeric, stock integer)\n"
        "  5,000 rows of load_test_data (name text, email varchar(100), age integer, data text)\n"
        "\n"
        "endpoints, at ${services.api.url}\n"
        "  browse: 75 % of iterations\n"
        "    GET /products/${integer(1, 10000)}\n"
        "  checkout: 25 % of iterations\n"
        "    POST /carts\n"
        "    think 50 ms to 200 ms\n"
        "    POST /carts/${cart}/checkout\n"
        "\n"
        "writes, in ${services.db.url}\n"
        "  audit: 70 % insert, 25 % update, 5 % select on load_test_data, 100 rows an insert,"
        " updates set name, email, age, data\n"
        "\n"
        "stages\n"
        "stage    duration    endpoints     iterations    each write mix    operations    judged\n"
        "-------  ----------  ------------  ------------  ----------------  ------------"
        "  --------\n"
        "warm-up  5 s         50/s          250           2 workers                       no\n"
        "ramp     20 s        50/s → 400/s  4,500         2 → 8 workers                   yes\n"
        "peak     20 s        400/s         8,000         200/s             4,000         yes\n"
        "users    10 s        20 VUs                      idle                            yes\n"
        "\n"
        "thresholds\n"
        "  http p95 < 250ms: all requests in ramp, peak, users\n"
        "  http errors < 1%: all requests in ramp, peak, users\n"
        "  endpoint checkout p99 < 1s in peak: iterations of checkout in peak\n"
        "  write audit.insert p95 < 50ms: operation insert of audit in ramp, peak\n"
        "  http achieved >= 95% in ramp: all iterations in ramp; built in\n"
        "  http achieved >= 95% in peak: all iterations in peak; built in\n"
        "  write audit achieved >= 95% in peak: operations of audit in peak; built in\n"
        "  write audit errors < 1%: operations of audit in ramp, peak; built in\n"
        "  generator distortion < 5%: the generator in ramp, peak, users; built in\n"
        "\n"
        "teardown\n"
        "  sql: delete from carts where created_by = '${run.id}'\n"
    )


def test_a_plan_shows_how_requests_are_made(tmp_path: Path) -> None:
    write_files(tmp_path)
    path = tmp_path / "orders.yaml"
    path.write_text(ORDERS.read_text())
    assert run(path) == (
        "orders\n"
        "environment development · random seed 1 · 1 worker process · 145 s of load\n"
        "\n"
        "seeding, in postgresql://app@127.0.0.1/app\n"
        "  100 rows of products (sku text)\n"
        "\n"
        "feeders\n"
        f"  customers: {tmp_path}/customers.csv, unique\n"
        f"  baskets: {tmp_path}/baskets.jsonl, sequential\n"
        "  users: select id, email from users, random\n"
        "\n"
        "http\n"
        "  timeout: 10 s\n"
        "  redirects: up to 2\n"
        "  connect timeout: 2 s\n"
        "  cookies: iteration\n"
        "  reuse: iteration\n"
        "  resolve: after 30 s\n"
        f"  TLS ca: {tmp_path}/ca.pem\n"
        "  TLS: the server's certificate is NOT verified\n"
        "  trace: 10 % sampled\n"
        "\n"
        "login, for each virtual user, anew after 600 s\n"
        "  GET /form\n"
        "  POST /session, form csrf, user\n"
        "\n"
        "endpoints, at https://[::1]:8443\n"
        "  search: 60 % of iterations\n"
        "    GET /products, query page, q, sku, bearer auth\n"
        "  picture: 20 % of iterations\n"
        "    PUT /pictures/${users.id}, multipart title, upload, API key auth\n"
        "  order: 20 % of iterations\n"
        "    POST /carts, body a text, bearer auth\n"
        "    3 times:\n"
        "      POST /carts/${cart}/items, body a text, bearer auth, timeout 2 s\n"
        "    where ${status} == open:\n"
        "      think 10 ms to 20 ms\n"
        "      POST /carts/${cart}/checkout, basic auth, no redirects\n"
        "\n"
        "stages\n"
        "stage    duration    endpoints                          iterations    judged\n"
        "-------  ----------  ---------------------------------  ------------  --------\n"
        "warm-up  5 s         5 VUs                                            no\n"
        "peak     20 s        400/s, poisson, late ones dropped  8,000         yes\n"
        "batch    60 s        10 VUs, shared                     1,000         yes\n"
        "each     60 s        20 VUs, 10 each                    200           yes\n"
        "\n"
        "thresholds\n"
        "  endpoint order p95 < 1s in peak: iterations of order in peak\n"
        "  http achieved >= 95% in peak: all iterations in peak; built in\n"
        "  http achieved >= 95% in batch: all iterations in batch; built in\n"
        "  http achieved >= 95% in each: all iterations in each; built in\n"
        "  http errors < 1%: all requests in peak, batch, each; built in\n"
        "  generator distortion < 5%: the generator in peak, batch, each; built in\n"
    )


def test_a_plan_shows_what_writes_do_and_how(tmp_path: Path) -> None:
    path = tmp_path / "stock.yaml"
    path.write_text("""
version: 1
name: stock
database: postgresql://app@127.0.0.1/app
writes:
  - name: w
    table: products
    rows: 50
    columns: {name: {faker: name}, stock: {integer: [0, 9]}}
    mix: {copy: 1, upsert: 3, restock: 4, sell: 2}
    operations:
      restock:
        sql: |
          update products set stock = stock + ${integer(1, 5)}
          where id = ${key}
      sell: {transaction: ["select ${key}", "select 2"]}
    update: [stock]
    batch: 20
    keys: zipfian
    protocol: extended
    isolation: serializable
    retries: 0
  - {name: pings, mix: {ping: 1}, operations: {ping: {sql: select 1}}, pipeline: 10}
stages:
  - {name: peak, duration: 10s, writes: {rate: 50/s, max_workers: 5}}
thresholds: [write w.sell p95 < 5ms, write pings errors < 1%]
""")
    shown = run(path)
    assert (
        "writes, in postgresql://app@127.0.0.1/app\n"
        "  w: 10 % copy, 30 % upsert, 40 % restock, 20 % sell on products, 20 rows an insert,"
        " updates set stock, zipfian keys, extended protocol, serializable, no retries\n"
        "    restock: update products set stock = stock + ${integer(1, 5)} where id = ${key}\n"
        "    sell, a transaction:\n"
        "      select ${key}\n"
        "      select 2\n"
        "  pings: 100 % ping, 10 in a pipeline\n"
        "    ping: select 1\n"
    ) in shown
    assert "  write w.sell p95 < 5ms: operation sell of w in peak\n" in shown
    assert "  write pings errors < 1%: operations of pings in peak\n" in shown


def test_an_overlay_and_an_assignment_change_the_plan() -> None:
    shown = run(CHECKOUT, "-e", "staging", "--set", "endpoints.browse.weight=2")
    assert "environment staging · random seed 42 · 1 worker process · 55 s of load" in shown
    assert "may touch staging.example.com" in shown
    assert "db: there already at postgresql://app@127.0.0.1/app" in shown
    assert "browse: 50 % of iterations" in shown


def test_secrets_and_passwords_are_masked_in_every_form() -> None:
    url = "postgresql://app:hunter2@127.0.0.1/app"
    header = 'endpoints.browse.headers={Authorization: "Bearer ${API_TOKEN}"}'
    for arguments in ((), ("--yaml",)):
        shown = run(
            CHECKOUT,
            *arguments,
            *("-e", "staging", "--set", header),
            STAGING_DATABASE_URL=url,
            API_TOKEN="s3cr3t",
        )
        assert "hunter2" not in shown
        assert "s3cr3t" not in shown
        assert "postgresql://app:***@127.0.0.1/app" in shown


def test_the_canonical_scenario_in_yaml_is_a_scenario_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "canonical.yaml"
    path.write_text(run(CHECKOUT, "--yaml", "-e", "quick"))
    assert compose(path.read_text(), "").mistakes == ()
    original = load(CHECKOUT, environment="quick", environ={})
    assert load(path, environ={}).scenario == original.scenario


def test_the_canonical_scenario_names_its_files_by_absolute_paths(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    write_files(tmp_path / "here")
    path = tmp_path / "here" / "orders.yaml"
    path.write_text(ORDERS.read_text())
    canonical = tmp_path / "canonical.yaml"
    canonical.write_text(run(path, "--yaml", "-e", "local"))
    original = load(path, environment="local", environ={})
    assert load(canonical, environ={}).scenario == original.scenario


@pytest.mark.parametrize(
    ("arguments", "file"),
    [
        ([], "scenario.schema.json"),
        (["--report"], "report.schema.json"),
        (["--comparison"], "comparison.schema.json"),
    ],
)
def test_the_schemas_are_printed_as_published(arguments: list[str], file: str) -> None:
    result = CliRunner().invoke(schema, arguments)
    assert result.exit_code == 0
    assert json.loads(result.output) == json.loads((ROOT / "schema" / file).read_text())


def test_a_plan_shows_the_settings_of_the_database_that_are_not_the_usual_ones() -> None:
    settings = (
        "database={lock_timeout: 0s, statement_timeout: 5s, min_free_connections: 2,"
        " monitor: {every: 50ms}}"
    )
    shown = run(CHECKOUT, "--set", settings)
    assert (
        "database\n"
        "  connections that stay free: 2\n"
        "  statement timeout: 5 s\n"
        "  lock timeout: none\n"
        "  monitor: every 50 ms\n"
        "\n"
    ) in shown


def test_a_plan_shows_what_is_watched_beside_the_load(tmp_path: Path) -> None:
    path = tmp_path / "watched.yaml"
    path.write_text(
        """\
version: 1
name: watched
services: {api: {command: app}}
base_url: ${services.api.url}
monitor:
  every: 500ms
  processes: {nginx: {port: 80}, init: {pid: 1}, worker: {command: celery.*}}
  prometheus:
    app: {url: "${services.api.url}/metrics", series: {failed: 'requests{status="500"}'}}
    slo: {server: "http://127.0.0.1:9090", queries: {share: "sum(a)\\n / sum(b)"}}
endpoints: [{name: home, request: GET /}]
stages: [{name: only, duration: 10s, endpoints: {vus: 1}}]
built_in_thresholds: false
thresholds:
  - process api memory_growth < 10MB/min
  - host steal < 5%
  - prometheus app.failed rate < 1/s
"""
    )
    shown = run(path)
    assert (
        "watched\n"
        "  every 500 ms\n"
        "  process nginx: what listens on port 80\n"
        "  process init: number 1\n"
        "  process worker: command lines with 'celery.*' in them\n"
        "  metrics of app: ${services.api.url}/metrics\n"
        '    failed: requests{status="500"}\n'
        "  metrics of slo: asked of http://127.0.0.1:9090 at each stage's end\n"
        "    share: sum(a) / sum(b)\n"
    ) in shown
    assert (
        "thresholds\n"
        "  process api memory_growth < 10MB/min: the processes of api in only\n"
        "  host steal < 5%: the host in only\n"
        "  prometheus app.failed rate < 1/s: failed of the metrics of app in only\n"
    ) in shown
    assert "watched\n  neither processes nor the host\n" in run(
        path, "--set=monitor=false", "--set=thresholds=[]"
    )


def test_a_plan_shows_what_mocks_answer_when_and_how_often_not() -> None:
    shown = run(ROOT / "scenarios" / "payments.yaml")
    assert (
        "  payments: a mock\n"
        "    POST /charges: 201\n"
        "      latency p50 20.0 ms, p99 120 ms\n"
        "      fails: 1 % status 503, 30 % status 503 in outage,"
        " 3 % the connection reset in outage\n"
    ) in shown
    assert "  mock payments recovery < 3s: calls of payments in steady, outage, after\n" in shown


def test_a_plan_shows_what_keeps_the_run_within_its_bounds(tmp_path: Path) -> None:
    path = tmp_path / "bounded.yaml"
    path.write_text(
        "version: 1\nname: bounded\nbase_url: http://127.0.0.1:1\n"
        "database: {url: 'postgresql://127.0.0.1/app', require_sentinel: true}\n"
        "budget: {requests: 1_000, bytes: 1GB, duration: 10m}\n"
        "seeding:\n"
        "  - {request: POST /shops, capture: {s: $.id}, undo: 'DELETE /shops/${s}'}\n"
        "  - request: POST /keys\n"
        "    auth: {api_key: {query: key, value: k}}\n"
        "    capture: {k: $.id}\n"
        "    undo: DELETE /keys/${k}\n"
        "endpoints: [{name: look, request: GET /}]\n"
        "stages: [{name: peak, duration: 20s, endpoints: {rate: 100/s}}]\n"
        "teardown:\n"
        "  - {table: audit, owned_by: run_id}\n"
        "  - {request: DELETE /orders, gone: GET /orders}\n"
    )
    shown = run(path).splitlines()
    for line in (
        "  at most 1,000 requests (at least 2,000 requests planned): REFUSED",
        "  at most 1.00 GB",
        "  at most 10 min 0 s (at least 20.0 s planned)",
        "  request: POST /shops, undone by DELETE /shops/${s}",
        "  request: POST /keys, API key auth, undone by DELETE /keys/${k} "
        "with constant headers alone",
        "  must carry a sentinel",
        "  rows of audit whose run_id is the run's id",
        "  request: DELETE /orders, then GET /orders finds nothing",
    ):
        assert line in shown
