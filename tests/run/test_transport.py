import socket

import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from stressrun.run.transport import Channel

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=10,
)


@settings(max_examples=30)
@given(st.lists(st.dictionaries(st.text(), values, max_size=5), max_size=3))
def test_messages_arrive_whole_and_in_order(messages: list[dict[str, object]]) -> None:
    async def exchange() -> list[dict[str, object] | None]:
        ours, theirs = map(Channel, socket.socketpair())
        async with trio.open_nursery() as nursery:

            async def send() -> None:
                for message in messages:
                    await ours.send(message)
                await ours.close()

            nursery.start_soon(send)
            received = [await theirs.receive() for _ in range(len(messages) + 1)]
        await theirs.close()
        return received

    assert trio.run(exchange) == [*messages, None]


async def test_a_peer_that_dies_amid_a_message_is_the_end() -> None:
    left, right = socket.socketpair()
    channel = Channel(left)
    right.send(b"\x00\x00\x00\x10partial")
    right.close()
    assert await channel.receive() is None
    await channel.close()


async def test_a_message_of_many_megabytes_passes() -> None:
    ours, theirs = map(Channel, socket.socketpair())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ours.send, {"much": "x" * 5_000_000})
        message = await theirs.receive()
    assert message is not None
    assert len(message["much"]) == 5_000_000
    await ours.close()
    await theirs.close()
