"""What is read out of an answer: captures and expectations, each parsed only when asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import partial

from stressrun.data.checks import MISSING, Check
from stressrun.data.jsonpath import JsonPath
from stressrun.http.decoding import DecodingFailed, decode
from stressrun.http.message import Head, may_have_header, parse_head
from stressrun.load.session import Session
from stressrun.scenario.model import (
    Capture,
    Expect,
    FromCookie,
    FromHeader,
    FromJson,
    FromRegex,
    FromStatus,
)

_MOST_DECODED = 64 * 1024 * 1024
_UNREAD = object()

Variables = dict[str, object]


class Unreadable(Exception):  # noqa: N818 - an outcome, told as the failure's kind
    """The answer does not have what was asked for; the message is the failure's kind."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(kind)
        self.kind = kind
        self.detail = detail


class Reading:
    """One answer that is being read, each part when it is first asked for; raises Unreadable."""

    __slots__ = ("_content", "_head", "_json", "answer", "session")

    def __init__(self, session: Session) -> None:
        self.session = session
        self.answer = session.answer
        self._head: Head | None = None
        self._content: bytes | None = None
        self._json: object = _UNREAD

    def head(self) -> Head:
        if self._head is None:
            self._head = parse_head(self.answer.start)
        return self._head

    def content(self) -> bytes:
        """The body, decoded."""
        if self._content is None:
            self._content = self._decoded()
        return self._content

    def text(self) -> str:
        return self.content().decode("utf-8", "replace")

    def json(self) -> object:
        if self._json is _UNREAD:
            try:
                self._json = json.loads(self.content().decode())
            except (ValueError, RecursionError) as error:
                raise Unreadable("the body is not JSON", str(error)) from error
        return self._json

    def _decoded(self) -> bytes:
        if not may_have_header(self.answer.start, b"content-encoding:"):
            return self.answer.body
        encodings = self.head().get("content-encoding")
        if encodings is None:
            return self.answer.body
        try:
            return decode(self.answer.body, encodings, _MOST_DECODED)
        except DecodingFailed as error:
            raise Unreadable("undecodable body", str(error)) from error


Look = Callable[[Reading, int, Variables], None]


def compile_captures(captures: tuple[Capture, ...]) -> list[Look]:
    """Looks that put the captured values into the variables."""
    return [partial(_capture, capture.variable, _finder(capture)) for capture in captures]


def compile_expect(expect: Expect, seed: int, site: str) -> list[Look]:
    """Looks that raise Unreadable where an expectation does not hold."""
    looks: list[Look] = []
    for number, (name, check) in enumerate(expect.headers):
        find = partial(_header, name)
        looks.append(_expectation(f"header {name}", find, check, seed, f"{site}.headers.{number}"))
    for number, (path, check) in enumerate(expect.json):
        find = partial(_json, path)
        looks.append(_expectation(path.source, find, check, seed, f"{site}.json.{number}"))
    for number, check in enumerate(expect.body):
        looks.append(_expectation("body", _text, check, seed, f"{site}.body.{number}"))
    for number, check in enumerate(expect.size):
        looks.append(_expectation("size", _size, check, seed, f"{site}.size.{number}"))
    return looks


Find = Callable[[Reading], object]


def _finder(capture: Capture) -> Find:
    match capture.source:
        case FromJson(path):
            return partial(_json, path)
        case FromHeader(name):
            return partial(_header, name)
        case FromStatus():
            return _status
        case FromCookie(name):
            return partial(_cookie, name)
        case FromRegex(pattern):
            return partial(_regex, re.compile(pattern))


def _capture(
    variable: str, find: Find, reading: Reading, index: int, variables: Variables
) -> None:
    try:
        value = find(reading)
        if isinstance(value, str):
            value.encode()
    except LookupError:
        raise Unreadable(f"capture: no {variable}") from None
    except UnicodeEncodeError:
        # Half of a surrogate pair: it could be sent in no later request.
        raise Unreadable(f"capture: {variable} is not text") from None
    except Unreadable as error:
        raise Unreadable(f"capture: {error.kind}", error.detail) from error
    variables[variable] = value


def _expectation(what: str, find: Find, check: Check, seed: int, site: str) -> Look:
    holds = check.compile(seed, site)
    presence = check.operator == "exists"

    def look(reading: Reading, index: int, variables: Mapping[str, object]) -> None:
        try:
            found = find(reading)
        except LookupError:
            if presence and holds(MISSING, index, variables):
                return
            raise Unreadable(f"expect: {what}", "it is missing") from None
        except Unreadable as error:
            raise Unreadable(f"expect: {error.kind}", error.detail) from error
        if not holds(found, index, variables):
            raise Unreadable(f"expect: {what}", f"it is {found!r:.200}")

    return look


def _status(reading: Reading) -> object:
    return reading.answer.status


def _header(name: str, reading: Reading) -> object:
    value = reading.head().get(name)
    if value is None:
        raise LookupError(name)
    return value


def _cookie(name: str, reading: Reading) -> object:
    cookies = reading.session.cookies
    value = None if cookies is None else cookies.get(name)
    if value is None:
        raise LookupError(name)
    return value


def _json(path: JsonPath, reading: Reading) -> object:
    return path.find(reading.json())


def _text(reading: Reading) -> object:
    return reading.text()


def _size(reading: Reading) -> object:
    return len(reading.content())


def _regex(pattern: re.Pattern[str], reading: Reading) -> object:
    found = pattern.search(reading.text())
    if found is None:
        raise LookupError(pattern.pattern)
    return found[1] if pattern.groups else found[0]
