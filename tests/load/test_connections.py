"""How connections are opened, kept and told of, against real servers."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Awaitable, Callable
from math import inf
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme
from served import against, errors, ok, only, times

from http_server import Exchange, response
from lanes import endpoint, request
from stressrun.scenario.model import Http, Think, Tls

TWO_STEPS = endpoint(request(path="/1"), request(path="/2"))


# Keeping connections.


@pytest.mark.parametrize(("reuse", "connections"), [("vu", 1), ("iteration", 5), ("none", 10)])
async def test_a_connection_is_used_again_as_far_as_the_scenario_says(
    reuse: str, connections: int
) -> None:
    recorder, server = await against(
        ok, TWO_STEPS, load=times(5), duration=20, http=Http(reuse=reuse)
    )
    assert recorder.rows["endpoint", "e"].succeeded == 5
    assert (server.connections, recorder.connect.count) == (connections, connections)
    assert len(server.exchanges) == 10


@pytest.mark.parametrize("reuse", ["vu", "iteration", "none"])
async def test_virtual_users_share_no_connection(reuse: str) -> None:
    gathered = trio.Event()
    streams: set[object] = set()

    async def answer(exchange: Exchange) -> bytes:
        streams.add(exchange.stream)
        if len(streams) == 4:
            gathered.set()
        await gathered.wait()
        return response(200, {})

    recorder, server = await against(
        answer, endpoint(request()), load=times(4, vus=4), duration=20, http=Http(reuse=reuse)
    )
    assert (only(recorder).succeeded, server.connections) == (4, 4)


async def test_a_server_that_closes_politely_is_asked_over_a_new_connection() -> None:
    async def answer(exchange: Exchange) -> bytes:
        return response(200, {}, "Connection: close\r\n")

    recorder, server = await against(answer, endpoint(request("POST")), load=times(5), duration=20)
    row = only(recorder)
    assert (row.succeeded, row.retried, server.connections) == (5, 0, 5)


async def test_a_connection_that_is_closed_during_a_pause_costs_no_retry() -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.stream.send_all(response(200, {}))

    pause = Think(0.05, 0.05)
    pausing = endpoint(request("POST"), pause, request("POST", "/2"), pause)
    recorder, server = await against(answer, pausing, load=times(3), duration=20)
    assert recorder.rows["endpoint", "e"].succeeded == 3
    assert {row.retried for row in recorder.rows.values()} == {0}
    assert server.connections == 6


# TLS.


class Certificates:
    """An authority, its certificate and a client's in files, and contexts of a server."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.ca = str(folder / "ca.pem")
        self.client = str(folder / "client.pem")
        self.authority.cert_pem.write_to_path(self.ca)
        client = self.authority.issue_cert("client@example.com")
        client.private_key_and_cert_chain_pem.write_to_path(self.client)

    def server(self, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.authority.issue_cert("127.0.0.1", "::1", "localhost").configure_cert(context)
        if version is not None:
            context.minimum_version = context.maximum_version = version
        return context

    def http(self, **others: Any) -> Http:
        return Http(tls=Tls(ca=self.ca, **others))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_tls_connections_are_kept_and_timed(
    certificates: Certificates, version: ssl.TLSVersion, host: str
) -> None:
    recorder, server = await against(
        ok,
        endpoint(request(captures={"id": "$.id"})),
        host=host,
        load=times(20, vus=2),
        duration=20,
        tls=certificates.server(version),
        http=certificates.http(),
    )
    assert only(recorder).succeeded == 20
    assert recorder.connect.count == recorder.tls.count == server.connections <= 2


async def test_plain_connections_have_no_time_of_tls() -> None:
    recorder, _ = await against(ok, endpoint(request()), load=times(3), duration=20)
    assert (recorder.connect.count, recorder.tls.count) == (1, 0)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_server_that_asks_for_a_certificate_is_shown_the_clients(
    certificates: Certificates, version: ssl.TLSVersion
) -> None:
    context = certificates.server(version)
    context.verify_mode = ssl.CERT_REQUIRED
    certificates.authority.configure_trust(context)

    async def answer(exchange: Exchange) -> bytes:
        stream = exchange.stream
        assert isinstance(stream, trio.SSLStream)
        names = stream.getpeercert()["subjectAltName"]
        return response(200, {"id": names[0][1]})

    shown = request(captures={"id": "$.id"}), request(path="/${id}")
    http = certificates.http(certificate=certificates.client)
    recorder, server = await against(
        answer, endpoint(*shown), load=times(1), duration=20, tls=context, http=http
    )
    assert recorder.rows["endpoint", "e"].succeeded == 1
    assert server.exchanges[1].path == "/client%40example.com"


async def test_without_verification_any_certificate_will_do() -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("elsewhere.test").configure_cert(context)
    http = Http(tls=Tls(verify=False))
    recorder, _ = await against(
        ok, endpoint(request()), load=times(3), duration=20, tls=context, http=http
    )
    assert only(recorder).succeeded == 3


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_large_bodies_pass_through_tls_both_ways(
    certificates: Certificates, version: ssl.TLSVersion
) -> None:
    async def answer(exchange: Exchange) -> bytes:
        return response(200, {"echo": exchange.body.decode()})

    text = "".join(f"{number}," for number in range(300_000))
    big = endpoint(
        request("POST", json_body={"text": text}, captures={"echo": "$.echo"}),
        request("PUT", json_body="${echo}"),
    )
    recorder, server = await against(
        answer,
        big,
        load=times(1),
        duration=60,
        tls=certificates.server(version),
        http=certificates.http(),
    )
    assert recorder.rows["endpoint", "e"].succeeded == 1
    first, second = (exchange.body for exchange in server.exchanges)
    assert text.encode() in first
    assert second.count(b",") == first.count(b",")
    assert server.connections == 1


async def test_tls_connections_survive_pauses(certificates: Certificates) -> None:
    pausing = endpoint(request(), Think(0.01, 0.02), request(path="/2"), Think(0.01, 0.01))
    recorder, server = await against(
        ok,
        pausing,
        load=times(5),
        duration=20,
        tls=certificates.server(),
        http=certificates.http(),
    )
    assert (recorder.rows["endpoint", "e"].succeeded, server.connections) == (5, 1)


# Where connections go.


async def test_a_unix_socket_takes_the_place_of_the_host(tmp_path: Path) -> None:
    path = str(tmp_path / "api.sock")
    with trio.socket.socket(socket.AF_UNIX) as bound:
        await bound.bind(path)
        bound.listen()
        recorder, server = await against(
            ok,
            endpoint(request(path="/a")),
            host="api.test",
            load=times(5),
            duration=20,
            http=Http(unix_socket=path),
            listeners=[trio.SocketListener(bound)],
        )
    assert (only(recorder).succeeded, server.connections) == (5, 1)
    assert server.exchanges[0].headers["host"].startswith("api.test")


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not _has_ipv6(), reason="this host has no IPv6")
@pytest.mark.parametrize("secure", [False, True])
async def test_an_address_may_be_one_of_ipv6(certificates: Certificates, secure: bool) -> None:
    recorder, server = await against(
        ok,
        endpoint(request()),
        host="[::1]",
        load=times(5),
        duration=20,
        listeners=await trio.open_tcp_listeners(0, host="::1"),
        tls=certificates.server() if secure else None,
        http=certificates.http(),
    )
    assert (only(recorder).succeeded, server.connections) == (5, 1)
    assert server.exchanges[0].headers["host"] == f"[::1]:{server.port}"


