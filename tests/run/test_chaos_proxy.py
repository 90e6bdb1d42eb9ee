"""The proxy itself: each kind of chaos does what its name says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import trio
from trio.testing import MockClock

from chaos_proxy import Chaos, ChaosProxy


async def echo(stream: trio.SocketStream) -> None:
    with suppress(trio.BrokenResourceError):
        async for data in stream:
            await stream.send_all(data)


@asynccontextmanager
async def echoing() -> AsyncIterator[ChaosProxy]:
    """A proxy before a server that sends all back."""
    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(
            lambda task_status: trio.serve_tcp(echo, 0, host="127.0.0.1", task_status=task_status)
        )
        proxy = ChaosProxy(listener.socket.getsockname()[1])
        await nursery.start(lambda task_status: proxy.serve(task_status=task_status))
        yield proxy
        nursery.cancel_scope.cancel()


async def said(stream: trio.SocketStream, size: int) -> bytes:
    """So many bytes, or what came before the end."""
    received = b""
    while len(received) < size and (data := await stream.receive_some()):
        received += data
    return received


async def connected(proxy: ChaosProxy) -> trio.SocketStream:
    return await trio.open_tcp_stream("127.0.0.1", proxy.port)


async def test_without_chaos_all_bytes_pass_and_the_end_of_them() -> None:
    content = bytes(range(256)) * 4096
    async with echoing() as proxy, await connected(proxy) as client, trio.open_nursery() as nursery:
        nursery.start_soon(client.send_all, content)
        assert await said(client, len(content)) == content
        await client.send_eof()
        assert await client.receive_some() == b""


async def test_slices_are_of_one_size() -> None:
    async with echoing() as proxy, await connected(proxy) as client:
        proxy.to_client = Chaos(slice=2)
        await client.send_all(b"abcde")
        assert await said(client, 5) == b"abcde"


async def test_a_delay_is_of_each_piece(autojump_clock: MockClock) -> None:
    autojump_clock.autojump_threshold = 0.05
    async with echoing() as proxy, await connected(proxy) as client:
        proxy.to_client = Chaos(slice=1, delay=100)
        begin = trio.current_time()
        await client.send_all(b"abc")
        assert await said(client, 3) == b"abc"
        assert trio.current_time() - begin >= 300


async def test_a_limit_closes_amid_what_is_sent() -> None:
    async with echoing() as proxy, await connected(proxy) as client:
        proxy.to_client = Chaos(limit=3)
        await client.send_all(b"abcde")
        assert await said(client, 5) == b"abc"


async def test_a_reset_is_no_close() -> None:
    async with echoing() as proxy, await connected(proxy) as client:
        proxy.to_client = Chaos(reset=0)
        await client.send_all(b"abcde")
        with pytest.raises(trio.BrokenResourceError):
            await said(client, 1)


async def test_a_stall_keeps_the_connection_and_says_no_more(autojump_clock: MockClock) -> None:
    autojump_clock.autojump_threshold = 0.05
    async with echoing() as proxy, await connected(proxy) as client:
        proxy.to_client = Chaos(stall=2)
        await client.send_all(b"abcde")
        assert await said(client, 2) == b"ab"
        with trio.move_on_after(1000) as waiting:
            await client.receive_some()
        assert waiting.cancelled_caught


async def test_what_is_cut_is_reset_and_the_next_connection_is_whole() -> None:
    async with echoing() as proxy:
        async with await connected(proxy) as client:
            await client.send_all(b"a")
            assert await said(client, 1) == b"a"
            proxy.cut()
            with pytest.raises(trio.BrokenResourceError):
                await client.receive_some()
        async with await connected(proxy) as client:
            await client.send_all(b"b")
            assert await said(client, 1) == b"b"


async def test_of_too_many_connections_the_last_is_sent_away() -> None:
    async with echoing() as proxy, await connected(proxy) as client:
        await client.send_all(b"a")
        assert await said(client, 1) == b"a"
        proxy.most_connections = 1
        async with await connected(proxy) as other:
            with pytest.raises(trio.BrokenResourceError):
                await other.receive_some()
