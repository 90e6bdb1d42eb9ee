"""A scenario's request compiled to bytes: what is constant is put together before load."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Sequence

from stressrun import __version__
from stressrun.data.expressions import Template, compile_text
from stressrun.http.body import Content, compile_body
from stressrun.http.decoding import ACCEPTED
from stressrun.http.pieces import (
    BEYOND_UTF8,
    Piece,
    Render,
    Variables,
    as_argument,
    as_header,
    as_segment,
    compile_piece,
    encode,
)
from stressrun.http.trace import Trace
from stressrun.scenario.model import ApiKeyAuth, BasicAuth, BearerAuth, Request

IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"})
_BODYLESS = frozenset({"GET", "HEAD", "DELETE", "OPTIONS", "TRACE"})


def compile_request(
    request: Request, *, authority: str, base_path: str, seed: int, site: str, trace: Trace
) -> Render:
    """A function of (index, captured variables) that gives the whole request as bytes.

    `authority` goes into the Host header, `base_path` before the request's path; the generated
    values are those of (seed, site, index). The function raises KeyError with the name of a
    variable that has no value.
    """
    content = None
    if request.body is not None:
        content = compile_body(request.body, seed, site, _named_type(request))
    pieces = [
        f"{request.method} {base_path}",
        *_target(request, seed, site),
        " HTTP/1.1\r\n",
        *_headers(request, authority, content, seed, site, trace),
    ]
    if not _frames_itself(request):
        if content is None:
            pieces.append("" if request.method in _BODYLESS else "Content-Length: 0\r\n")
        elif isinstance(content.data, bytes):
            pieces.append(f"Content-Length: {len(content.data)}\r\n")
        else:
            return _measured(_render(encode(pieces)), content.data)
    pieces.append("\r\n")
    return _joined(encode(pieces), b"" if content is None else content.data)


def build_request(
    method: str, target: str, headers: Sequence[tuple[str, str]], body: bytes
) -> bytes:
    """A request of these parts, as bytes."""
    lines = "".join(f"{name}: {as_header(value)}\r\n" for name, value in headers)
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode() + body


def parse_request(content: bytes) -> tuple[str, str, list[tuple[str, str]], bytes]:
    """Method, target, headers and body of a rendered request."""
    head, _, body = content.partition(b"\r\n\r\n")
    line, *headers = head.decode().split("\r\n")
    method, target, _ = line.split(" ")
    pairs = (header.partition(": ") for header in headers)
    return method, target, [(name, value) for name, _, value in pairs], body


def target_of(content: bytes) -> str:
    """The target (path and query) of a rendered request."""
    return content.split(b" ", 2)[1].decode()


def add_header(content: bytes, name: str, value: str) -> bytes:
    """A rendered request with one more header; it keeps its own if it has one of that name."""
    end = content.index(b"\r\n\r\n")
    if f"\r\n{name}:".lower().encode() in content[:end].lower():
        return content
    return b"%b\r\n%b: %b%b" % (
        content[:end],
        name.encode(),
        as_header(value).encode(),
        content[end:],
    )


def _named_type(request: Request) -> str | None:
    """The Content-Type that a request's own headers give, where that is always the same."""
    for name, value in request.headers:
        if name.lower() == "content-type" and value.constant:
            return value.source
    return None


def _target(request: Request, seed: int, site: str) -> Iterator[Piece]:
    # The path itself stands as it is written: only the values in it are escaped.
    path = compile_text(request.path, seed, f"{site}.path", escape=as_segment)
    yield path(0, {}) if request.path.constant else path
    separator = "?"
    if any("?" in part for part in request.path.parts if isinstance(part, str)):
        separator = "&"
    for number, (name, value) in enumerate(_arguments(request)):
        yield f"{separator}{as_argument(name)}="
        yield compile_piece(value, seed, f"{site}.query.{number}", as_argument)
        separator = "&"


def _arguments(request: Request) -> tuple[tuple[str, Template], ...]:
    auth = request.auth
    if isinstance(auth, ApiKeyAuth) and auth.in_query and auth.name not in dict(request.query):
        return (*request.query, (auth.name, auth.value))
    return request.query


def _headers(
    request: Request, authority: str, content: Content | None, seed: int, site: str, trace: Trace
) -> Iterator[Piece]:
    """All headers but Content-Length; a scenario's own stand in place of the others."""
    own = {name.lower() for name, _ in request.headers}
    media_type = None if content is None else content.media_type
    others: list[tuple[str, Sequence[Piece]]] = [
        ("Host", (authority,)),
        ("User-Agent", (f"stressrun/{__version__}",)),
        ("Accept", ("*/*",)),
        ("Accept-Encoding", (ACCEPTED,)),
        ("Content-Type", (media_type,) if media_type else ()),
        ("X-Stressrun-Run", (trace.run_id,)),
        ("traceparent", trace.traceparent(site)),
        *_authorization(request, seed, f"{site}.auth"),
    ]
    for name, value in others:
        if value and name.lower() not in own:
            yield from (f"{name}: ", *value, "\r\n")
    for name, template in request.headers:
        yield f"{name}: "
        yield compile_piece(template, seed, f"{site}.headers.{name}", as_header)
        yield "\r\n"


def _authorization(request: Request, seed: int, site: str) -> Iterator[tuple[str, Sequence[Piece]]]:
    match request.auth:
        case BasicAuth(user, password):
            yield "Authorization", ("Basic ", _credentials(user, password, seed, site))
        case BearerAuth(token):
            yield "Authorization", ("Bearer ", compile_piece(token, seed, site, as_header))
        case ApiKeyAuth(name, value, in_query=False):
            yield name, (compile_piece(value, seed, site, as_header),)


def _credentials(user: Template, password: Template, seed: int, site: str) -> Piece:
    name = compile_text(user, seed, f"{site}.user")
    secret = compile_text(password, seed, f"{site}.password")

    def read(index: int, variables: Variables) -> str:
        pair = f"{name(index, variables)}:{secret(index, variables)}"
        return b64encode(pair.encode("utf-8", BEYOND_UTF8)).decode()

    return read(0, {}) if user.constant and password.constant else read


def _frames_itself(request: Request) -> bool:
    own = {name.lower() for name, _ in request.headers}
    return not own.isdisjoint({"content-length", "transfer-encoding"})


def _measured(head: Render, body: Render) -> Render:
    """A head that ends with the length of its body."""

    def render(index: int, variables: Variables) -> bytes:
        content = body(index, variables)
        return b"%bContent-Length: %d\r\n\r\n%b" % (head(index, variables), len(content), content)

    return render


def _joined(head: bytes | Render, body: bytes | Render) -> Render:
    if isinstance(head, bytes) and isinstance(body, bytes):
        whole = head + body
        return lambda index, variables: whole
    before, after = _render(head), _render(body)
    if body == b"":
        return before
    return lambda index, variables: before(index, variables) + after(index, variables)


def _render(content: bytes | Render) -> Render:
    return content if callable(content) else lambda index, variables: content
