"""The steps of an endpoint or a login, in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from stressrun.data.conditions import Condition, parse_condition
from stressrun.data.expressions import ExpressionError
from stressrun.scenario.model import Group, Request, Step, Think
from stressrun.scenario.nodes import Plain
from stressrun.scenario.part import Part
from stressrun.scenario.requests import Requests
from stressrun.scenario.scope import Scope
from stressrun.units import parse_duration


class Steps:
    """Builds steps in order: what is captured so far, which names are taken."""

    def __init__(self, requests: Requests, scope: Scope) -> None:
        self._requests = requests
        self._scope = scope
        self._names: dict[str, int] = {}

    def build(self, part: Part) -> tuple[Step, ...]:
        """The steps under a part's `steps`."""
        return tuple(self._step(step) for step in part.items("steps"))

    def request(self, part: Part, name: str | None) -> Request:
        """One request, numbered where its name is taken."""
        request = self._requests.build(part, self._scope, name)
        count = self._names[request.name] = self._names.get(request.name, 0) + 1
        return request if count == 1 else replace(request, name=f"{request.name} #{count}")

    def _step(self, part: Part) -> Step:
        condition = self._condition(part)
        if condition is None:
            steps = self._plain(part)
        else:
            with self._scope.conditional():
                steps = self._plain(part)
        if "steps" not in part and "repeat" not in part and "when" not in part:
            return steps[0]
        return Group(steps, part.integer("repeat", 1), condition)

    def _plain(self, part: Part) -> tuple[Step, ...]:
        """A step without its `repeat` and `when`."""
        if "steps" in part:
            return self.build(part)
        if "think" in part:
            return (_think(part["think"]),)
        if "name" not in part:
            return (self.request(part, None),)
        name = part["name"].text()
        if name in self._names:
            part["name"].fault(f"a second step named {name!r}", "give it another name")
        return (self.request(part, name),)

    def _condition(self, part: Part) -> Condition | None:
        when = part.get("when")
        if when is None:
            return None
        try:
            condition = parse_condition(when.text())
        except ExpressionError as error:
            when.fault(error.message, error.hint, offset=error.offset)
            return None

        def tell(message: str, hint: str, at: int) -> None:
            when.fault(message, hint, offset=at)

        self._scope.check(condition.variables, tell)
        if condition.constant:
            name = condition.left.template.source
            tell(
                "this condition never changes: it has no variable",
                f"a variable is written ${{{name if name.isidentifier() else 'name'}}}",
                condition.left.offset,
            )
        return condition


def captured_names(value: Plain) -> Iterator[str]:
    """The variables that a request, or steps, are to capture, be they right or not."""
    if not isinstance(value, dict):
        return
    captures, steps = value.get("capture"), value.get("steps")
    if isinstance(captures, dict):
        yield from captures
    for step in steps if isinstance(steps, list) else ():
        yield from captured_names(step)


def _think(part: Part) -> Think:
    def parse_think(text: str) -> Think:
        shortest, dots, longest = text.partition("..")
        first = parse_duration(shortest)
        return Think(first, parse_duration(longest) if dots else first)

    think = part.parsed(parse_think, Think(0, 0))
    if think.longest < think.shortest:
        part.fault("the shortest think time comes first", "such as 50ms..200ms")
    return think
