from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
import trio
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from stressrun.errors import SetupError
from stressrun.http.tls import client_context
from stressrun.scenario.model import Tls


class Files:
    """Real certificates in files: a CA's, a client's with its key, and one of a stranger."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        stranger = trustme.CA()
        client = self.authority.issue_cert("client@example.com")
        self.ca = self._write(folder / "ca.pem", self.authority.cert_pem)
        self.other_ca = self._write(folder / "other-ca.pem", stranger.cert_pem)
        self.certificate = self._write(folder / "client.pem", client.cert_chain_pems[0])
        self.key = self._write(folder / "client.key", client.private_key_pem)
        self.both = self._write(folder / "both.pem", client.private_key_and_cert_chain_pem)
        self.other_key = self._write(
            folder / "other.key", stranger.issue_cert("x@example.com").private_key_pem
        )
        encrypted = load_pem_private_key(client.private_key_pem.bytes(), None).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
        )
        self.encrypted = self._write(folder / "encrypted.key", trustme.Blob(encrypted))
        self.text = str(folder / "notes.txt")
        Path(self.text).write_text("no certificate\n")
        self.broken = str(folder / "broken.pem")
        Path(self.broken).write_text(
            "-----BEGIN CERTIFICATE-----\nbm90IGEgY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n"
        )

    def _write(self, path: Path, content: trustme.Blob) -> str:
        content.write_to_path(path)
        return str(path)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("certificates"))


def server_context(files: Files) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    files.authority.issue_cert("localhost").configure_cert(context)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


async def connect(
    nursery: trio.Nursery, server: ssl.SSLContext, client: ssl.SSLContext, name: str = "localhost"
) -> str:
    """Shake hands with a real server; what it answers: the subject of the client, or `nobody`."""

    async def answer(stream: trio.SSLStream[trio.SocketStream]) -> None:
        with suppress(trio.BrokenResourceError):
            await stream.do_handshake()
            subject = stream.getpeercert()
            await stream.send_all(b"somebody" if subject else b"nobody")

    serve = partial(trio.serve_ssl_over_tcp, ssl_context=server, host="127.0.0.1")
    (listener,) = await nursery.start(serve, answer, 0)
    port = listener.transport_listener.socket.getsockname()[1]
    return await trio.to_thread.run_sync(_ask, port, client, name)


def _ask(port: int, client: ssl.SSLContext, name: str) -> str:
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        client.wrap_socket(plain, server_hostname=name) as wrapped,
    ):
        return f"{wrapped.recv(99).decode()} {wrapped.selected_alpn_protocol()}"


async def test_a_server_of_the_own_ca_is_trusted(nursery: trio.Nursery, files: Files) -> None:
    client = client_context(Tls(ca=files.ca), alpn=["http/1.1"])
    assert await connect(nursery, server_context(files), client) == "nobody http/1.1"


@pytest.mark.parametrize("alpn", [[], ["h2", "http/1.1"]])
async def test_the_protocols_are_offered(
    nursery: trio.Nursery, files: Files, alpn: list[str]
) -> None:
    client = client_context(Tls(ca=files.ca), alpn=alpn)
    answer = await connect(nursery, server_context(files), client)
    assert answer == f"nobody {alpn[0] if alpn else None}"


@pytest.mark.parametrize(
    ("tls", "name"),
    [
        (lambda files: Tls(), "localhost"),
        (lambda files: Tls(ca=files.other_ca), "localhost"),
        (lambda files: Tls(ca=files.ca), "example.com"),
    ],
)
async def test_a_server_of_another_ca_or_name_is_not_trusted(
    nursery: trio.Nursery, files: Files, tls: Callable[[Files], Tls], name: str
) -> None:
    client = client_context(tls(files), alpn=[])
    with pytest.raises(ssl.SSLCertVerificationError):
        await connect(nursery, server_context(files), client, name)


async def test_without_verification_any_server_will_do(nursery: trio.Nursery, files: Files) -> None:
    client = client_context(Tls(verify=False), alpn=[])
    assert await connect(nursery, server_context(files), client, "example.com") == "nobody None"


@pytest.mark.parametrize(
    "tls",
    [
        lambda files: Tls(ca=files.ca, certificate=files.certificate, key=files.key),
        lambda files: Tls(ca=files.ca, certificate=files.both),
    ],
)
async def test_a_client_certificate_is_shown(
    nursery: trio.Nursery, files: Files, tls: Callable[[Files], Tls]
) -> None:
    server = server_context(files)
    files.authority.configure_trust(server)
    server.verify_mode = ssl.CERT_REQUIRED
    client = client_context(tls(files), alpn=[])
    assert await connect(nursery, server, client) == "somebody None"


def test_versions_before_1_2_are_not_spoken(files: Files) -> None:
    context = client_context(Tls(ca=files.ca), alpn=[])
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("tls", "message"),
    [
        (
            lambda files: Tls(ca="/absent.pem"),
            "the CA file /absent.pem cannot be read: no such file or directory",
        ),
        (lambda files: Tls(ca="/"), "the CA file / cannot be read: is a directory"),
        (
            lambda files: Tls(ca=files.text),
            "the CA file {text} holds no certificate in PEM form",
        ),
        (
            lambda files: Tls(ca=files.key),
            "the CA file {key} holds no certificate in PEM form",
        ),
        (
            lambda files: Tls(ca=files.broken),
            "the CA file {broken} cannot be used: its PEM is broken",
        ),
        (
            lambda files: Tls(certificate="/absent.pem"),
            "the client certificate /absent.pem cannot be read: no such file or directory",
        ),
        (
            lambda files: Tls(certificate=files.certificate),
            "the client certificate's key {certificate} holds no private key in PEM form",
        ),
        (
            lambda files: Tls(certificate=files.certificate, key="/absent.key"),
            "the client certificate's key /absent.key cannot be read: no such file or directory",
        ),
        (
            lambda files: Tls(certificate=files.certificate, key=files.certificate),
            "the client certificate's key {certificate} holds no private key in PEM form",
        ),
        (
            lambda files: Tls(certificate=files.certificate, key=files.other_key),
            "the key {other_key} does not belong to the client certificate {certificate}",
        ),
        (
            lambda files: Tls(certificate=files.certificate, key=files.encrypted),
            "the client certificate's key {encrypted} is encrypted",
        ),
        (
            lambda files: Tls(certificate=files.broken, key=files.key),
            "the client certificate {broken} cannot be used: its PEM is broken",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_what_is_wrong(
    files: Files, tls: Callable[[Files], Tls], message: str
) -> None:
    with pytest.raises(SetupError) as raised:
        client_context(tls(files), alpn=[])
    assert raised.value.message == message.format(**vars(files))
    assert raised.value.hint
