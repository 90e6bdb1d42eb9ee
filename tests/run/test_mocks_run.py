"""Runs with mocked third parties, as a user has them."""

from __future__ import annotations

import resource
import signal
import socket
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from runs import (
    PATIENCE,
    ROOT,
    Ended,
    Run,
    assert_nothing_is_left,
    assert_told,
    kept_run,
    stressrun,
)

from stressrun.errors import SetupError
from stressrun.run.mocks import listening
from stressrun.services.ports import PortTakenError

MOCKED = Path(__file__).with_name("mocked.yaml")
PAYMENTS = ROOT / "scenarios" / "payments.yaml"
SHORT = (
    "--set=stages.calm.duration=1s",
    "--set=stages.outage.duration=1s",
    "--set=stages.after.duration=1s",
    "--set=thresholds=[]",
)


def calls(ended: Ended, stage: int, route: int) -> dict[str, Any]:
    (mock,) = ended.report["stages"][stage]["mocks"]
    found: dict[str, Any] = mock["routes"][route]
    return found


def test_a_mock_fails_in_its_stage_and_what_it_counts_is_what_was_sent(tmp_path: Path) -> None:
    ended = stressrun(tmp_path, MOCKED, "--report=markdown=page.md")
    assert_told(ended, 0)
    for number, stage in enumerate(ended.report["stages"]):
        sent = {row["name"]: row["succeeded"] + row["failed"] for row in stage["rows"]}
        sent["pay"] += sum(row["retried"] for row in stage["rows"] if row["name"] == "pay")
        assert (sent["pay"], sent["look"]) == (
            calls(ended, number, 0)["calls"],
            calls(ended, number, 1)["calls"],
        )
    pay = next(row for row in ended.report["stages"][1]["rows"] if row["name"] == "pay")
    failed = Counter(calls(ended, 1, 0)["failures"])
    assert pay["errors"] == {"status 503": failed["status"], "reset": failed["reset"]}
    assert calls(ended, 0, 0)["failures"] == {}
    look = calls(ended, 1, 1)
    assert Counter(look["statuses"])["429"] == look["limited"] > 0
    (recovery,) = ended.report["recoveries"]
    assert (recovery["mock"], recovery["stage"], recovery["following"]) == (
        *("pay", "outage", "after"),
    )
    for shown in (ended.output, (tmp_path / "page.md").read_text()):
        assert "after outage of mock pay: back at 0 % of failures" in shown
        assert "made to fail" in shown
    assert_nothing_is_left(ended)


def test_another_port_helps_only_where_one_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTakenError, match="Address already in use"):
            listening("m", port)
    most, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limit))
    try:
        with pytest.raises(SetupError) as told:
            listening("m", port)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, limit))
    assert not isinstance(told.value, PortTakenError)
    assert told.value.message == f"mock 'm' cannot have its port {port}: Too many open files"


def test_a_signal_while_a_mock_starts_is_told_as_every_other(tmp_path: Path) -> None:
    # Of two that start together, one has to draw data first: it has not said that it is ready.
    slow = "[{on: GET /, respond: {body: '${faker.name} ${faker.address} ${faker.company}'}}]"
    run = Run(tmp_path, MOCKED, f"--set=services.slow.mock={slow}")
    run.wait_for("mock pay is ready")
    run.signal(signal.SIGINT)
    ended = run.end()
    assert_told(ended, 130, "stopped by SIGINT")
    assert_nothing_is_left(ended)


@pytest.mark.faults
def test_requests_without_a_route_are_shown(tmp_path: Path) -> None:
    ended = stressrun(
        tmp_path,
        MOCKED,
        *SHORT,
        "--set=services.pay.mock=[{on: GET /charges, respond: {body: none}}]",
        "--set=endpoints.look.request=GET /a%1B[2J",
    )
    assert ended.code == 0, ended.output
    assert "requests had no route: POST /charges" in ended.output
    assert "\x1b" not in ended.output


@pytest.mark.faults
def test_a_mock_that_is_kept_goes_on_answering_and_clean_ends_it(tmp_path: Path) -> None:
    with kept_run(tmp_path, MOCKED, *SHORT) as (ended, urls):
        answer = httpx.post(f"{urls['pay']}/charges", json={"amount": 7})
        assert (answer.status_code, answer.json()["amount"]) == (201, 7)
        (process,) = [p for p in psutil.process_iter() if is_mock_of(p, ended.run_id)]
        # Without its controller it still waits for clients, instead of looking again and again.
        deadline = time.monotonic() + PATIENCE
        while process.status() != psutil.STATUS_SLEEPING and time.monotonic() < deadline:
            pass
        assert process.status() == psutil.STATUS_SLEEPING


def is_mock_of(process: psutil.Process, run_id: str) -> bool:
    try:
        return process.environ().get("STRESSRUN_SERVICE") == f"{run_id}/pay"
    except psutil.Error:
        return False


@pytest.mark.faults
def test_a_shop_tries_payments_again_while_their_service_fails(tmp_path: Path) -> None:
    ended = stressrun(tmp_path, PAYMENTS, "--set=built_in_thresholds=false")
    assert_told(ended, 0)
    steady, outage = (ended.report["stages"][number]["mocks"][0] for number in (1, 2))
    assert outage["amplification"] > 1.3 * steady["amplification"]
    for stage in ended.report["stages"]:
        (shop,) = (row for row in stage["rows"] if row["name"].endswith("/checkout"))
        (mock,) = stage["mocks"]
        answered = mock["routes"][0]["statuses"]
        # One that the shop did not wait for is answered all the same.
        assert answered["201"] >= shop["succeeded"]
    assert_nothing_is_left(ended)
