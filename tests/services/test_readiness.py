from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest
import trio

from stressrun.errors import RefusedError, SetupError
from stressrun.safety.guard import Guard
from stressrun.scenario.model import Readiness
from stressrun.services.process import ServiceProcess, spawn
from stressrun.services.readiness import until_ready

Answer = Callable[[trio.SocketStream], object]


@pytest.fixture
def port() -> Iterator[int]:
    """A port where nobody listens, and that nobody else is given."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


async def serve(nursery: trio.Nursery, statuses: Sequence[int]) -> tuple[str, list[bytes]]:
    """A server that answers with one status after the other, the last one for ever."""
    requests: list[bytes] = []

    async def answer(stream: trio.SocketStream) -> None:
        async with stream:
            requests.append(await stream.receive_some())
            status = statuses[min(len(requests), len(statuses)) - 1]
            if status == 0:
                await trio.sleep_forever()
            await stream.send_all(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)

    (listener,) = await nursery.start(partial(trio.serve_tcp, host="127.0.0.1"), answer, 0)
    return f"http://127.0.0.1:{listener.socket.getsockname()[1]}", requests


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
