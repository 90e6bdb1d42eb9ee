"""Broken answers made from a seed, sent by a real server to the real lane, and how each ended.

`python tests/load/response_fuzz.py 10000 1` runs so many cases of a seed and prints their kinds.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import socket
import struct
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from math import inf
from queue import SimpleQueue
from random import Random
from threading import Thread
from typing import Any

import brotli
import trio

from stressrun.data.expressions import parse
from stressrun.data.jsonpath import parse_path
from stressrun.http.origin import Origin
from stressrun.http.resolver import Resolver
from stressrun.load.assignment import Assignment
from stressrun.load.executors import executor
from stressrun.load.lane import Lane
from stressrun.load.pacing import Segment
from stressrun.load.program import RequestProgram
from stressrun.load.reading import compile_captures
from stressrun.load.session import Session
from stressrun.load.steps import Flow, RequestStep, Wish
from stressrun.metrics.recorder import Recorder, Row
from stressrun.metrics.slowest import Slowest
from stressrun.safety.guard import Guard
from stressrun.scenario.model import (
    Capture,
    FromCookie,
    FromHeader,
    FromJson,
    FromRegex,
    FromStatus,
    Http,
    Request,
    SharedIterations,
)

KINDS = re.compile(
    r"success|closed|closed early|reset|timeout|malformed (status line|header)|oversized header"
    r"|wrong Content-Length|bad chunk|excess data|unexpected upgrade|refused|refused by the guard"
    r"|too many redirects|dns|tls|connect timeout|status [1-9]\d\d|(capture|expect): .+"
)
_RESET = struct.pack("ii", 1, 0)
_FEW_SECONDS = 0.1


# What is sent.


@dataclass(frozen=True)
class Case:
    """An answer in TCP segments; what becomes of the connection then: kept, closed or reset.

    `sound`: nothing of it is broken; `reads`: its body, headers and cookies are looked at.
    """

    number: int
    method: str
    segments: tuple[bytes, ...]
    end: str
    sound: bool
    reads: bool
    status: int


def make_case(seed: int, number: int) -> Case:
    random = Random(f"{seed}:{number}")
    method = random.choice(("GET", "GET", "GET", "POST", "HEAD"))
    status = random.choice((200, 200, 200, 200, 201, 204, 304, 302, 307, 404, 500))
    content, closes = _sound_answer(random, method, status)
    sound = random.random() < 0.15
    if not sound:
        for _ in range(random.choice((1, 1, 1, 2, 3))):
            content = random.choice(_DAMAGES)(random, content)
    end = random.choice(("close", "close", "close", "reset", "keep"))
    if sound:
        end = "close" if closes else "keep"
    return Case(number, method, _split(random, content), end, sound, random.random() < 0.5, status)


def _sound_answer(random: Random, method: str, status: int) -> tuple[bytes, bool]:
    """A whole answer, and whether the end of the connection is that of its body."""
    headers = random.sample(_HEADERS, random.randrange(4))
    if status in (302, 307):
        headers.append(f"Location: {random.choice(_LOCATIONS)}")
    body = json.dumps({"id": random.randrange(1000), "text": "x" * random.randrange(200)}).encode()
    coding, encode = random.choice(_ENCODINGS)
    if coding:
        headers.append(f"Content-Encoding: {coding}")
        body = encode(body)
    framing = random.choice(("length", "length", "chunked", "close"))
    bodiless = method == "HEAD" or status in (204, 304)
    if framing == "length":
        headers.append(f"Content-Length: {len(body)}")
    elif framing == "chunked":
        headers.append("Transfer-Encoding: chunked")
        body = _chunked(random, body)
    random.shuffle(headers)
    interim = b"".join(random.choice(_INTERIM) for _ in range(random.choice((0, 0, 0, 1, 2))))
    lines = "".join(f"{header}\r\n" for header in headers)
    head = f"HTTP/1.1 {status} Reason\r\n{lines}\r\n".encode()
    return interim + head + (b"" if bodiless else body), framing == "close" and not bodiless


def _chunked(random: Random, body: bytes) -> bytes:
    content = b""
    while body:
        length = random.randint(1, len(body))
        extension = random.choice((b"", b"", b";a=b", b';a="b"'))
        content += b"%x%b\r\n%b\r\n" % (length, extension, body[:length])
        body = body[length:]
    return content + random.choice((b"0\r\n\r\n", b"0\r\n\r\n", b"0\r\nX-Trailer: 1\r\n\r\n"))


def _split(random: Random, content: bytes) -> tuple[bytes, ...]:
    cuts = sorted(random.randrange(len(content) + 1) for _ in range(random.choice((0, 0, 1, 2, 5))))
    bounds = [0, *cuts, len(content)]
    return tuple(content[a:b] for a, b in pairwise(bounds) if a < b)


_HEADERS = (
    "Content-Type: application/json",
    "Set-Cookie: session=abc; Path=/",
    "Set-Cookie: other=1; Domain=example.com; Max-Age=9",
    "X-Empty:",
    "X-Latin: caf\u00e9",
    "Connection: keep-alive",
    'ETag: "1"',
)
_LOCATIONS = ("/next", "next?a=b#c", "//[", "x:y", "")
_LOCATIONS += ("http://10.255.255.1/", "http://127.0.0.1:1/")
_INTERIM = (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
_ENCODINGS: tuple[tuple[str, Callable[[bytes], bytes]], ...] = (
    ("", bytes),
    ("", bytes),
    ("gzip", partial(gzip.compress, mtime=0)),
    ("deflate", zlib.compress),
    ("br", brotli.compress),
)


# How it is broken.

Damage = Callable[[Random, bytes], bytes]


def _flip(random: Random, content: bytes) -> bytes:
    damaged = bytearray(content)
    for _ in range(random.randint(1, 6) if content else 0):
        damaged[random.randrange(len(damaged))] ^= 1 << random.randrange(8)
    return bytes(damaged)


def _truncate(random: Random, content: bytes) -> bytes:
    return content[: random.randrange(len(content) + 1)]


def _duplicate(random: Random, content: bytes) -> bytes:
    start, stop = _range(random, content)
    at = random.choice((stop, random.randrange(len(content) + 1)))
    return content[:at] + content[start:stop] + content[at:]


def _delete(random: Random, content: bytes) -> bytes:
    start, stop = _range(random, content)
    return content[:start] + content[stop:]


def _range(random: Random, content: bytes) -> tuple[int, int]:
    start = random.randrange(len(content) + 1)
    return start, min(len(content), start + random.randint(1, 40))


def _twice(random: Random, content: bytes) -> bytes:
    return content + content


def _change_length(random: Random, content: bytes) -> bytes:
    length = random.choice((*_NUMBERS, str(random.randrange(400)).encode()))
    return re.sub(rb"Content-Length: \d*", b"Content-Length: " + length, content)


def _change_chunk(random: Random, content: bytes) -> bytes:
    size = random.choice((*_NUMBERS, b"%x" % random.randrange(400)))
    return re.sub(rb"\n[0-9a-f]+(?=[;\r])", b"\n" + size, content, count=random.randint(1, 3))


def _change_status(random: Random, content: bytes) -> bytes:
    status = random.choice((b"000", b"099", b"100", b"101", b"199", b"999", b"20", b"2000", b"-20"))
    return re.sub(rb"(?<=HTTP/1\.1 )\d+", status, content, count=1)


def _inject(random: Random, content: bytes) -> bytes:
    ends = [found.end() for found in re.finditer(rb"\r\n", content)]
    at = random.choice(ends or [0])
    return content[:at] + random.choice(_INJECTED) + content[at:]


def _change_line_ends(random: Random, content: bytes) -> bytes:
    ends = random.choice((b"\n", b"\r", b"\r\r\n", b"\n\r", b" \r\n"))
    return content.replace(b"\r\n", ends, random.choice((1, 2, -1)))


def _surround(random: Random, content: bytes) -> bytes:
    noise = random.choice((b"\r\n", b"\0", b"H", b"HTTP/1.1 2", random.randbytes(9)))
    return random.choice((noise + content, content + noise))


def _replace_all(random: Random, content: bytes) -> bytes:
    return random.choice((b"", b"<html>", b"\x15\x03\x01\0\2\2\x46", random.randbytes(300)))


_NUMBERS = (
    b"0",
    b"-1",
    b"+3",
    b"1e3",
    b"0x10",
    b"",
    b"5, 5",
    b"2147483648",
    b"9223372036854775807",
)
_NUMBERS += (b"18446744073709551616", b"7fffffffffffffff", b"ffffffffffffffff", b"9" * 40)
_INJECTED = (
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip\r\n",
    b"Transfer-Encoding:\r\n",
    b"Content-Length: 3\r\n",
    b"Content-Length: 0\r\n",
    b"Connection: close\r\n",
    b"Connection: upgrade\r\nUpgrade: websocket\r\n",
    b"Content-Encoding: gzip\r\n",
    b"Content-Encoding: zstd, br, unknown\r\n",
    b"Set-Cookie: \xff\xfe=\x80; Max-Age=99999999999999999999; Expires=never\r\n",
    b"Location: http://[::1\r\n",
    b"Location: //\xff\xff:99999/\r\n",
    b"X: \0\r\n",
    b" folded\r\n",
    b"no colon\r\n",
    b": no name\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n",
    b"HTTP/1.0 100 Continue\r\n\r\n",
    b"\r\n",
    b"X: " + b"y" * 70_000 + b"\r\n",
)
_DAMAGES: tuple[Damage, ...] = (
    _flip,
    _truncate,
    _duplicate,
    _delete,
    _twice,
    _change_length,
    _change_chunk,
    _change_status,
    _inject,
    _inject,
    _change_line_ends,
    _surround,
    _replace_all,
)


# The server.


@dataclass
class Outcomes:
    """How each case ended; `spoiled` are those whose connection a broken answer came on before."""

    kinds: dict[int, str] = field(default_factory=dict)
    spoiled: set[int] = field(default_factory=set)
    row: Row = field(default_factory=Row)

    def wrong(self, seed: int) -> list[str]:
        """Cases that ended otherwise than they had to."""
        return [
            f"case {number}: {kind}"
            for number, kind in self.kinds.items()
            if not KINDS.fullmatch(kind)
            or (
                number not in self.spoiled
                and (case := make_case(seed, number)).sound
                and kind not in _sound_kinds(case)
            )
        ]


def _sound_kinds(case: Case) -> tuple[str, ...]:
    if case.status in (302, 307):
        # Some lead nowhere: these answers are then judged, or that is what failed.
        return ("success", "refused", "refused by the guard", "too many redirects", "status 404")
    if case.status >= 400:
        return (f"status {case.status}",)
    return ("success",)


async def _converse(seed: int, outcomes: Outcomes, stream: trio.SocketStream) -> None:
    spoiled = False
    buffer = b""
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        while True:
            while b"\r\n\r\n" not in buffer:
                data = await stream.receive_some()
                if not data:
                    return await stream.aclose()
                buffer += data
            head, _, buffer = buffer.partition(b"\r\n\r\n")
            asked = re.match(rb"[A-Z]+ /cases/(\d+) ", head)
            if asked is None:
                await stream.send_all(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")
                continue
            case = make_case(seed, int(asked[1]))
            if spoiled:
                outcomes.spoiled.add(case.number)
            spoiled |= not case.sound
            for segment in case.segments:
                await stream.send_all(segment)
                await trio.lowlevel.checkpoint()
            if case.end == "reset":
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            if case.end != "keep":
                return await stream.aclose()


@contextmanager
def _serving(seed: int, outcomes: Outcomes) -> Iterator[int]:
    """The port of a server in a thread of its own, as the lane is no good neighbour."""
    started: SimpleQueue[tuple[int, Callable[[], None]]] = SimpleQueue()

    async def serve() -> None:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listeners[0].socket.getsockname()[1]
        with trio.CancelScope() as scope:
            token = trio.lowlevel.current_trio_token()
            started.put((port, partial(token.run_sync_soon, scope.cancel)))
            await trio.serve_listeners(partial(_converse, seed, outcomes), listeners)

    thread = Thread(target=trio.run, args=(serve,))
    thread.start()
    port, stop = started.get()
    try:
        yield port
    finally:
        stop()
        thread.join()


# The client.


class NoNames(trio.abc.HostnameResolver):
    """Knows no name, so that no damaged redirection asks the network for one."""

    async def getaddrinfo(self, host: bytes | None, *how: Any, **where: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def getnameinfo(self, sockaddr: Any, flags: int) -> tuple[str, str]:
        raise NotImplementedError


class Cases:
    """Stands for a compiled endpoint: iteration k is case k."""

    def __init__(self, seed: int, port: int, outcomes: Outcomes) -> None:
        self._seed = seed
        self._port = port
        self._outcomes = outcomes
        self.row = outcomes.row

    def iterate(self, session: Session, index: int) -> Generator[Wish, None, None]:
        case = make_case(self._seed, index)
        error = yield from RequestStep(self._program(case)).run(Flow(session, index))
        self._outcomes.kinds[index] = error or "success"

    def _program(self, case: Case) -> RequestProgram:
        timeout = 60.0 if case.sound else _FEW_SECONDS
        request = Request("case", case.method, parse("/"), timeout=timeout, redirects=2)
        content = f"{case.method} /cases/{case.number} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        looks = []
        if case.reads and not (case.sound and (case.method == "HEAD" or case.status != 200)):
            looks = compile_captures(_CAPTURES)
            if not case.sound:
                looks += compile_captures(_DARING)
        return RequestProgram(
            request,
            render=lambda index, variables: content,
            looks=looks,
            row=self.row,
            slowest=Slowest(),
            origin=Origin(False, "127.0.0.1", self._port),
        )


_CAPTURES = (
    Capture("id", FromJson(parse_path("$.id"))),
    Capture("status", FromStatus()),
    Capture("text", FromRegex('"text": *"(x*)"')),
)
_DARING = (Capture("a", FromHeader("set-cookie")), Capture("b", FromCookie("session")))


async def run_cases(count: int, seed: int, users: int = 40) -> Outcomes:
    """Send each case once, and once more where a kept connection was closed instead."""
    outcomes = Outcomes()
    trio.socket.set_custom_hostname_resolver(NoNames())
    load, start = SharedIterations(count, users), time.monotonic_ns()
    once = executor(load, 3600, Segment(0, 1), start, seed=0, site="fuzz")
    lane = Lane(Http(), Resolver(Guard(), inf), Recorder(), shortest_timeout=_FEW_SECONDS)
    with _serving(seed, outcomes) as port:
        try:
            cases = Cases(seed, port, outcomes)
            await lane.run(Assignment(once, [cases], table=[0], offset=0, max_vus=users))
        finally:
            lane.close()
    return outcomes


def main(count: int = 10_000, seed: int = 1) -> None:
    before = descriptors()
    outcomes = trio.run(run_cases, count, seed)
    for kind, cases in Counter(outcomes.kinds.values()).most_common():
        print(f"{cases:8,}  {kind}")
    print(f"{len(outcomes.kinds):8,}  cases, {outcomes.row.retried} of them sent again")
    print(f"{descriptors() - before:8,}  descriptors left open")
    sys.exit("\n".join(outcomes.wrong(seed)) or 0)


def descriptors() -> int:
    """How many file descriptors this process has."""
    return len(os.listdir("/proc/self/fd"))


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
