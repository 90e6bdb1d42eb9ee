"""The same requests and answers through the lane and through httpx: both agree on all of it."""

from __future__ import annotations

import gzip
import json
import re
import socket
import socketserver
import threading
import time
import zlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf
from typing import Any
from urllib.parse import parse_qsl

import brotli
import httpx
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from stressrun.data.expressions import Template, parse_json
from stressrun.http.message import parse_head
from stressrun.http.origin import Origin
from stressrun.http.request import compile_request
from stressrun.http.resolver import Resolver
from stressrun.http.trace import Trace
from stressrun.load.assignment import Assignment
from stressrun.load.executors import executor
from stressrun.load.lane import Lane
from stressrun.load.pacing import Segment
from stressrun.load.program import RequestProgram
from stressrun.load.reading import Reading
from stressrun.load.session import Session
from stressrun.load.steps import Wish
from stressrun.metrics.recorder import Recorder, Row
from stressrun.metrics.slowest import Slowest
from stressrun.safety.guard import Guard
from stressrun.scenario.model import FormBody, Http, JsonBody, RawBody, Request, SharedIterations

CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "br, gzip": lambda content: gzip.compress(brotli.compress(content)),
}
# Of the answers only: what each client says of itself and of the connection is its own affair.
Headers = list[tuple[str, str]]


@dataclass(frozen=True)
class Asked:
    """A request, as both clients are told to make it."""

    method: str
    path: str
    query: Headers
    headers: Headers
    body: Any
    body_kind: str


@dataclass(frozen=True)
class Answered:
    """An answer, as the server is told to send it."""

    status: int
    reason: str
    headers: Headers
    part: bytes
    parts: int
    coding: str
    framing: str
    interim: list[bytes]
    cuts: list[int]

    @property
    def body(self) -> bytes:
        return self.part * self.parts

    def segments(self, method: str) -> list[bytes]:
        content = CODINGS[self.coding](self.body)
        headers = list(self.headers)
        if self.coding:
            headers.append(("Content-Encoding", self.coding))
        if self.framing == "length":
            headers.append(("Content-Length", str(len(content))))
        elif self.framing == "chunked":
            headers.append(("Transfer-Encoding", "chunked"))
            content = _chunked(content)
        else:
            headers.append(("Connection", "close"))
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        head = f"HTTP/1.1 {self.status} {self.reason}\r\n{lines}\r\n".encode()
        if method == "HEAD" or self.status in (204, 304):
            content = b""
        whole = b"".join(self.interim) + head + content
        bounds = [0, *sorted(cut for cut in self.cuts if cut < len(whole)), len(whole)]
        return [whole[a:b] for a, b in pairwise(bounds)]


