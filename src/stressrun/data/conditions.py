"""When a step is done: `${status} == paid`, `${total} > 100`, `${more}`.

condition = value | value operator value
operator  = == | != | < | <= | > | >= | contains
value     = a word | 'text' | "text", with expressions in them
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from stressrun.data.errors import ExpressionError
from stressrun.data.expressions import Json, Variables, compile_value
from stressrun.data.render import as_number, as_text
from stressrun.data.templates import Template, parse

_EXPRESSION = r"""\$\{(?:'[^']*'|"[^"]*"|[^}'"])*\}"""
_VALUE = re.compile(rf"""'(?P<single>[^']*)'|"(?P<double>[^"]*)"|(?:{_EXPRESSION}|[^\s'"=!<>])+""")
_OPERATOR = re.compile(r"""\s*(==|!=|<=|>=|<|>|contains(?=[\s'"]|$))\s*""")
_FORM = "write a comparison such as ${status} == paid, ${total} > 100, or just ${more}"
_FALSE = ("", "false", "null")


@dataclass(frozen=True, slots=True)
class Operand:
    """A side of a condition, and where in its text it begins."""

    template: Template
    offset: int


@dataclass(frozen=True, slots=True)
class Condition:
    """A comparison of two values; without an `operator`, whether `left` is true.

    Two sides that both read as numbers are compared as numbers, all others as texts. A value
    alone is true unless it is false, null, 0 or empty.
    """

    source: str
    left: Operand
    operator: str | None = None
    right: Operand | None = None

    @property
    def variables(self) -> tuple[tuple[str, int], ...]:
        """The variables that it needs: name and offset."""
        sides = [self.left] if self.right is None else [self.left, self.right]
        return tuple(
            (name, side.offset + offset)
            for side in sides
            for name, offset in side.template.variables
        )

    @property
    def constant(self) -> bool:
        """Whether it holds always or never."""
        right = self.right
        return self.left.template.constant and (right is None or right.template.constant)

    def compile(self, seed: int, site: str) -> Callable[[int, Variables], bool]:
        """A function of (index, variables): whether it holds."""
        left = compile_value(Json(self.left.template), seed, f"{site}.left")
        if self.operator is None or self.right is None:
            return lambda index, variables: _is_true(left(index, variables))
        right = compile_value(Json(self.right.template), seed, f"{site}.right")
        holds = _OPERATORS[self.operator]
        return lambda index, variables: holds(left(index, variables), right(index, variables))


def parse_condition(text: str) -> Condition:
    """Parse a condition. Raises ExpressionError."""
    left, end = _operand(text, len(text) - len(text.lstrip()))
    if not text[end:].strip():
        return Condition(text, left)
    found = _OPERATOR.match(text, end)
    if found is None:
        raise _error(text, end, f"expected one of {', '.join(_OPERATORS)}")
    right, end = _operand(text, found.end())
    if text[end:].strip():
        raise _error(text, end, "expected the end of the condition")
    return Condition(text, left, found[1], right)


def _operand(text: str, offset: int) -> tuple[Operand, int]:
    """The value that begins at an offset, and where it ends."""
    match = _VALUE.match(text, offset)
    if match is None:
        raise _error(text, offset, "expected a value")
    offset = match.start(match.lastgroup or 0)
    try:
        template = parse(match[match.lastgroup or 0])
    except ExpressionError as error:
        raise ExpressionError(error.message, offset + error.offset, error.hint) from None
    return Operand(template, offset), match.end()


def _error(text: str, offset: int, expected: str) -> ExpressionError:
    offset += len(text[offset:]) - len(text[offset:].lstrip())
    found = repr(text[offset:][:20]) if offset < len(text) else "the end"
    return ExpressionError(f"{expected}, not {found}", offset, _FORM)


def _is_true(value: object) -> bool:
    if isinstance(value, str):
        return value not in _FALSE and as_number(value) != 0
    return bool(value)


def _comparing(compare: Callable[[Any, Any], bool]) -> Callable[[object, object], bool]:
    def holds(left: object, right: object) -> bool:
        numbers = as_number(left), as_number(right)
        if None not in numbers:
            return compare(*numbers)
        return compare(as_text(left), as_text(right))

    return holds


def _contains(left: object, right: object) -> bool:
    text = as_text(right)
    if isinstance(left, list):
        return text in map(as_text, left)
    return text in (left if isinstance(left, dict) else as_text(left))


_OPERATORS: Mapping[str, Callable[[object, object], bool]] = {
    "==": _comparing(operator.eq),
    "!=": _comparing(operator.ne),
    "<": _comparing(operator.lt),
    "<=": _comparing(operator.le),
    ">": _comparing(operator.gt),
    ">=": _comparing(operator.ge),
    "contains": _contains,
}
