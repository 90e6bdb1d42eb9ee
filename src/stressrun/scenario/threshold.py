"""The grammar of thresholds.

threshold  = subject metric comparison value ["in" STAGE] ["over" WINDOW]
subject    = "http" | "endpoint" NAME | "write" NAME["." OPERATION] | "mock" NAME
           | "postgres" | "generator" | "process" NAME | "host" | "prometheus" NAME "." SERIES
metric     = a percentile such as "p95" or "p999", or another figure of the subject
comparison = "<" | "<=" | ">" | ">="

Which figures a subject has, and their units, is told in `figures`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from stressrun.data.suggest import did_you_mean
from stressrun.errors import ExitCode, StressrunError
from stressrun.scenario.figures import (
    ERRORS_OF_KIND,
    LOADS,
    SUBJECTS,
    kinds_of,
    metrics_of,
    unit_of,
)
from stressrun.scenario.model import Stage, Threshold
from stressrun.scenario.wording import one_of, there_are
from stressrun.units import DURATION, SHARE, Unit

OPERATORS = ("<", "<=", ">", ">=")

_WORD = re.compile(r"<=|>=|[<>]|[^\s<>]+")
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")
_SHORTEST_WINDOW = 1.0
_SUBJECT = (
    "http, endpoint NAME, write NAME, mock NAME, postgres, generator, process NAME, host or "
    "prometheus NAME.SERIES"
)

_PLURALS = {
    "write mix": "write mixes",
    "process": "processes",
    "source of metrics": "sources of metrics",
    "series": "series",
}


class ThresholdError(StressrunError):
    """A threshold is wrong, `offset` characters from its start."""

    exit_code = ExitCode.USAGE

    def __init__(self, message: str, offset: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Names:
    """What thresholds can name in a scenario.

    Of each write mix its operations, of each source of Prometheus metrics its series; of each mock
    the stages that it names, None: they are unknown.
    """

    endpoints: Collection[str]
    writes: Mapping[str, Collection[str]]
    stages: Collection[str]
    processes: Collection[str] = ()
    prometheus: Mapping[str, Collection[str]] = field(default_factory=dict)
    mocks: Mapping[str, Collection[str] | None] = field(default_factory=dict)


def parse_threshold(text: str, names: Names) -> Threshold:
    """A threshold from its source form. Raises ThresholdError."""
    words = _Words(text)
    subject = words.one_of(SUBJECTS, _SUBJECT)
    name = operation = None
    if subject == "endpoint":
        name = words.known(names.endpoints, "endpoint")
    elif subject == "write":
        name, operation = words.write(names.writes)
    elif subject == "process":
        name = words.known(names.processes, "process")
    elif subject == "prometheus":
        name, operation = words.series(names.prometheus)
    elif subject == "mock":
        name = words.known(names.mocks, "mock")
    metric, unit = words.metric(subject)
    operator = words.one_of(OPERATORS, "a comparison")
    value = words.value(metric, unit)
    stage = window = None
    if words.next_is("in"):
        stage = words.known(names.stages, "stage")
    if words.next_is("over"):
        window = words.window(subject)
    words.end("`in STAGE`, `over WINDOW` or the end")
    return Threshold(text, subject, name, operation, metric, operator, value, stage, window)


def stages_of(threshold: Threshold, stages: Iterable[Stage]) -> tuple[Stage, ...]:
    """The stages that a threshold looks at: those that put load on its subject.

    Warm-up is only looked at where it is named.
    """
    return tuple(
        stage
        for stage in stages
        if (threshold.stage == stage.name if threshold.stage else not stage.warmup)
        and _loads(stage, threshold.subject)
    )


def _loads(stage: Stage, subject: str) -> bool:
    if subject not in LOADS:
        return True
    return (stage.writes if subject == "write" else stage.endpoints) is not None


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

    def series(self, names: Mapping[str, Collection[str]]) -> tuple[str, str]:
        word, offset = self._take("the name of a source of metrics and of a series")
        name, dot, series = word.partition(".")
        _check_known(name, names, "source of metrics", offset)
        known = tuple(names[name])
        if not dot:
            hint = f"write {one_of(f'{name}.{each}' for each in known)}" if known else ""
            raise ThresholdError(f"expected a series of {name} as well", offset, hint)
        _check_known(series, known, "series", offset + len(name) + 1)
        return name, series

    def metric(self, subject: str) -> tuple[str, Unit]:
        word, offset = self._take("a metric")
        unit = unit_of(subject, word)
        if unit is not None:
            return word, unit
        if word.startswith(ERRORS_OF_KIND) and subject in LOADS:
            raise _unknown_kind(word.removeprefix(ERRORS_OF_KIND), subject, offset)
        choices = metrics_of(subject)
        hint = did_you_mean(word, choices) or f"write {one_of(choices)}"
        raise ThresholdError(f"expected a metric, not {word!r}", offset, hint)

    def value(self, metric: str, unit: Unit) -> float:
        return self._measured(unit, f"{metric!r} is compared with {unit.form}")

    def window(self, subject: str) -> float:
        if subject not in LOADS:
            _, offset = self._words[self._next - 1]
            raise ThresholdError(
                f"figures of {subject} are of whole stages", offset, "leave it out"
            )
        seconds = self._measured(DURATION, f"a window is {DURATION.form}")
        if seconds < _SHORTEST_WINDOW:
            _, offset = self._words[self._next - 1]
            raise ThresholdError("a window is at least a second long", offset, "such as over 10s")
        return seconds

    def next_is(self, word: str) -> bool:
        """Whether this word is the next, which is taken then."""
        if self.more and self._words[self._next][0] == word:
            self._next += 1
            return True
        return False

    def end(self, expected: str) -> None:
        if self.more:
            word, offset = self._words[self._next]
            raise ThresholdError(f"expected {expected}, not {word!r}", offset)

    def _measured(self, unit: Unit, wanted: str) -> float:
        word, offset = self._take(unit.form)
        if unit.suffixes and _NUMBER.fullmatch(word):
            number = word if unit is not SHARE or float(word) >= 1 else f"{float(word) * 100:g}"
            written = " or ".join(f"{number}{suffix}" for suffix in unit.suffixes)
            raise ThresholdError(f"{word} has no unit: write {written}", offset)
        try:
            return unit.parse(word)
        except ValueError:
            raise ThresholdError(f"{wanted}, not {word!r}", offset) from None

    def _take(self, what: str) -> tuple[str, int]:
        if not self.more:
            hint = "such as http p95 < 250ms, or endpoint checkout errors < 1% in peak"
            raise ThresholdError(f"the threshold ends where {what} was expected", self._end, hint)
        self._next += 1
        return self._words[self._next - 1]


def _check_known(word: str, names: Collection[str], kind: str, offset: int) -> None:
    if word in names:
        return
    kinds = _PLURALS.get(kind, f"{kind}s")
    hint = did_you_mean(word, names)
    if not hint:
        hint = there_are(kinds, names)
    raise ThresholdError(f"no {kind} {word!r}", offset, hint)


def _unknown_kind(word: str, subject: str, offset: int) -> ThresholdError:
    kinds = kinds_of(subject)
    coded = "a SQLSTATE such as 40P01" if subject == "write" else "a status such as 503 or 5xx"
    hint = did_you_mean(word, kinds) or f"write {coded}, or {one_of(kinds)}"
    place = offset + len(ERRORS_OF_KIND)
    return ThresholdError(f"expected a kind of errors, not {word!r}", place, hint)
