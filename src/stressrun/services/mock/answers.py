"""Answers as bytes, put together before load as far as they are always the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import NamedTuple

from stressrun.data.expressions import (
    Json,
    Template,
    Variables,
    compile_json,
    compile_json_text,
    compile_text,
)
from stressrun.scenario.model import MockAnswer

_LINES = re.compile(r"[\r\n\0]+")
_BODILESS = (204, 304)


class Message(NamedTuple):
    """An answer's bytes, of which so many are its head."""

    content: bytes
    head: int
    status: int


Compose = Callable[[int, Variables], Message]
"""From the number of a call and what was asked to the answer."""


def plain(status: int, text: str, *headers: str) -> Message:
    """An answer of the mock's own."""
    body = f"{text}\n".encode()
    lines = (
        f"HTTP/1.1 {status} {_reason(status)}",
        "Content-Type: text/plain; charset=utf-8",
        *headers,
        f"Content-Length: {len(body)}",
    )
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"
    return Message(head + body, len(head), status)


def closing(content: bytes) -> bytes:
    """The same answer with the word that it is the last on its connection."""
    return content.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)


def compile_answer(answer: MockAnswer, seed: int, site: str) -> Compose:
    """What composes an answer."""
    status = answer.status
    start = f"HTTP/1.1 {status} {_reason(status)}\r\n"
    headers = [
        (name, compile_text(value, seed, f"{site}.{name}", escape=_on_one_line))
        for name, value in answer.headers
    ]
    body = _compile_body(answer, seed, f"{site}.body")
    kind = _content_type(answer)

    def compose(index: int, variables: Variables) -> Message:
        content = body(index, variables)
        lines = "".join(f"{name}: {read(index, variables)}\r\n" for name, read in headers)
        length = "" if status in _BODILESS else f"Content-Length: {len(content)}\r\n"
        head = f"{start}{kind}{lines}{length}\r\n".encode("utf-8", "replace")
        return Message(head + content, len(head), status)

    if all(value.constant for _, value in answer.headers) and _is_constant(answer.body):
        always = compose(0, {})
        return lambda index, variables: always
    return compose


def _compile_body(answer: MockAnswer, seed: int, site: str) -> Callable[[int, Variables], bytes]:
    if answer.body is None:
        return lambda index, variables: b""
    if isinstance(answer.body, Json):
        return compile_json(answer.body, seed, site)
    given = next((v.source for name, v in answer.headers if name.lower() == "content-type"), "")
    compiler = compile_json_text if "json" in given.lower() else compile_text
    read = compiler(answer.body, seed, site)
    return lambda index, variables: read(index, variables).encode("utf-8", "backslashreplace")


def _content_type(answer: MockAnswer) -> str:
    """The header of a body that says nothing else of itself."""
    if answer.body is None or any(name.lower() == "content-type" for name, _ in answer.headers):
        return ""
    kind = "application/json" if isinstance(answer.body, Json) else "text/plain; charset=utf-8"
    return f"Content-Type: {kind}\r\n"


def _is_constant(body: Json | Template | None) -> bool:
    return body is None or body.constant


def _on_one_line(text: str) -> str:
    """What was asked must not begin a header of its own."""
    return _LINES.sub(" ", text)


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
