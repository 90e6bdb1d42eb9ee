"""What is made of an answer: `capture:` and `expect:`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stressrun.data.checks import Check, parse_check
from stressrun.data.expressions import ExpressionError, parse
from stressrun.data.jsonpath import JsonPath, parse_path
from stressrun.scenario.model import (
    Capture,
    Expect,
    FromCookie,
    FromHeader,
    FromJson,
    FromRegex,
    FromStatus,
)
from stressrun.scenario.part import Part
from stressrun.scenario.scope import Scope
from stressrun.units import parse_duration, parse_size


def build_captures(part: Part) -> tuple[Capture, ...]:
    """The captures of a request's part."""
    captures = []
    for variable, value in part.entries("capture"):
        _check_variable(variable, value)
        captures.append(Capture(variable, build_source(value)))
    return tuple(captures)


def build_expect(part: Part, scope: Scope) -> Expect:
    """What a request's part expects."""
    expect = part.get("expect")
    if expect is None:
        return Expect()
    within, body, size = expect.get("within"), expect.get("body"), expect.get("size")
    return Expect(
        _statuses(expect),
        None if within is None else within.parsed(parse_duration, 0.0),
        headers=build_header_checks(expect, scope),
        json=build_json_checks(expect, scope),
        body=() if body is None else build_checks(body, scope),
        size=() if size is None else _sizes(size),
    )


def build_header_checks(part: Part, scope: Scope) -> tuple[tuple[str, Check], ...]:
    """What is under `headers:`, by the name of a header."""
    return tuple(
        (name, check)
        for name, value in part.entries("headers")
        for check in build_checks(value, scope)
    )


def build_json_checks(part: Part, scope: Scope) -> tuple[tuple[JsonPath, Check], ...]:
    """What is under `json:`, by a path."""
    return tuple(
        (_path(name, value, at_key=True), check)
        for name, value in part.entries("json")
        for check in build_checks(value, scope)
    )


def build_source(part: Part) -> FromJson | FromHeader | FromStatus | FromCookie | FromRegex:
    """Where in an answer a value stands."""
    if part.value == "status":
        return FromStatus()
    if "header" in part:
        return FromHeader(part["header"].text())
    if "cookie" in part:
        return FromCookie(part["cookie"].text())
    if "regex" in part:
        return FromRegex(_pattern(part["regex"]))
    if "json" in part:
        part = part["json"]
    return FromJson(_path(part.text(), part))


def _check_variable(name: str, part: Part) -> None:
    try:
        taken = not parse(f"${{{name}}}").variables
    except ExpressionError:
        taken = True
    if taken:
        part.fault(f"{name!r} is the name of a generator", "capture it under another name")


def _path(text: str, part: Part, *, at_key: bool = False) -> JsonPath:
    try:
        return parse_path(text)
    except ExpressionError as error:
        offset = None if at_key else error.offset
        part.fault(error.message, error.hint, offset=offset, at_key=at_key)
        return parse_path("$")


def _pattern(part: Part) -> str:
    pattern = part.literal()
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        message = f"{pattern!r} is no regular expression: {getattr(error, 'msg', error)}"
        part.fault(message, offset=getattr(error, "pos", None))
    return pattern


def _statuses(expect: Part) -> tuple[int, ...]:
    status = expect.get("status")
    if status is None:
        return ()
    if isinstance(status.value, list):
        return tuple(int(item.number()) for item in expect.items("status"))
    return (int(status.number()),)


def build_checks(part: Part, scope: Scope) -> tuple[Check, ...]:
    """A plain value is what has to be there; a mapping has a check under each of its keys."""
    if not isinstance(part.value, dict):
        return _check("equals", part, scope)
    return tuple(
        check for operator, value in _entries(part) for check in _check(operator, value, scope)
    )


def _check(operator: str, part: Part, scope: Scope) -> tuple[Check, ...]:
    scope.json(part)
    return _parsed(operator, part.value, part) if part.sound else ()


def _sizes(part: Part) -> tuple[Check, ...]:
    entries = _entries(part) if isinstance(part.value, dict) else [("equals", part)]
    return tuple(
        check
        for operator, value in entries
        for check in _parsed(operator, value.parsed(parse_size, 0), value)
    )


def _parsed(operator: str, value: object, part: Part) -> tuple[Check, ...]:
    try:
        return (parse_check(operator, value),)
    except ExpressionError as error:
        part.fault(error.message, error.hint, offset=error.offset)
        return ()


def _entries(part: Part) -> Iterator[tuple[str, Part]]:
    assert isinstance(part.value, dict)
    return ((key, value) for key in part.value if (value := part.get(key)) is not None)
