"""What requests made is in the ledger before and after, and is removed as it was made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio

from http_server import Exchange, response, serve
from lanes import endpoint, http_scenario, request
from stressrun.data.expressions import parse
from stressrun.load.once import run_once
from stressrun.load.undoing import NOT_KNOWN
from stressrun.run import teardown
from stressrun.run.resources import Resources, doubts, reached
from stressrun.safety.guard import Guard
from stressrun.safety.ledger import Ledger, open_ledger
from stressrun.safety.masking import Mask
from stressrun.scenario.model import (
    ApiKeyAuth,
    BearerAuth,
    CommandService,
    Endpoint,
    Group,
    Readiness,
    Request,
    RequestSeeding,
    RequestTeardown,
    Scenario,
    Undo,
)
from verdict_samples import scenario as sample_scenario

RUN = "run-1"
UNDO = Undo("DELETE", parse("/carts/${cart}"))
POST = "POST /carts"
SITE = "endpoints.make.0"


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
    made.made([(SITE, f"DELETE /carts/{number}") for number in range(1, 4)])
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
    made.made([(SITE, f"DELETE /carts/{number}") for number in (1, 2)])
    made.finish()
    told = f"1 of 2 made by {POST} are left: DELETE /carts/2: answered with status 500"
    assert await undone(ledger) == ([], [told], [])
    (entry,) = ledger.outstanding(RUN)
    assert entry.detail["undo"] == ["DELETE /carts/2"]


async def test_a_service_that_is_gone_is_asked_once_and_not_for_each(ledger: Ledger) -> None:
    made = resources(ledger, 1)
    made.intend(making())
    made.made([(SITE, f"DELETE /carts/{number}") for number in range(1000)])
    made.finish()
    _, (left,), _ = await undone(ledger)
    assert "1,000 of 1,000" in left
    assert "connection refused" in left


async def test_what_many_batches_made_is_told_once(nursery: trio.Nursery, ledger: Ledger) -> None:
    async def removed(exchange: Exchange) -> bytes:
        return response(500 if exchange.path.endswith("/7") else 204)

    server = await nursery.start(serve, removed)
    made = resources(ledger, server.port)
    made.intend(making())
    for batch in range(3):
        made.made([(SITE, f"DELETE /carts/{number}") for number in (2 * batch, 2 * batch + 1)])
    made.finish()
    assert await undone(ledger) == ([f"6 made by {POST}: removed"], [], [])
    for batch in range(3, 6):
        made.made([(SITE, f"DELETE /carts/{number}") for number in (2 * batch, 2 * batch + 1)])
    told = f"1 of 6 made by {POST} are left: DELETE /carts/7: answered with status 500"
    assert await undone(ledger) == ([], [told], [])
    (entry,) = ledger.outstanding(RUN)
    assert entry.detail["undo"] == ["DELETE /carts/7"]


async def test_a_service_that_is_frozen_is_waited_for_once(
    ledger: Ledger, autojump_clock: trio.testing.MockClock
) -> None:
    # Connections to it are made, and nobody ever answers.
    (frozen,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    url = f"http://127.0.0.1:{frozen.socket.getsockname()[1]}"
    steps = (RequestTeardown("DELETE", "/a"), RequestTeardown("DELETE", "/b", gone="/b"))
    teardown.record(replace(sample_scenario(), base_url=url, teardown=steps), {}, ledger, RUN)
    made = Resources(ledger, RUN, {"url": url, "service": None, "disposable": False})
    made.intend(making())
    for batch in range(20):
        made.made([(SITE, f"DELETE /carts/{10 * batch + number}") for number in range(10)])
    made.finish()
    begin = trio.current_time()
    _, left, _ = await undone(ledger)
    assert 30 <= trio.current_time() - begin < 60
    silence = "no answer within 30.0 s"
    assert left == [
        f"200 of 200 made by {POST} are left: DELETE /carts/0: {silence}",
        f"teardown step `DELETE {url}/a`: {silence}",
        f"teardown step `DELETE {url}/b`: {silence}",
    ]
    await frozen.aclose()


async def test_what_went_with_its_service_needs_no_word(ledger: Ledger) -> None:
    place = {"url": "http://127.0.0.1:1", "service": "api", "disposable": True}
    made = Resources(ledger, RUN, place)
    made.intend(making())
    made.made([(SITE, "DELETE /carts/1"), (SITE, NOT_KNOWN)])
    assert await undone(ledger) == ([], [], [])
    assert ledger.outstanding(RUN) == []


async def test_of_a_service_that_has_ended_and_left_its_data_it_is_residue(ledger: Ledger) -> None:
    place = {"url": "http://127.0.0.1:1", "service": "api", "disposable": False}
    made = Resources(ledger, RUN, place)
    made.intend(making())
    made.made([(SITE, "DELETE /carts/1")])
    made.finish()
    why = "DELETE /carts/1: not sent, as the service api has ended"
    assert await undone(ledger) == ([], [f"1 of 1 made by {POST} are left: {why}"], [])


async def test_each_is_removed_as_whoever_made_it(nursery: trio.Nursery, ledger: Ledger) -> None:
    carts: dict[str, str] = {}

    async def of_tenant(exchange: Exchange) -> bytes:
        tenant = exchange.headers["x-tenant"]
        if exchange.method == "POST":
            carts[f"/carts/{len(carts)}"] = tenant
            return response(201, {"id": len(carts) - 1})
        return response(204 if carts.pop(exchange.path, "") == tenant else 404)

    def posts(tenant: str) -> Request:
        headers = {"X-Tenant": tenant}
        return request("POST", "/carts", headers=headers, captures={"cart": "$.id"}, undo=UNDO)

    server = await nursery.start(serve, of_tenant)
    url = f"http://127.0.0.1:{server.port}"
    group = Group((posts("b"), Group((posts("c"),), 2, None)), 1, None)
    endpoints = (endpoint(posts("a"), name="one"), endpoint(posts("a"), group, name="many"))
    scenario = http_scenario(url, endpoints)
    made = Resources(ledger, RUN, {"url": url, "service": None, "disposable": False})
    with made.of(scenario) as recorder:
        errors = await run_once(
            scenario,
            ("one", "many"),
            Guard(),
            run_id=RUN,
            rows={},
            mask=Mask(),
            told=lambda event: None,
            recorder=recorder,
        )
    assert (errors, sorted(carts.values())) == ([], ["a", "a", "b", "c", "c"])
    assert await undone(ledger) == ([f"5 made by {POST}: removed"], [], [])
    assert carts == {}


def test_an_undo_that_will_not_prove_who_asks_is_told_of(ledger: Ledger) -> None:
    login = BearerAuth(parse("${login.token}"))
    told = (
        "DELETE /carts/${cart} has of the auth and the headers of POST /carts only what is always "
        "the same and in a header: where the service asks for more, what is made stays"
    )
    assert doubts(making(auth=login)) == [told]
    assert doubts(making(auth=ApiKeyAuth("key", parse("k"), in_query=True))) == [told]
    assert doubts(making(headers=(("X-Tenant", parse("${tenants.id}")),))) == [told]
    (post,) = making(auth=login).endpoints[0].requests
    seeded = replace(making(), endpoints=(), seeding=(RequestSeeding(post), RequestSeeding(post)))
    assert doubts(seeded) == [told]
    assert doubts(making(auth=BearerAuth(parse("key")))) == []
    assert doubts(making(headers=(("X-Request", parse("${uuid}")),))) == []
    assert (
        doubts(replace(making(), endpoints=(Endpoint("a", 1, (replace(post, undo=None),)),))) == []
    )


@pytest.mark.parametrize(
    ("base_url", "service"),
    [
        ("http://127.0.0.1:8000", "api"),
        ("http://localhost:8000/v1/", "api"),
        ("https://[::1]:8000", "api"),
        ("http://staging:8000", None),
        ("http://10.1.2.3:8000", None),
        ("http://127.0.0.1:8001", None),
        (None, None),
    ],
)
def test_a_service_of_the_run_is_known_by_its_address(
    base_url: str | None, service: str | None
) -> None:
    api = CommandService("api", ("serve",), {}, ".", 8000, Readiness(None, 5))
    scenario = replace(sample_scenario(), base_url=base_url, services=(api,))
    assert reached(scenario, {"services.api.port": "8000"})["service"] == service


async def test_what_is_made_one_by_one_is_known_when_it_is_answered(ledger: Ledger) -> None:
    def under_way() -> list[bool]:
        entries = [entry.detail for entry in ledger.outstanding(RUN)]
        return [detail["under_way"] for detail in entries if "under_way" in detail]

    made = resources(ledger, 1)
    for _ in range(2):
        with made.of(making()) as recorder:
            assert under_way() == [True]
            recorder.made.append((SITE, "DELETE /carts/1"))
        assert under_way() == [False]
    assert len(ledger.outstanding(RUN)) == 3


async def test_what_nobody_saw_made_is_told_and_no_residue(ledger: Ledger) -> None:
    made = resources(ledger, 1)
    made.intend(making())
    made.made([(SITE, NOT_KNOWN)])
    made.made([(SITE, NOT_KNOWN), (SITE, NOT_KNOWN)])
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
        (200, '{"orders": 0}', ""),
        (200, "null", "finds null"),
        (200, '""', 'finds ""'),
        (200, "{}", "finds {}"),
        (200, '{"error": null}', 'finds {"error": null}'),
        (200, '{"error": ""}', 'finds {"error": ""}'),
        (200, '{"left": false}', 'finds {"left": false}'),
        (200, f"[{' ' * 100_000}]", "larger than"),
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
