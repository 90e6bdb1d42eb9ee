"""A scenario's request compiled to bytes: what is constant is put together before load."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from urllib.parse import quote

from stressrun import __version__
from stressrun.data.expressions import compile_json, compile_text
from stressrun.scenario.model import Request

Render = Callable[[int, Mapping[str, object]], bytes]

_BODYLESS = frozenset({"GET", "HEAD", "DELETE", "OPTIONS", "TRACE"})
IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"})


def compile_request(
    request: Request, *, authority: str, base_path: str, seed: int, site: str
) -> Render:
    """A function of (index, captured variables) that gives the whole request as bytes.

    `authority` goes into the Host header, `base_path` before the request's path; the generated
    values are those of (seed, site, index).
    """
    start = f"{request.method} {base_path}".encode()
    path = _compile_path(request, seed, site)
    headers = _compile_headers(request, authority, seed, site)
    if request.json is None:
        length = b"" if request.method in _BODYLESS else b"Content-Length: 0\r\n"
        return _without_body(start, path, headers, length + b"\r\n")
    body = compile_json(request.json, seed, f"{site}.json")

    def render(index: int, variables: Mapping[str, object]) -> bytes:
        content = body(index, variables)
        return b"%b%b HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n%b" % (
            start,
            path(index, variables),
            headers(index, variables),
            len(content),
            content,
        )

    return render


def _without_body(start: bytes, path: Render, headers: Render, end: bytes) -> Render:
    def render(index: int, variables: Mapping[str, object]) -> bytes:
        return b"%b%b HTTP/1.1\r\n%b%b" % (
            start,
            path(index, variables),
            headers(index, variables),
            end,
        )

    return render


def _compile_path(request: Request, seed: int, site: str) -> Render:
    # A value is one segment or one argument, whatever is in it.
    text = compile_text(request.path, seed, f"{site}.path", escape=partial(quote, safe=""))
    if request.path.constant:
        return _always(text(0, {}).encode())
    return lambda index, variables: text(index, variables).encode()


def _compile_headers(request: Request, authority: str, seed: int, site: str) -> Render:
    given = {name.lower() for name, _ in request.headers}
    defaults = {
        "Host": authority,
        "User-Agent": f"stressrun/{__version__}",
        "Accept": "*/*",
    }
    if request.json is not None:
        defaults["Content-Type"] = "application/json"
    constant = "".join(
        f"{name}: {value}\r\n" for name, value in defaults.items() if name.lower() not in given
    ).encode()
    texts = [
        (name, compile_text(value, seed, f"{site}.headers.{name}"))
        for name, value in request.headers
    ]
    if all(value.constant for _, value in request.headers):
        return _always(constant + b"".join(_header(name, text(0, {})) for name, text in texts))
    return lambda index, variables: (
        constant + b"".join([_header(name, text(index, variables)) for name, text in texts])
    )


def _header(name: str, value: str) -> bytes:
    # A captured value must not end the header and begin another.
    clean = value.replace("\r", " ").replace("\n", " ")
    return f"{name}: {clean}\r\n".encode()


def _always(content: bytes) -> Render:
    return lambda index, variables: content
