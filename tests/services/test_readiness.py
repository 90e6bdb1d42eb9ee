from __future__ import annotations

import os
import signal
import socket
import ssl
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
import trio
import trustme
from surroundings import leaving_sockets

from stressrun.errors import RefusedError, SetupError
from stressrun.safety.guard import Guard
from stressrun.scenario.model import Http, Readiness, Tls
from stressrun.services.process import ServiceProcess, spawn
from stressrun.services.readiness import until_ready

pytestmark = [pytest.mark.usefixtures("collected"), leaving_sockets]


@pytest.fixture
def port() -> Iterator[int]:
    """A port where nobody listens, and that nobody else is given."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


async def serve(
    nursery: trio.Nursery, statuses: Sequence[int], tls: ssl.SSLContext | None = None
) -> tuple[str, list[bytes]]:
    """A server that answers with one status after the other, the last one for ever."""
    requests: list[bytes] = []

    async def answer(stream: trio.abc.Stream) -> None:
        async with stream:
            requests.append(bytes(await stream.receive_some()))
            status = statuses[min(len(requests), len(statuses)) - 1]
            if status == 0:
                await trio.sleep_forever()
            await stream.send_all(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)

    async def converse(plain: trio.SocketStream) -> None:
        if tls is None:
            await answer(plain)
            return
        with suppress(trio.BrokenResourceError):
            await answer(trio.SSLStream(plain, tls, server_side=True, https_compatible=True))

    (listener,) = await nursery.start(partial(trio.serve_tcp, host="127.0.0.1"), converse, 0)
    scheme = "http" if tls is None else "https"
    return f"{scheme}://127.0.0.1:{listener.socket.getsockname()[1]}", requests


async def test_a_path_is_asked_until_it_answers_200(nursery: trio.Nursery) -> None:
    url, requests = await serve(nursery, [503, 404, 200])
    await until_ready("api", url, Readiness("/healthz", 20), Guard())
    assert len(requests) == 3
    assert requests[0].startswith(b"GET /healthz HTTP/1.1\r\n")


async def test_a_port_that_accepts_is_enough_without_a_path(nursery: trio.Nursery) -> None:
    url, _ = await serve(nursery, [503])
    await until_ready("api", url, Readiness(None, 20), Guard())


@pytest.mark.parametrize(("get", "awaited"), [(None, "a connection to"), ("/up", "to answer 200")])
async def test_a_port_where_nobody_listens_is_told(
    port: int, get: str | None, awaited: str
) -> None:
    with pytest.raises(SetupError) as raised:
        await until_ready("api", f"http://127.0.0.1:{port}", Readiness(get, 0.2), Guard())
    assert "'api' was not ready within 200 ms" in raised.value.message
    assert awaited in raised.value.message
    assert "last seen: connection refused" in raised.value.message


@pytest.mark.parametrize(
    ("statuses", "seen"), [([503], "status 503"), ([302], "status 302"), ([0], "no answer")]
)
async def test_what_was_seen_last_is_told(
    statuses: list[int], seen: str, nursery: trio.Nursery
) -> None:
    url, _ = await serve(nursery, statuses)
    with pytest.raises(SetupError, match=f"last seen: {seen}"):
        await until_ready("api", url, Readiness("/", 0.5), Guard())


async def test_a_host_that_the_guard_refuses_is_not_waited_for() -> None:
    for get in ("/", None):
        with pytest.raises(RefusedError):
            await until_ready("api", "http://192.0.2.1:80", Readiness(get, 600), Guard())


def run(script: str, tmp_path: Path) -> ServiceProcess:
    command = [sys.executable, "-c", script]
    return spawn("api", command, log=tmp_path / "api.log", mark="none", env=os.environ)


async def test_a_process_that_ends_is_not_waited_for(port: int, tmp_path: Path) -> None:
    process = run("raise SystemExit('no database')", tmp_path)
    url = f"http://127.0.0.1:{port}"
    try:
        with pytest.raises(SetupError) as raised:
            await until_ready("api", url, Readiness("/", 600), Guard(), process)
    finally:
        await process.stop(signals=[signal.SIGTERM])
    assert "'api' ended with exit status 1 before it was ready" in raised.value.message
    assert raised.value.message.endswith("no database")


async def test_a_process_that_ends_while_an_answer_is_awaited_is_not_waited_for(
    nursery: trio.Nursery, tmp_path: Path
) -> None:
    url, _ = await serve(nursery, [0])
    process = run("import time; time.sleep(0.3)", tmp_path)
    try:
        with pytest.raises(SetupError, match="exit status 0 before it was ready"):
            await until_ready("api", url, Readiness("/", 600), Guard(), process)
    finally:
        await process.stop(signals=[signal.SIGTERM])


class Certificates:
    """A CA in a file, the context of a server that it vouches for, and a client's certificate."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.ca = str(folder / "ca.pem")
        self.client = str(folder / "client.pem")
        authority.cert_pem.write_to_path(self.ca)
        client = authority.issue_cert("client@example.com")
        client.private_key_and_cert_chain_pem.write_to_path(self.client)
        self.server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(self.server)
        self.demanding = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.ca)
        self.demanding.verify_mode = ssl.CERT_REQUIRED
        authority.issue_cert("127.0.0.1").configure_cert(self.demanding)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


