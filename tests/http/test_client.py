import pytest
import trio

from http_server import Exchange, response, serve
from stressrun.errors import RefusedError
from stressrun.http.client import NoAnswerError, fetch, fetch_status
from stressrun.safety.guard import Guard


async def ok(exchange: Exchange) -> bytes:
    return response(200, {"host": exchange.headers["host"]})


async def test_a_name_keeps_its_place_in_the_host_header(nursery: trio.Nursery) -> None:
    server = await nursery.start(serve, ok)
    url = f"http://localhost:{server.port}/x"
    answer = await fetch("POST", url, guard=Guard(), timeout=5, json={"a": 1})
    assert answer.json() == {"host": f"localhost:{server.port}"}
    (exchange,) = server.exchanges
    assert (exchange.method, exchange.path, exchange.body) == ("POST", "/x", b'{"a":1}')


async def test_a_refused_host_is_never_connected_to() -> None:
    with pytest.raises(RefusedError):
        await fetch("GET", "http://192.0.2.7/", guard=Guard(), timeout=5)


async def test_a_redirect_is_not_followed(nursery: trio.Nursery) -> None:
    async def elsewhere(exchange: Exchange) -> bytes:
        return response(302, headers="Location: http://192.0.2.7/\r\n")

    server = await nursery.start(serve, elsewhere)
    url = f"http://127.0.0.1:{server.port}/"
    assert (await fetch("GET", url, guard=Guard(), timeout=5)).status_code == 302


async def test_proxies_of_the_environment_are_not_used(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://192.0.2.7:3128")
    server = await nursery.start(serve, ok)
    answer = await fetch("GET", f"http://127.0.0.1:{server.port}/", guard=Guard(), timeout=5)
    assert answer.status_code == 200


async def test_of_a_status_alone_the_rest_of_the_answer_is_not_read(nursery: trio.Nursery) -> None:
    async def endless(exchange: Exchange) -> bytes:
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1000000000\r\n\r\n"
        return head + b"no gzip" * 100_000

    server = await nursery.start(serve, endless)
    url = f"http://127.0.0.1:{server.port}/carts/7"
    headers = {"Authorization": "Bearer key"}
    assert await fetch_status("DELETE", url, guard=Guard(), timeout=60, headers=headers) == 200
    (exchange,) = server.exchanges
    assert (exchange.method, exchange.path) == ("DELETE", "/carts/7")
    assert exchange.headers["authorization"] == "Bearer key"
    assert exchange.headers["accept-encoding"] == "identity"


async def test_a_status_that_does_not_come_is_told(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    async def silent(exchange: Exchange) -> bytes:
        await trio.sleep_forever()
        raise AssertionError

    server = await nursery.start(serve, silent)
    url = f"http://127.0.0.1:{server.port}/"
    with pytest.raises(NoAnswerError, match=r"no answer within 5\.00 s"):
        await fetch_status("DELETE", url, guard=Guard(), timeout=5)
    with pytest.raises(NoAnswerError, match="connection refused"):
        await fetch_status("DELETE", "http://127.0.0.1:1/", guard=Guard(), timeout=5)
