"""What a value in an answer is held against: `{contains: ok}`, `{at_most: 100}`, or a value."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from stressrun.data.bounded import bounded
from stressrun.data.errors import ExpressionError
from stressrun.data.expressions import (
    Json,
    Template,
    Variables,
    compile_text,
    compile_value,
    parse_json,
)
from stressrun.data.render import as_json, as_number, as_text
from stressrun.data.suggest import did_you_mean

OPERATORS = ("equals", "not", "contains", "matches", "at_least", "at_most", "exists", "length")


class _Missing:
    def __repr__(self) -> str:
        return "nothing"


MISSING: Final = _Missing()
"""Stands for what an answer does not have; null is a value."""

Test = Callable[[object, int, Variables], bool]
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison; `value` may hold expressions."""

    operator: str
    value: Json

    def compile(self, seed: int, site: str) -> Test:
        """A function of (what was found, index, variables): whether the check holds.

        Of MISSING nothing holds but `exists: false`. The function raises TookTooLong. Raises
        ExpressionError for a reference whose value is not known yet.
        """
        if self.operator == "matches":
            return _matching(self.value, seed, site)
        holds = _COMPARISONS[self.operator]
        read = compile_value(self.value, seed, site)
        if self.value.constant:
            expected = read(0, {})
            return lambda found, index, variables: holds(found, expected)
        return lambda found, index, variables: holds(found, read(index, variables))


def parse_check(operator: str, value: object) -> Check:
    """The check of an operator and a JSON-like value. Raises ExpressionError."""
    if operator not in OPERATORS:
        hint = did_you_mean(operator, OPERATORS) or f"one of {', '.join(OPERATORS)}"
        raise ExpressionError(f"no check is named {operator!r}", 0, hint)
    check = Check(operator, parse_json(value))
    if operator == "matches":
        _check_pattern(check.value)
    elif operator in _NEEDS and not (_is_expression(check.value) or _NEEDS[operator][0](value)):
        shown = _shown(check.value.value)
        raise ExpressionError(f"{operator} cannot be {shown}", 0, _NEEDS[operator][1])
    return check


def describe(check: Check) -> str:
    """A check in words: `contains 'ok'`, `at most 100`, `exists`."""
    if check.operator == "exists":
        return "exists" if check.value.value else "does not exist"
    shown = _shown(check.value.value)
    if len(shown) > _SHOWN:
        shown = f"{shown[: _SHOWN - 3]}..."
    return f"{check.operator.replace('_', ' ')} {shown}"


def equals(found: object, expected: object) -> bool:
    """Whether a value is the expected one, as JSON has it."""
    # Headers and bodies are texts, also where a number is meant.
    if isinstance(found, str) and as_number(expected) is not None:
        return found == as_text(expected)
    return _same(found, expected)


def _same(found: object, expected: object) -> bool:
    """Equality as JSON has it: true is not 1, wherever they stand."""
    if isinstance(found, bool) or isinstance(expected, bool):
        return found is expected
    if isinstance(found, list) and isinstance(expected, list):
        return len(found) == len(expected) and all(map(_same, found, expected))
    if isinstance(found, dict) and isinstance(expected, dict):
        return found.keys() == expected.keys() and all(
            _same(found[key], expected[key]) for key in found
        )
    return found == expected


def _differs(found: object, expected: object) -> bool:
    return found is not MISSING and not equals(found, expected)


def _contains(found: object, expected: object) -> bool:
    if isinstance(found, list):
        return any(_same(one, expected) for one in found)
    return isinstance(found, str | dict) and as_text(expected) in found


def _at_least(found: object, expected: object) -> bool:
    number, bound = as_number(found), as_number(expected)
    return number is not None and bound is not None and number >= bound


def _at_most(found: object, expected: object) -> bool:
    number, bound = as_number(found), as_number(expected)
    return number is not None and bound is not None and number <= bound


def _exists(found: object, expected: object) -> bool:
    return (found is not MISSING) is expected


def _has_length(found: object, expected: object) -> bool:
    return isinstance(found, str | list | dict) and len(found) == as_number(expected)


_COMPARISONS: Mapping[str, Callable[[object, object], bool]] = {
    "equals": equals,
    "not": _differs,
    "contains": _contains,
    "at_least": _at_least,
    "at_most": _at_most,
    "exists": _exists,
    "length": _has_length,
}


def _is_number(value: object) -> bool:
    return not isinstance(value, str) and as_number(value) is not None


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


_NEEDS: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "at_least": (_is_number, "write a number, such as at_least: 1"),
    "at_most": (_is_number, "write a number, such as at_most: 100"),
    "exists": (lambda value: isinstance(value, bool), "write exists: true or exists: false"),
    "length": (_is_count, "write a whole number, such as length: 3"),
}


def _is_expression(json: Json) -> bool:
    """Whether it is exactly one expression, whose value is not known before the run."""
    template = json.value
    return isinstance(template, Template) and len(template.parts) == 1 and not template.constant


def _matching(json: Json, seed: int, site: str) -> Test:
    template = json.value
    assert isinstance(template, Template)
    read = compile_text(template, seed, site, escape=_as_pattern)
    if template.constant:
        pattern = re.compile(read(0, {}))
        return lambda found, index, variables: _matches(pattern, found)
    return lambda found, index, variables: _matches(re.compile(read(index, variables)), found)


def _matches(pattern: re.Pattern[str], found: object) -> bool:
    if not isinstance(found, str):
        return False
    with bounded:
        return pattern.search(found) is not None


def _as_pattern(text: str) -> str:
    return f"(?:{re.escape(text)})"


def _check_pattern(json: Json) -> None:
    template = json.value
    if not isinstance(template, Template):
        raise ExpressionError(
            f"{_shown(template)} is no regular expression", 0, "such as matches: '^[0-9]+$'"
        )
    parts = [part if isinstance(part, str) else _as_pattern("x") for part in template.parts]
    try:
        re.compile("".join(parts))
    except (re.error, RecursionError, OverflowError) as error:
        place = getattr(error, "pos", None) if template.constant else None
        raise ExpressionError(
            f"{template.source!r} is no regular expression: {getattr(error, 'msg', error)}",
            min(place or 0, len(template.source)),
            "write \\ before a character that is meant as it is, such as \\. or \\(",
        ) from error


def _shown(value: object) -> str:
    return repr(value.source) if isinstance(value, Template) else as_json(_sources(value))


def _sources(value: object) -> Any:
    """A parsed value as it was written."""
    if isinstance(value, Template):
        return value.source
    if isinstance(value, Mapping):
        return {key: _sources(item) for key, item in value.items()}
    return [_sources(item) for item in value] if isinstance(value, tuple) else value
