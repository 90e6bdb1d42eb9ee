"""`scenarios/checkout.yaml` as a user runs it: its numbers are those that others counted."""

import json
from pathlib import Path

import httpx
import jsonschema
import psycopg
from runs import CHECKOUT, ROOT, assert_nothing_is_left, kept_run, stressrun

# Short stages have too few checkouts for the p99 that the scenario asks for, and of fifteen
# arrivals one that a busy machine is late for is more than a twentieth.
SHORT = [
    "--set=built_in_thresholds=false",
    "--set=thresholds=[http errors < 1%]",
    *(f"--set=stages.{name}.duration=300ms" for name in ("warm-up", "ramp", "peak", "users")),
]


def test_the_report_counts_what_the_service_and_the_database_counted(tmp_path: Path) -> None:
    with kept_run(tmp_path, CHECKOUT, *SHORT) as (ended, urls):
        requests = httpx.get(f"{urls['api']}/requests").json()
        with psycopg.connect(urls["db"]) as connection:
            rows = {
                table: connection.execute(f"select count(*) from {table}").fetchone()[0]
                for table in ("products", "carts", "orders", "load_test_data")
            }
    endpoints, steps, operations = map(ended.rows, ("endpoint", "step", "operation"))
    for row in [*endpoints.values(), *steps.values(), *operations.values()]:
        # A busy machine may be too late for some.
        assert row["planned"] - row["dropped"] == row["succeeded"] > 0
    served = {(r["method"], r["route"]): r["count"] for r in requests["routes"]}
    assert served.pop(("GET", "/healthz")) > 0
    assert served == {
        ("GET", "/products/{id}"): endpoints["browse"]["succeeded"],
        ("GET", "/products"): endpoints["list"]["succeeded"],
        ("POST", "/carts"): steps["checkout: POST /carts"]["succeeded"],
        ("POST", "/carts/{id}/checkout"): steps["checkout: POST /carts/${cart}/checkout"][
            "succeeded"
        ],
    }
    assert rows == {
        "products": 10_000,
        "carts": endpoints["checkout"]["succeeded"],
        "orders": endpoints["checkout"]["succeeded"],
        "load_test_data": 5_000 + 10 * operations["audit.insert"]["succeeded"],
    }


def test_a_run_leaves_nothing_and_its_report_is_valid(tmp_path: Path) -> None:
    ended = stressrun(tmp_path, CHECKOUT, *SHORT, "--report-dir", tmp_path / "reports")
    assert ended.code == 0, ended.output
    assert_nothing_is_left(ended)
    report = json.loads((tmp_path / "reports" / "report.json").read_text())
    schema = json.loads((ROOT / "schema" / "report.schema.json").read_text())
    jsonschema.validate(report, schema)
    assert (report["verdict"], report["exit_code"]) == ("passed", 0)
    assert [stage["name"] for stage in report["stages"]] == ["warm-up", "ramp", "peak", "users"]
    planned = {
        stage["name"]: sum(r["planned"] for r in stage["rows"] if r["kind"] == "endpoint")
        for stage in report["stages"]
    }
    assert (planned["warm-up"], planned["ramp"], planned["peak"]) == (15, 45, 75)
    for name in ("browse", "checkout", "└ POST /carts", "audit.insert", "verdict: passed"):
        assert name in ended.output
