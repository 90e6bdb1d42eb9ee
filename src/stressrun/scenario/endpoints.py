"""The `endpoints:` of a scenario."""

from __future__ import annotations

import re

from stressrun.data.expressions import ExpressionError, Json, Template, parse, parse_json
from stressrun.data.jsonpath import JsonPath, parse_path
from stressrun.data.suggest import did_you_mean
from stressrun.scenario.model import Endpoint, Expect, Request, Step, Think
from stressrun.scenario.part import Part, strings
from stressrun.scenario.wording import one_of
from stressrun.units import parse_duration

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")

_EXPRESSION = re.compile(r"\$\{[^}]*\}")
_NOT_IN_PATH = re.compile(r"[^!-~]|#")
_NOT_IN_HEADER = re.compile(r"[^\t -~\x80-\xff]")


def build_endpoint(part: Part) -> Endpoint:
    """An endpoint; a single request takes the endpoint's name."""
    name = part["name"].text()
    weight = part.get("weight")
    number = 1.0 if weight is None else weight.number()
    if "request" in part:
        return Endpoint(name, number, (_Steps().request(part, name),))
    steps = _Steps()
    built = tuple(steps.step(step) for step in part.items("steps"))
    if not any(isinstance(step, Request) for step in built) and part["steps"].sound:
        part["steps"].fault("an endpoint without a request", "add a step with a request")
    return Endpoint(name, number, built)


def method_and_path(part: Part) -> tuple[str, str, int]:
    """The method, the path, and where the path begins in `METHOD /path`."""
    text = part.text()
    method = text.split(" ", 1)[0]
    offset = len(text) - len(text[len(method) :].lstrip())
    path = text[offset:]
    if method not in METHODS:
        hint = did_you_mean(method, METHODS) or f"write {one_of(METHODS)}"
        part.fault(f"no method {method!r}", hint, offset=0)
    # Blanked out at their length, expressions keep the offsets of what stands around them.
    fixed = _EXPRESSION.sub(lambda match: "x" * len(match[0]), path)
    for wrong in _NOT_IN_PATH.finditer(fixed):
        encoded = "".join(f"%{byte:02X}" for byte in wrong[0].encode())
        part.fault(
            f"{wrong[0]!r} cannot stand in a request's path",
            f"write {encoded}",
            offset=offset + wrong.start(),
        )
    return method, path, offset


class _Steps:
    """Builds an endpoint's steps in order: what is captured so far, which names are taken."""

    def __init__(self) -> None:
        self._captured: set[str] = set()
        self._names: dict[str, int] = {}

    def step(self, part: Part) -> Step:
        if "think" in part:
            return _think(part["think"])
        if "name" not in part:
            return self.request(part, None)
        name = part["name"].text()
        if name in self._names:
            part["name"].fault(f"a second step named {name!r}", "give it another name")
        return self.request(part, name)

    def request(self, part: Part, name: str | None) -> Request:
        source = part["request"]
        method, path, offset = method_and_path(source)
        template = self._template(source, path, offset)
        headers = tuple(
            (header, self._header(header, value)) for header, value in part.entries("headers")
        )
        body = self._json(part["json"]) if "json" in part else None
        name = self._named(name or f"{method} {path}")
        captures = tuple((variable, _path(value)) for variable, value in part.entries("capture"))
        for variable, value in part.entries("capture"):
            _check_variable(variable, value)
        self._captured |= {variable for variable, _ in captures}
        return Request(name, method, template, headers, body, captures, _expect(part))

    def _named(self, name: str) -> str:
        count = self._names[name] = self._names.get(name, 0) + 1
        return name if count == 1 else f"{name} #{count}"

    def _header(self, name: str, part: Part) -> Template:
        text = str(part.value)
        if name.lower() in ("content-length", "transfer-encoding"):
            part.fault(f"the header {name} follows from the body", "leave it out")
        if (wrong := _NOT_IN_HEADER.search(text)) is not None:
            message = f"{wrong[0]!r} cannot stand in a header"
            part.fault(message, offset=wrong.start())
        return self._template(part, text)

    def _json(self, part: Part) -> Json:
        for place, text in strings(part.value, part.place):
            self._template(Part(text, place, part.faults), text)
        if not part.sound:
            return parse_json(None)
        try:
            return parse_json(part.value)
        except ExpressionError as error:
            Part(None, (*part.place, *error.path), part.faults).fault(error.message, error.hint)
            return parse_json(None)

    def _template(self, part: Part, text: str, offset: int = 0) -> Template:
        try:
            template = parse(text)
        except ExpressionError as error:
            part.fault(error.message, error.hint, offset=offset + error.offset)
            return parse("")
        for variable, at in template.variables:
            if variable not in self._captured:
                hint = did_you_mean(variable, (*self._captured, "uuid", "now"))
                hint = hint or f"an earlier step captures it by capture: {{{variable}: $.path}}"
                message = f"{variable!r} is neither captured by an earlier step nor a generator"
                part.fault(message, hint, offset=offset + at)
        return template


def _think(part: Part) -> Think:
    def parse_think(text: str) -> Think:
        shortest, dots, longest = text.partition("..")
        first = parse_duration(shortest)
        return Think(first, parse_duration(longest) if dots else first)

    think = part.parsed(parse_think, Think(0, 0))
    if think.longest < think.shortest:
        part.fault("the shortest think time comes first", "such as 50ms..200ms")
    return think


def _path(part: Part) -> JsonPath:
    try:
        return parse_path(part.text())
    except ExpressionError as error:
        part.fault(error.message, error.hint, offset=error.offset)
        return parse_path("$")


def _check_variable(name: str, part: Part) -> None:
    try:
        taken = not parse(f"${{{name}}}").variables
    except ExpressionError:
        taken = True
    if taken:
        part.fault(f"{name!r} is the name of a generator", "capture it under another name")


def _expect(part: Part) -> Expect:
    expect = part.get("expect")
    if expect is None:
        return Expect((), None)
    within = expect.get("within")
    return Expect(
        _statuses(expect),
        None if within is None else within.parsed(parse_duration, 0.0),
    )


def _statuses(expect: Part) -> tuple[int, ...]:
    status = expect.get("status")
    if status is None:
        return ()
    if isinstance(status.value, list):
        return tuple(int(item.number()) for item in expect.items("status"))
    return (int(status.number()),)
