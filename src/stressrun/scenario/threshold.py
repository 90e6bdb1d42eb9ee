"""The grammar of thresholds.

threshold  = subject metric comparison value ["in" STAGE]
subject    = "http" | "endpoint" NAME | "write" NAME["." OPERATION]
metric     = "p50" | "p90" | "p95" | "p99" | "p999" | "mean" | "max" | "errors" | "rate"
comparison = "<" | "<=" | ">" | ">="
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from stressrun.data.suggest import did_you_mean
from stressrun.errors import ExitCode, StressrunError
from stressrun.scenario.model import Stage, Threshold
from stressrun.scenario.wording import one_of, there_are
from stressrun.units import (
    DURATION_FORM,
    RATE_FORM,
    SHARE_FORM,
    parse_duration,
    parse_rate,
    parse_share,
)

TIMES = ("p50", "p90", "p95", "p99", "p999", "mean", "max")
METRICS = (*TIMES, "errors", "rate")
OPERATORS = ("<", "<=", ">", ">=")

_WORD = re.compile(r"<=|>=|[<>]|[^\s<>]+")
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")


class ThresholdError(StressrunError):
    """A threshold is wrong, `offset` characters from its start."""

    exit_code = ExitCode.USAGE

    def __init__(self, message: str, offset: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Names:
    """What thresholds can name in a scenario; of each write mix its operations."""

    endpoints: Collection[str]
    writes: Mapping[str, Collection[str]]
    stages: Collection[str]


def parse_threshold(text: str, names: Names) -> Threshold:
    """A threshold from its source form. Raises ThresholdError."""
    words = _Words(text)
    subject = words.one_of(("http", "endpoint", "write"), "http, endpoint NAME or write NAME")
    name = operation = None
    if subject == "endpoint":
        name = words.known(names.endpoints, "endpoint")
    elif subject == "write":
        name, operation = words.write(names.writes)
    metric = words.one_of(METRICS, "a metric")
    operator = words.one_of(OPERATORS, "a comparison")
    value = words.value(metric)
    stage = None
    if words.more:
        words.one_of(("in",), "`in STAGE` or the end")
        stage = words.known(names.stages, "stage")
    words.end()
    return Threshold(text, subject, name, operation, metric, operator, value, stage)


def stages_of(threshold: Threshold, stages: Iterable[Stage]) -> tuple[Stage, ...]:
    """The stages that a threshold looks at: judged ones that put load on its subject."""
    return tuple(
        stage
        for stage in stages
        if not stage.warmup
        and threshold.stage in (None, stage.name)
        and (stage.writes if threshold.subject == "write" else stage.endpoints) is not None
    )


class _Words:
    """The words of a threshold, taken one after the other."""

    def __init__(self, text: str) -> None:
        self._words = [(match[0], match.start()) for match in _WORD.finditer(text)]
        self._next = 0
        self._end = len(text)

    @property
    def more(self) -> bool:
        return self._next < len(self._words)

    def one_of(self, choices: tuple[str, ...], what: str) -> str:
        word, offset = self._take(what)
        if word not in choices:
            guess = did_you_mean(word, choices) if word.isalnum() else ""
            hint = guess or (f"write {one_of(choices)}" if len(choices) > 1 else "")
            raise ThresholdError(f"expected {what}, not {word!r}", offset, hint)
        return word

    def known(self, names: Collection[str], kind: str) -> str:
        word, offset = self._take(f"the name of {'an' if kind == 'endpoint' else 'a'} {kind}")
        _check_known(word, names, kind, offset)
        return word

    def write(self, names: Mapping[str, Collection[str]]) -> tuple[str, str | None]:
        word, offset = self._take("the name of a write mix")
        name, dot, operation = word.partition(".")
        _check_known(name, names, "write mix", offset)
        if not dot:
            return name, None
        operations = tuple(names[name])
        if operation not in operations:
            hint = did_you_mean(operation, operations) or f"write {one_of(operations)}"
            message = f"expected an operation, not {operation!r}"
            raise ThresholdError(message, offset + len(name) + 1, hint)
        return name, operation

    def value(self, metric: str) -> float:
        parse, form, units = _value_of(metric)
        word, offset = self._take(form)
        if _NUMBER.fullmatch(word):
            number = word if form != SHARE_FORM or float(word) >= 1 else f"{float(word) * 100:g}"
            written = " or ".join(f"{number}{unit}" for unit in units)
            raise ThresholdError(f"{word} has no unit: write {written}", offset)
        try:
            return parse(word)
        except ValueError:
            message = f"{metric!r} is compared with {form}, not {word!r}"
            raise ThresholdError(message, offset) from None

    def end(self) -> None:
        if self.more:
            word, offset = self._words[self._next]
            raise ThresholdError(f"expected the end, not {word!r}", offset)

    def _take(self, what: str) -> tuple[str, int]:
        if not self.more:
            hint = "such as http p95 < 250ms, or endpoint checkout errors < 1% in peak"
            raise ThresholdError(f"the threshold ends where {what} was expected", self._end, hint)
        self._next += 1
        return self._words[self._next - 1]


def _check_known(word: str, names: Collection[str], kind: str, offset: int) -> None:
    if word in names:
        return
    kinds = {"write mix": "write mixes"}.get(kind, f"{kind}s")
    hint = did_you_mean(word, names)
    if not hint:
        hint = there_are(kinds, names)
    raise ThresholdError(f"no {kind} {word!r}", offset, hint)


def _value_of(metric: str) -> tuple[Callable[[str], float], str, tuple[str, ...]]:
    if metric == "errors":
        return parse_share, SHARE_FORM, ("%",)
    if metric == "rate":
        return parse_rate, RATE_FORM, ("/s",)
    return parse_duration, DURATION_FORM, ("s", "ms")
