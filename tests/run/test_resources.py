"""What requests made is in the ledger before and after, and is removed as it was made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio

from http_server import Exchange, response, serve
from stressrun.data.expressions import parse
from stressrun.load.undoing import NOT_KNOWN
from stressrun.run import teardown
from stressrun.run.resources import Resources
from stressrun.safety.guard import Guard
from stressrun.safety.ledger import Ledger, open_ledger
from stressrun.scenario.model import BearerAuth, Endpoint, Request, RequestTeardown, Scenario, Undo
from verdict_samples import scenario as sample_scenario

RUN = "run-1"
UNDO = Undo("DELETE", parse("/carts/${cart}"))
POST = "POST /carts"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path) as opened:
        yield opened


def making(**request: Any) -> Scenario:
    made = Request("make", "POST", parse("/carts"), undo=UNDO, **request)
    return replace(sample_scenario(), endpoints=(Endpoint("make", 1, (made,)),))


def resources(ledger: Ledger, port: int) -> Resources:
    place = {"url": f"http://127.0.0.1:{port}/v1", "service": None, "disposable": False}
    return Resources(ledger, RUN, place)


async def undone(ledger: Ledger) -> tuple[list[str], list[str], list[str]]:
    told: list[str] = []
    result = await teardown.undo_data(ledger, Guard(), RUN, told.append)
    return result.removed, result.left, [line for line in told if line not in result.removed]


async def test_it_is_removed_by_requests_that_prove_who_asks(
    nursery: trio.Nursery, ledger: Ledger
) -> None:
    async def removed(exchange: Exchange) -> bytes:
        return response(404 if exchange.path.endswith("/3") else 204)

    server = await nursery.start(serve, removed)
    made = resources(ledger, server.port)
    headers = (("X-Tenant", parse("t")), ("X-Request", parse("${uuid}")))
    made.intend(making(headers=headers, auth=BearerAuth(parse("key"))))
    assert [entry.detail["under_way"] for entry in ledger.outstanding(RUN)] == [True]
    made.made([(POST, f"DELETE /carts/{number}") for number in range(1, 4)])
    made.finish()
    assert await undone(ledger) == ([f"3 made by {POST}: removed"], [], [])
    assert {exchange.path for exchange in server.exchanges} == {f"/v1/carts/{n}" for n in (1, 2, 3)}
    for exchange in server.exchanges:
        assert exchange.headers["authorization"] == "Bearer key"
        assert exchange.headers["x-tenant"] == "t"
        assert "x-request" not in exchange.headers
    assert ledger.outstanding(RUN) == []


async def test_what_could_not_be_removed_stays_in_the_ledger(
    nursery: trio.Nursery, ledger: Ledger
) -> None:
    async def refused(exchange: Exchange) -> bytes:
        return response(500 if exchange.path.endswith("/2") else 204)

    server = await nursery.start(serve, refused)
    made = resources(ledger, server.port)
    made.intend(making())
    made.made([(POST, f"DELETE /carts/{number}") for number in (1, 2)])
    made.finish()
    told = f"1 of 2 made by {POST} are left: DELETE /carts/2: answered with status 500"
    assert await undone(ledger) == ([], [f"2 made by {POST}: {told}"], [])
    (entry,) = ledger.outstanding(RUN)
    assert entry.detail["undo"] == ["DELETE /carts/2"]


async def test_a_service_that_is_gone_is_asked_once_and_not_for_each(ledger: Ledger) -> None:
    made = resources(ledger, 1)
    made.intend(making())
    made.made([(POST, f"DELETE /carts/{number}") for number in range(1000)])
    made.finish()
    _, (left,), _ = await undone(ledger)
    assert "1000 of 1000" in left
    assert "connection refused" in left


async def test_what_is_made_one_by_one_is_known_when_it_is_answered(ledger: Ledger) -> None:
    def under_way() -> list[bool]:
        entries = [entry.detail for entry in ledger.outstanding(RUN)]
        return [detail["under_way"] for detail in entries if "under_way" in detail]

    made = resources(ledger, 1)
    for _ in range(2):
        with made.of(making()) as recorder:
            assert under_way() == [True]
            recorder.made.append((POST, "DELETE /carts/1"))
        assert under_way() == [False]
    assert len(ledger.outstanding(RUN)) == 3


async def test_what_nobody_saw_made_is_told_and_no_residue(ledger: Ledger) -> None:
    made = resources(ledger, 1)
    made.intend(making())
    made.made([(POST, NOT_KNOWN)])
    made.made([(POST, NOT_KNOWN), (POST, NOT_KNOWN)])
    made.finish()
    doubt = f"3 × {POST} without an answer may have made what is left now"
    assert await undone(ledger) == ([], [], [doubt])


async def test_of_a_run_that_was_killed_the_last_moment_is_residue(ledger: Ledger) -> None:
    resources(ledger, 1).intend(making())
    _, (left,), _ = await undone(ledger)
    assert left.startswith(f"requests of {POST}: what they made last nobody was told")
    assert len(ledger.outstanding(RUN)) == 1


@pytest.mark.parametrize(
    ("status", "body", "left"),
    [
        (404, "no", ""),
        (410, "", ""),
        (204, "", ""),
        (200, "[]", ""),
        (200, "0", ""),
        (200, "null", ""),
        (200, '{"orders": 0}', ""),
        (200, '{"items": []}', ""),
        (200, "[1]", "finds [1]"),
        (200, '{"orders": 1}', 'finds {"orders": 1}'),
        (200, '{"orders": 0, "page": 1}', "finds "),
        (200, "false", "finds false"),
        (200, "<html>", "finds <html>"),
        (500, "[]", "answered with status 500"),
        (403, "[]", "answered with status 403"),
    ],
)
async def test_after_a_purge_it_is_asked_whether_anything_is_left(
    nursery: trio.Nursery, ledger: Ledger, status: int, body: str, left: str
) -> None:
    async def answer(exchange: Exchange) -> bytes:
        return response(204) if exchange.method == "DELETE" else plain(status, body)

    server = await nursery.start(serve, answer)
    step = RequestTeardown("DELETE", "/orders?by=run-1", gone="/orders?by=run-1")
    scenario = replace(
        sample_scenario(), base_url=f"http://127.0.0.1:{server.port}", teardown=(step,)
    )
    teardown.record(scenario, {}, ledger, RUN)
    removed, problems, _ = await undone(ledger)
    assert [exchange.method for exchange in server.exchanges] == ["DELETE", "GET"]
    if left:
        assert left in problems[0]
    else:
        assert removed[0].endswith("/orders?by=run-1 finds nothing")
        assert problems == ledger.outstanding(RUN) == []


def plain(status: int, body: str) -> bytes:
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body.encode()