class Names(trio.abc.HostnameResolver):
    """Resolves every name to `addresses`."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.asked = 0

    async def getaddrinfo(self, host: bytes | None, port: Any, *how: Any) -> Any:
        self.asked += 1
        return [(0, socket.SOCK_STREAM, 6, "", (address, port)) for address in self.addresses]

    async def getnameinfo(self, sockaddr: Any, flags: int) -> tuple[str, str]:
        raise NotImplementedError


async def test_the_next_address_of_a_name_is_tried_where_one_refuses() -> None:
    trio.socket.set_custom_hostname_resolver(Names("::1", "127.0.0.9", "127.0.0.1"))
    recorder, server = await against(
        ok,
        endpoint(request("POST")),
        host="api.test",
        load=times(5),
        duration=20,
        http=Http(reuse="none"),
    )
    row = only(recorder)
    assert (row.succeeded, row.retried, server.connections) == (5, 0, 5)
    assert recorder.connect.count == 5


async def test_a_name_none_of_whose_addresses_answers_is_refused() -> None:
    trio.socket.set_custom_hostname_resolver(Names("127.0.0.9", "127.0.0.8"))
    recorder, _ = await against(
        ok, endpoint(request()), host="api.test", load=times(5), duration=20
    )
    assert errors(recorder) == {"refused": 5}


@pytest.mark.parametrize(
    ("resolve_after", "reuse", "asked"),
    [(inf, "none", 1), (60, "none", 1), (0, "none", 6), (0, "vu", 2), (inf, "vu", 1)],
)
async def test_a_name_is_resolved_as_often_as_the_scenario_says(
    resolve_after: float, reuse: str, asked: int
) -> None:
    names = Names("127.0.0.1")
    trio.socket.set_custom_hostname_resolver(names)
    recorder, _ = await against(
        ok,
        endpoint(request()),
        host="api.test",
        load=times(5),
        duration=20,
        http=Http(resolve_after=resolve_after, reuse=reuse),
    )
    assert (only(recorder).succeeded, names.asked) == (5, asked)


# Times.


async def test_each_request_has_its_own_timeout() -> None:
    async def answer(exchange: Exchange) -> bytes:
        await trio.sleep(0.1)
        return response()

    patient, hasty = request("POST", "/1", timeout=20), request("POST", "/2", timeout=0.02)
    recorder, _ = await against(answer, endpoint(patient, hasty), load=times(2), duration=20)
    rows = {name: dict(row.errors) for (_, name), row in recorder.rows.items()}
    assert rows == {"e": {"timeout": 2}, "e: POST /1": {}, "e: POST /2": {"timeout": 2}}


async def at_once(exchange: Exchange) -> bytes:
    return response(200, {})


async def in_two_parts(exchange: Exchange) -> None:
    await exchange.stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
    await trio.sleep(0.05)
    await exchange.stream.send_all(b"{}")


@pytest.mark.parametrize(("answer", "apart"), [(at_once, 0.0), (in_two_parts, 0.05)])
async def test_the_first_byte_comes_before_the_last(
    answer: Callable[[Exchange], Awaitable[bytes | None]], apart: float
) -> None:
    recorder, _ = await against(answer, endpoint(request()), load=times(4), duration=20)
    row = only(recorder)
    assert row.first_byte.count == row.service.count == 4
    assert row.first_byte.maximum <= row.service.maximum <= row.response.maximum
    assert row.service.total - row.first_byte.total >= apart * 1e9


async def test_sizes_are_those_of_the_bytes_on_the_wire() -> None:
    content = response(200, {"id": 7})
    recorder, server = await against(
        ok, endpoint(request("POST", json_body={"a": 1})), load=times(3), duration=20
    )
    row = only(recorder)
    assert row.bytes_received == 3 * len(content)
    exchange = server.exchanges[0]
    head = f"{exchange.method} {exchange.path} HTTP/1.1\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in exchange.headers.items())
    assert row.bytes_sent == 3 * (len(head) + 2 + len(exchange.body))
