"""Exporters and Prometheus servers over HTTP, and all that they may answer instead."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import pytest
import trio

from http_server import Exchange, Server, serve
from stressrun.metrics.scraped import Scraped
from stressrun.monitor.exposition import UnreadableError
from stressrun.monitor.prometheus import Access, Asker, Scraper, value_of
from stressrun.safety.guard import Guard
from stressrun.scenario.model import Exporter, PrometheusServer
from stressrun.scenario.selector import parse_selector

SERIES = {"done": parse_selector("done_total"), "heap": parse_selector("heap")}


def same(text: str) -> str:
    return text


def answered(body: bytes, headers: str = "Content-Type: text/plain", status: int = 200) -> bytes:
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{headers}\r\n\r\n"
    return head.encode() + body


def vector(*values: str) -> str:
    found = [{"metric": {}, "value": [1, value]} for value in values]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": found}})


async def scraped(
    nursery: trio.Nursery, answer: Callable[[Exchange], Awaitable[bytes | None]], looks: int = 0
) -> Scraped:
    """A stage of an exporter with so many looks between its ends."""
    server: Server = await nursery.start(serve, answer)
    exporter = Exporter("app", f"http://127.0.0.1:{server.port}/metrics", SERIES)
    scraper = Scraper(exporter, 1.0, Access(Guard()), same)
    await scraper.prepare()
    for _ in range(looks):
        await scraper._scrape()
    return await scraper.finish()


async def test_an_exporter_is_read_from_a_stage_s_start_to_its_end(nursery: trio.Nursery) -> None:
    asked: list[Exchange] = []

    async def answer(exchange: Exchange) -> bytes:
        asked.append(exchange)
        n = len(asked)
        return answered(f"# TYPE done_total counter\ndone_total {10 * n}\nheap {n}\n".encode())

    found = await scraped(nursery, answer, looks=2)
    done, heap = found.series
    assert (found.name, found.samples, found.gaps) == ("app", 3, ())
    assert (done.kind, done.increase) == ("counter", 30)
    assert (heap.least, heap.most, heap.last) == (1, 4, 4)
    assert asked[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("body", "headers", "status", "why"),
    [
        (b"no", "A: b", 503, "it answered with status 503"),
        (b"<p>", "Content-Type: text/html", 200, "it answered with a page of HTML, not with"),
        (b"heap one\n", "A: b", 200, "its metrics cannot be read"),
        (b"\x1f\x8b", "Content-Encoding: gzip", 200, "its answer is compressed"),
        (b"x" * 16_000_001, "A: b", 200, "its answer is larger than 16.0 MB"),
        (b"\xff\xfe\x00\x1b[2J", "A: b", 200, ""),
    ],
    ids=["status", "html", "nonsense", "compressed", "huge", "bytes"],
)
async def test_what_is_no_metrics_is_told_once(
    nursery: trio.Nursery, body: bytes, headers: str, status: int, why: str
) -> None:
    async def answer(_: Exchange) -> bytes:
        return answered(body, headers, status)

    found = await scraped(nursery, answer, looks=3)
    if why:
        (gap,) = found.gaps
        assert gap.why.startswith(why)
        assert {series.missing for series in found.series} == {gap.why}
    else:
        assert [s.missing for s in found.series] == [
            "there is no series done_total",
            "there is no series heap",
        ]
    assert all(series.increase is None and series.mean is None for series in found.series)


async def test_a_pattern_that_searches_for_ever_is_told_and_the_other_series_are_read(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stressrun.data.bounded.LIMIT", 0.05)
    slow = 'done_total{by=~"(a+)+$"}'
    monkeypatch.setitem(SERIES, "done", parse_selector(slow))

    async def answer(_: Exchange) -> bytes:
        return answered(f'done_total{{by="{"a" * 64}!"}} 1\nheap 1\n'.encode())

    done, heap = (await scraped(nursery, answer, looks=2)).series
    assert done.missing.startswith(f"a pattern of {slow}: the search for it took longer than 1 s")
    assert heap.last == 1


async def test_an_exporter_that_dies_leaves_no_figures_and_one_gap(nursery: trio.Nursery) -> None:
    answers = 0

    async def answer(_: Exchange) -> bytes | None:
        nonlocal answers
        answers += 1
        return answered(b"done_total 1\nheap 1\n") if answers < 3 else None

    found = await scraped(nursery, answer, looks=3)
    assert found.samples == 1
    assert len(found.gaps) == 1
    assert {series.missing for series in found.series} == {found.gaps[0].why}


async def test_an_exporter_that_was_gone_for_a_while_has_figures_and_a_gap(
    nursery: trio.Nursery,
) -> None:
    answers = 0

    async def answer(_: Exchange) -> bytes | None:
        nonlocal answers
        answers += 1
        return None if answers == 3 else answered(f"done_total {answers}\nheap 1\n".encode())

    found = await scraped(nursery, answer, looks=3)
    assert len(found.gaps) == 1
    assert found.series[0].increase == 4


async def test_a_port_where_nobody_listens_is_told(nursery: trio.Nursery) -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    scraper = Scraper(Exporter("app", f"http://127.0.0.1:{port}", SERIES), 1, Access(Guard()), same)
    await scraper.prepare()
    found = await scraper.finish()
    assert found.gaps[0].why == "connection refused"


async def test_the_guard_is_asked_at_each_connect(nursery: trio.Nursery) -> None:
    scraper = Scraper(Exporter("app", "http://192.0.2.1:9", SERIES), 1, Access(Guard()), same)
    await scraper.prepare()
    found = await scraper.finish()
    assert found.series[0].missing.startswith("the guard refused 192.0.2.1")


async def test_a_server_is_asked_at_the_end_of_a_stage(nursery: trio.Nursery) -> None:
    asked: list[str] = []

    async def answer(exchange: Exchange) -> bytes:
        asked.append(exchange.path)
        if "broken" in exchange.path:
            told = {"status": "error", "errorType": "bad_data", "error": "parse \x1b[2Jerror"}
            return answered(json.dumps(told).encode(), "Content-Type: application/json", 400)
        return answered(vector("0.25").encode(), "Content-Type: application/json")

    server: Server = await nursery.start(serve, answer)
    queries = {"share": 'sum(rate(a{b="c"}[$__range]))', "wrong": "broken("}
    source = PrometheusServer("slo", f"http://127.0.0.1:{server.port}/", queries)
    asker = Asker(source, Access(Guard()), same)
    await asker.prepare()
    share, wrong = (await asker.finish()).series
    assert (share.kind, share.value, share.missing) == ("query", 0.25, "")
    assert (wrong.value, wrong.missing) == (None, "the query failed: parse [2Jerror")
    assert "/api/v1/query?query=sum%28rate%28a%7Bb%3D%22c%22%7D%5B1s%5D%29%29" in asked, asked


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (vector(), "the query gave nothing"),
        (vector("1", "2"), "the query gave 2 series, not one value: sum(…) them"),
        (vector("NaN"), "the query gave nan"),
        (vector("+Inf"), "the query gave inf"),
        (vector("x"), "its answer is not one of Prometheus' HTTP API"),
        (
            '{"status": "success", "data": {"resultType": "matrix", "result": []}}',
            "the query gave a matrix, not one value",
        ),
        ("[" * 100_000, "its answer is not one of Prometheus' HTTP API"),
        ("[]", "its answer is not one of Prometheus' HTTP API"),
        ("null", "its answer is not one of Prometheus' HTTP API"),
        ('{"status": "error"}', "its answer is not one of Prometheus' HTTP API"),
    ],
)
def test_an_answer_that_is_not_one_value_is_told(text: str, why: str) -> None:
    with pytest.raises(UnreadableError) as told:
        value_of(text)
    assert str(told.value) == why


def test_a_scalar_is_one_value() -> None:
    told = {"status": "success", "data": {"resultType": "scalar", "result": [1, "1e3"]}}
    assert value_of(json.dumps(told)) == 1000
