"""Prometheus' text format: the chosen series of what an exporter answered."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from stressrun.data.bounded import TookTooLong
from stressrun.metrics.scraped import COUNTER, GAUGE, HISTOGRAM
from stressrun.monitor.patterns import Pattern
from stressrun.scenario.selector import Matcher, Selector

_PARTS = ("_bucket", "_sum", "_count")
_COUNTING = ("_total", *_PARTS)
_NAME_ENDS = re.compile(r"[{\s]")
# To read so many takes a good part of a second.
_MOST_LINES = 20_000

Labels = tuple[tuple[str, str], ...]


class UnreadableError(Exception):
    """What was answered is no metrics, or not those that were asked for; the message says how."""


class AbsentError(UnreadableError):
    """There is no such series, or not yet."""


@dataclass(frozen=True, slots=True)
class Read:
    """The series that a selector means, by their labels: a value each.

    Of a histogram the buckets (whose `le` is among the labels), and the sums apart.
    """

    kind: str
    values: Mapping[Labels, float]
    sums: Mapping[Labels, float]


class Reader:
    """Finds the chosen series in what an exporter answers, one answer after the other."""

    def __init__(self, selectors: Mapping[str, Selector]) -> None:
        self._choices = {name: _Choice(selector) for name, selector in selectors.items()}

    def read(self, text: str) -> dict[str, Read | UnreadableError]:
        """What was chosen, by its name. Raises UnreadableError for a text that cannot be read."""
        # Imported here: few scenarios need it.
        from prometheus_client.parser import text_string_to_metric_families

        found = {name: _Found(choice) for name, choice in self._choices.items()}
        by_name: dict[str, list[_Found]] = {}
        for each in found.values():
            for name in each.names:
                by_name.setdefault(name, []).append(each)
        lines, counters = _chosen(text, by_name)
        try:
            for family in text_string_to_metric_families("\n".join([*lines, ""])):
                for name, labels, value, *_ in family.samples:
                    kind = COUNTER if name in counters else family.type
                    for each in by_name.get(name, ()):
                        each.samples.append(_Sample(kind, name, labels, value))
        except Exception as error:  # a ValueError mostly, but what a server says must end no run
            raise UnreadableError(f"its metrics cannot be read: {str(error)[:200]!r}") from None
        return {name: each.done() for name, each in found.items()}


def _chosen(text: str, names: Collection[str]) -> tuple[list[str], set[str]]:
    """The lines that matter, and the names of those that are counters.

    To parse them is dear, and there may be thousands of others. The parser hears of no counters: it
    would rename those whose name does not end in `_total`.
    """
    lines: list[str] = []
    counters: set[str] = set()
    number = 0
    for line in text.split("\n"):
        if line.startswith("# TYPE "):
            _, _, *words = line.split()
            if words[1:] == ["counter"]:
                counters.add(words[0])
            elif _is_type_of(words[:1], names):
                lines.append(line)
        elif _NAME_ENDS.split(line, 1)[0] in names:
            number += 1
            if number > _MOST_LINES:
                raise UnreadableError(f"more than {_MOST_LINES:,} lines are of the chosen names")
            lines.append(line)
    return lines, counters


def _is_type_of(words: Sequence[str], names: Collection[str]) -> bool:
    return any(f"{family}{part}" in names for family in words for part in ("", *_COUNTING))


class _Choice:
    """A selector, whose patterns remember what they have seen."""

    def __init__(self, selector: Selector) -> None:
        self.name, self.text = selector.name, selector.text
        self.is_of_quantile = any(each.label == "quantile" for each in selector.matchers)
        self._matching = [(matcher, _found_by(matcher)) for matcher in selector.matchers]

    def among(self, samples: Sequence[_Sample]) -> Sequence[_Sample]:
        """Those that are meant. Raises TookTooLong."""
        for matcher, found_in in self._matching:
            values = [sample.labels.get(matcher.label, "") for sample in samples]
            found = found_in(values)
            samples = [
                sample
                for sample, value in zip(samples, values, strict=True)
                if found[value] != matcher.excludes
            ]
        return samples


def _found_by(matcher: Matcher) -> Callable[[Collection[str]], Mapping[str, bool]]:
    if matcher.is_pattern:
        return Pattern(re.compile(matcher.value).fullmatch).found_in
    return lambda values: {value: value == matcher.value for value in values}


@dataclass(frozen=True, slots=True)
class _Sample:
    """A line with the type of its metric."""

    kind: str
    name: str
    labels: Mapping[str, str]
    value: float


class _Found:
    """What there is of the names that one selector may mean."""

    def __init__(self, choice: _Choice) -> None:
        self._choice = choice
        self.names = (choice.name, *(f"{choice.name}{part}" for part in _PARTS))
        self.samples: list[_Sample] = []
        self._kind = ""
        self._values: dict[str, dict[Labels, float]] = {"": {}, **{part: {} for part in _PARTS}}

    def done(self) -> Read | UnreadableError:
        """What is meant of it, or why it says nothing."""
        name = self._choice.name
        try:
            for sample in self._choice.among(self.samples):
                self._add(sample)
        except TookTooLong as slow:
            return UnreadableError(f"a pattern of {self._choice.text}: {slow}")
        plain, buckets, sums, counts = self._values.values()
        if buckets:
            return Read(HISTOGRAM, buckets, sums)
        if sums or counts:
            which = f'{name}{{quantile="0.99"}}, {name}_sum or {name}_count'
            if self._kind != GAUGE or not self._choice.is_of_quantile:
                return UnreadableError(f"{name} is a summary: choose {which}")
        if not plain:
            return AbsentError(f"there is no series {self._choice.text}")
        return Read(self._kind, plain, {})

    def _add(self, sample: _Sample) -> None:
        part = sample.name.removeprefix(self._choice.name)
        if part == "":
            self._kind = _kind(sample)
        elif sample.kind not in ("histogram", "summary"):
            return  # another's metric, of a name that begins with this one's
        self._values[part][tuple(sorted(sample.labels.items()))] = sample.value


def _kind(sample: _Sample) -> str:
    """Of a series: those without a type are known by their names."""
    kind, name = sample.kind, sample.name
    if kind == COUNTER or (kind in ("histogram", "summary") and name.endswith(_PARTS)):
        return COUNTER
    if kind in ("unknown", "untyped") and name.endswith(_COUNTING):
        return COUNTER
    return GAUGE
