"""A mock's connection, and what is due on many of them, without a process."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from stressrun.http.poller import Poller
from stressrun.services.mock.connection import Answer, Connection
from stressrun.services.mock.control import Control
from stressrun.services.mock.due import NEVER, Due
from stressrun.services.mock.request import Request

HOUR = 3_600_000_000_000


class Host:
    """It keeps what is to be sent later."""

    def __init__(self) -> None:
        self.delayed: list[Answer] = []

    def serve(self, connection: Connection, request: Request, keeps: bool) -> None:
        raise AssertionError

    def refuse(self, kind: str) -> None:
        raise AssertionError

    def later(self, answer: Answer) -> None:
        self.delayed.append(answer)


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
def connection(host: Host) -> Iterator[Connection]:
    with (
        closing(Poller()) as poller,
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()),
    ):
        found = Connection(listener.accept()[0], poller, host)
        yield found
        found.close()


def test_a_slow_body_keeps_its_pace_however_late_it_begins(
    connection: Connection, host: Host
) -> None:
    answer = Answer(connection, [b"a", b"b", b"c"], 1, pause=HOUR)
    answer.ready = True
    connection.answer(answer)
    before = time.monotonic_ns()
    connection.flush()
    assert host.delayed == [answer]
    assert answer.due >= before + HOUR


def test_what_is_due_comes_in_its_order(connection: Connection) -> None:
    due = Due()
    assert due.next_instant == NEVER
    answers = [Answer(connection, [], instant) for instant in (3, 1, 2, 1)]
    for answer in answers:
        due.add(answer)
    assert due.next_instant == 1
    third, first, second, other = answers
    assert [due.take() for _ in answers] == [first, other, second, third]
    assert due.next_instant == NEVER


def test_what_is_due_long_after_its_client_has_left_is_not_kept(connection: Connection) -> None:
    left = Answer(connection, [b"a"], HOUR)
    connection.answer(left)
    connection.close()
    assert left.parts == []
    due = Due()
    for number in range(10_000):
        due.add(Answer(connection, [], HOUR + number))
    assert len(due) <= 1_000
    assert due.next_instant >= HOUR


def test_orders_that_come_together_are_all_heard() -> None:
    ours, theirs = socket.socketpair()
    ours.settimeout(5)
    with ours, theirs:
        controller, mock = Control(theirs), Control(ours)
        for number in range(4):
            controller.send({"do": number})
        assert [mock.wait(), mock.wait()] == [{"do": 0}, {"do": 1}]
        assert mock.receive() == [{"do": 2}, {"do": 3}]
        theirs.close()
        assert mock.wait() is None