async def test_a_service_with_a_ca_of_its_own_is_asked_with_that_ca(
    nursery: trio.Nursery, certificates: Certificates
) -> None:
    url, requests = await serve(nursery, [200], certificates.server)
    trusting = Http(tls=Tls(ca=certificates.ca))
    await until_ready("api", url, Readiness("/", 20), Guard(), http=trusting)
    assert len(requests) == 1


async def test_a_service_that_is_not_verified_is_asked_without_its_ca(
    nursery: trio.Nursery, certificates: Certificates
) -> None:
    url, _ = await serve(nursery, [200], certificates.server)
    careless = Http(tls=Tls(verify=False))
    await until_ready("api", url, Readiness("/", 20), Guard(), http=careless)


async def test_a_service_that_wants_a_client_certificate_is_shown_it(
    nursery: trio.Nursery, certificates: Certificates
) -> None:
    url, requests = await serve(nursery, [200], certificates.demanding)
    known = Http(tls=Tls(certificates.ca, certificates.client))
    await until_ready("api", url, Readiness("/", 20), Guard(), http=known)
    unknown = Http(tls=Tls(certificates.ca))
    with pytest.raises(SetupError, match="not ready within"):
        await until_ready("api", url, Readiness("/", 0.5), Guard(), http=unknown)
    assert len(requests) == 1


async def test_a_certificate_of_a_ca_that_is_not_trusted_is_told(
    nursery: trio.Nursery, certificates: Certificates
) -> None:
    url, _ = await serve(nursery, [200], certificates.server)
    with pytest.raises(SetupError, match="last seen: tls: certificate: "):
        await until_ready("api", url, Readiness("/", 1), Guard())


async def test_a_ca_file_that_cannot_be_read_is_not_waited_for(
    nursery: trio.Nursery, certificates: Certificates
) -> None:
    url, _ = await serve(nursery, [200], certificates.server)
    missing = Http(tls=Tls(ca="/nowhere/ca.pem"))
    with pytest.raises(SetupError, match=r"the CA file /nowhere/ca\.pem cannot be read"):
        await until_ready("api", url, Readiness("/", 600), Guard(), http=missing)


@pytest.mark.parametrize("get", ["/up", None])
async def test_a_service_behind_a_unix_socket_is_asked_there(
    get: str | None, nursery: trio.Nursery, tmp_path: Path
) -> None:
    path = str(tmp_path / "api.sock")
    behind = Http(unix_socket=path)
    url = "http://nowhere.invalid"
    with pytest.raises(SetupError, match="last seen: no such file or directory"):
        await until_ready("api", url, Readiness(get, 0.2), Guard(), http=behind)

    async def answer(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            with suppress(trio.BrokenResourceError):
                await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    plain = trio.socket.socket(socket.AF_UNIX)
    await plain.bind(path)
    plain.listen()
    await nursery.start(trio.serve_listeners, answer, [trio.SocketListener(plain)])
    await until_ready("api", url, Readiness(get, 20), Guard(), http=behind)


class Asked(Guard):
    """A guard that says what it was asked, and refuses it."""

    async def resolve(self, host: str, port: int) -> tuple[str, ...]:
        raise RefusedError(f"{host}:{port}")


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("http://api.test", "api.test:80"),
        ("https://api.test", "api.test:443"),
        ("https://api.test:8443/v1", "api.test:8443"),
    ],
)
async def test_a_url_without_a_port_has_its_scheme_s(url: str, asked: str) -> None:
    for get in (None, "/"):
        with pytest.raises(RefusedError, match=f"^{asked}$"):
            await until_ready("api", url, Readiness(get, 600), Asked())
