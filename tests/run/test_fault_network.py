"""Faults between the load and a server: what a network does, and a server that is none."""

from __future__ import annotations

import signal
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
import trustme
from aftermath import assert_survived
from namespaces import inside, knowing
from runs import Run, row_of, stressrun
from test_fault_service import LIGHT, SERVER, TICK

from background import in_background
from chaos_proxy import Chaos, ChaosProxy, chaos_proxy
from http_server import Exchange, response, serve

NETWORK = Path(__file__).with_name("network.yaml")
BODY = 20_000

pytestmark = pytest.mark.faults


async def answer(exchange: Exchange) -> bytes:
    return response(200, "x" * BODY)


async def nonsense(exchange: Exchange) -> bytes:
    return b"220 mail.test ESMTP\r\n\r\n"


@dataclass(frozen=True)
class Fault:
    """What is done to the answers, and how each request that meets it is told."""

    error: str
    chaos: Chaos = field(default_factory=Chaos)
    tls: bool = False
    nonsense: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)


FAULTS = {
    "a bad certificate": Fault("tls: certificate", tls=True),
    "a handshake of TLS that stalls": Fault(
        "connect timeout", Chaos(stall=0), tls=True, settings={"CONNECT": "200ms"}
    ),
    "a slow loris": Fault("timeout", Chaos(slice=1, delay=0.02), settings={"TIMEOUT": "200ms"}),
    "malformed HTTP": Fault("malformed status line", nonsense=True),
    "a reset amid a body": Fault("reset", Chaos(reset=BODY // 2)),
    "a close amid a body": Fault("closed early", Chaos(limit=BODY // 2)),
}


@contextmanager
def proxied(fault: Fault) -> Iterator[tuple[ChaosProxy, str]]:
    """The proxy before a server, and its URL."""
    tls = None
    if fault.tls:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    how = partial(serve, nonsense if fault.nonsense else answer, tls=tls)
    with in_background(how) as server, chaos_proxy(server.port) as proxy:
        proxy.to_client = fault.chaos
        yield proxy, f"{'https' if fault.tls else 'http'}://127.0.0.1:{proxy.port}"


@pytest.mark.parametrize("name", FAULTS)
def test_a_network_that_fails_each_request(tmp_path: Path, name: str) -> None:
    fault = FAULTS[name]
    with proxied(fault) as (_, url):
        ended = stressrun(tmp_path, NETWORK, URL=url, **fault.settings)
        assert_survived(ended, 1, "threshold failed: http errors <= 0%", complete=True)
    row = row_of(ended)
    assert row["errors"] == {fault.error: row["failed"]}
    assert row["failed"] > 0


def test_a_peer_that_is_gone_without_a_word(tmp_path: Path) -> None:
    with proxied(Fault("timeout")) as (proxy, url):
        run = Run(tmp_path, NETWORK, URL=url, DURATION="2s", TIMEOUT="200ms")
        run.wait_for(TICK)
        run.wait_for(TICK)
        proxy.to_client = proxy.to_server = Chaos(stall=0)
        ended = run.end()
        assert_survived(ended, 1, "threshold failed: http errors <= 0%", grace=3, complete=True)
    row = row_of(ended)
    # Of connections that were there, and of new ones, which the proxy takes.
    assert row["errors"].keys() == {"timeout"}
    assert row["succeeded"] > 0


# Names.


def test_a_name_that_is_not_known(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost\n")
    where = knowing(hosts, tmp_path / "resolver")
    ended = stressrun(tmp_path, LIGHT, inside=where, SERVER=SERVER, URL="http://api.stressrun.test")
    assert_survived(ended, 3, "the host 'api.stressrun.test' could not be resolved")
    assert ended.report["stages"] == []


def test_a_name_that_is_forgotten_amid_a_stage_and_known_again(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    known = "127.0.0.1 localhost api.stressrun.test\n"
    hosts.write_text(known)
    where = knowing(hosts, tmp_path / "resolver")
    settings = {"SERVER": SERVER, "URL": "http://api.stressrun.test", "REUSE": "none"}
    run = Run(tmp_path, LIGHT, inside=where, **settings)
    run.wait_for(TICK)
    hosts.write_text("")
    run.wait_for(" failed")
    hosts.write_text(known)
    while " failed" in run.wait_for(TICK):
        pass
    run.signal(signal.SIGINT)
    ended = run.end()
    assert_survived(ended, 130, "stopped by SIGINT", grace=1)
    row = row_of(ended)
    assert row["errors"].keys() == {"dns"}
    assert 0 < row["failed"] < row["succeeded"] + row["failed"]


# What the generator itself has too little of.


def test_a_generator_without_local_ports(tmp_path: Path) -> None:
    few = inside("echo 40000 40009 > /proc/sys/net/ipv4/ip_local_port_range")
    settings = {"SERVER": SERVER, "REUSE": "none", "RATE": "100/s", "DURATION": "400ms"}
    ended = stressrun(tmp_path, LIGHT, inside=few, **settings)
    assert_survived(ended, 4, "the generator was out of local ports in stage load", complete=True)
    assert row_of(ended)["errors"].keys() == {"generator: out of local ports"}


def test_a_generator_without_descriptors(tmp_path: Path) -> None:
    few = ["sh", "-c", 'ulimit -n 48; exec "$@"', "sh"]
    settings = {"SERVER": SERVER, "DURATION": "500ms"}
    users = "--set=stages.load.endpoints={vus: 60}"
    ended = stressrun(tmp_path, LIGHT, users, inside=few, **settings)
    assert_survived(
        ended, 4, "the generator was out of file descriptors in stage load", complete=True
    )
    assert row_of(ended)["errors"].keys() == {"generator: out of file descriptors"}
