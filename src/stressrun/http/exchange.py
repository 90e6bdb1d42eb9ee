"""Requests and answers as a person reads them: secrets masked, bodies decoded and cut."""

from __future__ import annotations

import re
from collections.abc import Iterable

from stressrun.http.decoding import DecodingFailed, decode
from stressrun.http.message import parse_head
from stressrun.http.request import parse_request

_MOST_CHARACTERS = 2_000
_MOST_DECODED = 1024 * 1024
_SECRET_HEADER = re.compile(r"auth|cookie|key|secret|session|token", re.IGNORECASE)
_SECRET_ARGUMENT = re.compile(r"(?i)([?&][^=&\s]*(?:key|password|secret|token)[^=&\s]*=)[^&\s]*")


def request_text(content: bytes) -> str:
    """A rendered request with its headers and the beginning of its body."""
    method, target, headers, body = parse_request(content)
    line = _SECRET_ARGUMENT.sub(r"\1***", f"{method} {target}")
    return _text(line, headers, body)


def answer_text(start: bytes, body: bytes | None) -> str:
    """An answer of which `start` came first; its `body`, or what of it is in `start`."""
    try:
        head = parse_head(start)
    except ValueError:
        return _cut(start.decode("utf-8", "backslashreplace"))
    if body is None:
        body = start.rpartition(b"\r\n\r\n")[2]
    encodings = head.get("content-encoding")
    if encodings is not None:
        try:
            body = decode(body, encodings, _MOST_DECODED)
        except DecodingFailed as error:
            return _text(f"{head.status} {head.reason}", head.headers, f"({error})".encode())
    return _text(f"{head.status} {head.reason}", head.headers, body)


def _text(line: str, headers: Iterable[tuple[str, str]], body: bytes) -> str:
    shown = "".join(
        f"\n{name}: {'***' if _SECRET_HEADER.search(name) else value}" for name, value in headers
    )
    text = f"{line.strip()}{shown}"
    return _cut(f"{text}\n\n{body.decode('utf-8', 'backslashreplace')}" if body else text)


def _cut(text: str) -> str:
    if len(text) <= _MOST_CHARACTERS:
        return text
    return f"{text[:_MOST_CHARACTERS]}… ({len(text) - _MOST_CHARACTERS:,} more characters)"