def _chunked(content: bytes) -> bytes:
    third = len(content) // 3 + 1
    chunks = [content[start : start + third] for start in range(0, len(content), third)]
    return b"".join(b"%x;a=b\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


@dataclass(frozen=True)
class Outcome:
    """What a client made of an answer."""

    status: int
    reason: str
    headers: Headers
    body: bytes


@dataclass(frozen=True)
class Seen:
    """What the server made of a request."""

    method: str
    path: str
    query: Headers
    headers: Headers
    content_type: str | None
    body: object


# The cases.

_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="$"), max_size=12)
_VALUE = st.from_regex(r"([!#%-~]([ -#%-~]{0,12}[!#%-~])?)?", fullmatch=True)
_NAMES = st.integers(0, 99).map("X-{:02}".format)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=6,
)
_PARTS = st.sampled_from([1, 1, 1, 5_000])
_BODIES = st.one_of(
    st.just((None, "none")),
    st.tuples(_JSON.filter(lambda value: value is not None), st.just("json")),
    st.tuples(st.dictionaries(_TEXT.filter(bool), _TEXT, min_size=1, max_size=3), st.just("form")),
    st.tuples(st.binary(min_size=1, max_size=50), _PARTS.map("raw {}".format)),
)
_ASKED = st.builds(
    lambda method, path, query, headers, body: Asked(
        method, path, query, list(headers.items()), *body
    ),
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]),
    st.from_regex(r"(/([A-Za-z0-9._~!&'()*+,;=:@-]|%20|%C3%BC){0,8}){1,3}", fullmatch=True).filter(
        lambda path: "//" not in path and not re.search(r"/\.{1,2}(/|$)", path)
    ),
    st.lists(st.tuples(_TEXT.filter(bool), _TEXT), max_size=3),
    st.dictionaries(_NAMES, _VALUE, max_size=4),
    _BODIES,
)
_ANSWERED = st.builds(
    Answered,
    st.sampled_from([200, 201, 202, 204, 206, 301, 304, 400, 401, 404, 409, 429, 500, 503]),
    st.from_regex(r"([A-Za-z]([ -~]{0,10}[A-Za-z])?)?", fullmatch=True),
    st.lists(st.tuples(_NAMES | st.sampled_from(["X-Twice", "ETag"]), _VALUE), max_size=6),
    st.binary(max_size=200) | _JSON.map(json.dumps).map(str.encode),
    _PARTS,
    st.sampled_from(list(CODINGS)),
    st.sampled_from(["length", "length", "chunked", "close"]),
    st.lists(
        st.sampled_from(
            [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\n"]
        ),
        max_size=2,
    ),
    st.lists(st.integers(1, 400), max_size=4),
)


# The server.


@dataclass
class Stage:
    """What the server answers, and what it saw."""

    answered: Answered | None = None
    seen: list[Seen] = field(default_factory=list)


class Handler(socketserver.BaseRequestHandler):
    """Answers as the stage says until the client closes."""

    server: Server

    def handle(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self.request.makefile("rb") as stream:
            while line := stream.readline():
                seen = _read(line.decode(), stream)
                stage = self.server.stage
                assert stage.answered is not None
                stage.seen.append(seen)
                for segment in stage.answered.segments(seen.method):
                    self.request.sendall(segment)
                if stage.answered.framing == "close":
                    return


def _read(line: str, stream: Any) -> Seen:
    method, target, _ = line.split(" ")
    headers = []
    while header := stream.readline().decode().rstrip("\r\n"):
        name, _, value = header.partition(":")
        headers.append((name.lower(), value.strip()))
    body = stream.read(int(dict(headers).get("content-length", 0)))
    content_type = dict(headers).get("content-type")
    path, _, query = target.partition("?")
    return Seen(
        method,
        path,
        _by_name(parse_qsl(query, keep_blank_values=True)),
        [(name, value) for name, value in headers if re.fullmatch(r"x-\d\d", name)],
        content_type,
        json.loads(body) if content_type == "application/json" else body,
    )


def _by_name(arguments: Headers) -> Headers:
    """Those of one name side by side, as httpx sends them."""
    return sorted(arguments, key=lambda argument: argument[0])


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.stage = Stage()
        self.port = int(self.server_address[1])


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, verify=False) as client:
        yield client


# The clients.


class Twice:
    """Stands for a compiled endpoint: sends its request twice, over one connection if it can."""

    def __init__(self, program: RequestProgram) -> None:
        self.program = program
        self.row = program.row
        self.outcomes: list[Outcome] = []

    def iterate(self, session: Session, index: int) -> Generator[Wish, None, None]:
        for _ in range(2):
            yield self.program, self.program.render(index, {})
            answer = session.answer
            assert answer.failure is None, (answer.failure, answer.detail)
            head = parse_head(answer.start)
            self.outcomes.append(
                Outcome(answer.status, head.reason, list(head.headers), Reading(session).content())
            )


async def by_lane(asked: Asked, port: int) -> list[Outcome]:
    request = Request(
        "case",
        asked.method,
        _plain(asked.path),
        query=tuple((name, _plain(value)) for name, value in asked.query),
        headers=tuple((name, _plain(value)) for name, value in asked.headers),
        body=_body(asked),
    )
    render = compile_request(
        request,
        authority=f"127.0.0.1:{port}",
        base_path="",
        seed=0,
        site="case",
        trace=Trace("run", None),
    )
    program = RequestProgram(
        request,
        render=render,
        looks=[],
        row=Row(),
        slowest=Slowest(),
        origin=Origin(False, "127.0.0.1", port),
    )
    program.keep_body = True
    lane = Lane(Http(), Resolver(Guard(), inf), Recorder())
    load, start = SharedIterations(1, 1), time.monotonic_ns()
    once = executor(load, 60, Segment(0, 1), start, seed=0, site="case")
    twice = Twice(program)
    try:
        await lane.run(Assignment(once, [twice], table=[0], offset=0, max_vus=1))
    finally:
        lane.close()
    return twice.outcomes


def _body(asked: Asked) -> Any:
    match asked.body_kind.split():
        case ["json"]:
            return JsonBody(parse_json(asked.body))
        case ["form"]:
            return FormBody(tuple((name, _plain(value)) for name, value in asked.body.items()))
        case ["raw", parts]:
            return RawBody(asked.body * int(parts), None)
    return None


def _plain(text: str) -> Template:
    return Template(text, (text,) if text else ())


def by_httpx(asked: Asked, port: int, client: httpx.Client) -> Outcome:
    body: dict[str, Any] = {}
    match asked.body_kind.split():
        case ["json"]:
            body["json"] = asked.body
        case ["form"]:
            body["data"] = asked.body
        case ["raw", parts]:
            body["content"] = asked.body * int(parts)
    answer = client.request(
        asked.method,
        f"http://127.0.0.1:{port}{asked.path}",
        params=asked.query or None,
        headers=asked.headers,
        **body,
    )
    return Outcome(
        answer.status_code,
        answer.reason_phrase,
        [(name.decode(), value.decode()) for name, value in answer.headers.raw],
        answer.content,
    )


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(asked=_ASKED, answered=_ANSWERED)
def test_the_lane_and_httpx_agree(
    asked: Asked, answered: Answered, server: Server, client: httpx.Client
) -> None:
    server.stage = stage = Stage(answered)
    first, second = trio.run(by_lane, asked, server.port)
    expected = by_httpx(asked, server.port, client)
    assert first == second == expected
    assert expected.status == answered.status
    if asked.method != "HEAD" and answered.status not in (204, 304):
        assert expected.body == answered.body
    assert stage.seen[0] == stage.seen[1] == stage.seen[2]
    assert (stage.seen[0].method, stage.seen[0].query) == (asked.method, _by_name(asked.query))
