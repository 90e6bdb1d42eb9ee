"""Prometheus' text format: the chosen series of what an exporter answered."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from stressrun.metrics.scraped import COUNTER, GAUGE, HISTOGRAM
from stressrun.scenario.selector import Selector

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


def read(text: str, selectors: Mapping[str, Selector]) -> dict[str, Read | UnreadableError]:
    """What was chosen, by its name. Raises UnreadableError for a text that cannot be read."""
    # Imported here: few scenarios need it.
    from prometheus_client.parser import text_string_to_metric_families

    found: dict[str, _Found] = {name: _Found(each) for name, each in selectors.items()}
    by_name: dict[str, list[_Found]] = {}
    for each in found.values():
        for name in each.names:
            by_name.setdefault(name, []).append(each)
    lines = "\n".join(_chosen(text, by_name))
    try:
        for family in text_string_to_metric_families(f"{lines}\n"):
            for sample in family.samples:
                for each in by_name.get(sample.name, ()):
                    each.add(family.type, sample.name, sample.labels, sample.value)
    except Exception as error:  # a ValueError mostly, but what a server says must end no run
        raise UnreadableError(f"its metrics cannot be read: {str(error)[:200]!r}") from None
    return {name: each.done() for name, each in found.items()}


def _chosen(text: str, names: Mapping[str, object]) -> Iterator[str]:
    """The lines that matter: to parse them is dear, and there may be thousands of others."""
    number = 0
    for line in text.split("\n"):
        if line.startswith("# TYPE "):
            if _is_type_of(line.split(None, 3)[2:3], names):
                yield line
        elif _NAME_ENDS.split(line, 1)[0] in names:
            number += 1
            if number > _MOST_LINES:
                raise UnreadableError(f"more than {_MOST_LINES:,} lines are of the chosen names")
            yield line


def _is_type_of(words: Sequence[str], names: Mapping[str, object]) -> bool:
    return any(f"{family}{part}" in names for family in words for part in ("", *_COUNTING))


class _Found:
    """What one selector finds."""

    def __init__(self, selector: Selector) -> None:
        self._selector = selector
        self.names = (selector.name, *(f"{selector.name}{part}" for part in _PARTS))
        self._kind = ""
        self._values: dict[str, dict[Labels, float]] = {"": {}, **{part: {} for part in _PARTS}}

    def add(self, kind: str, name: str, labels: Mapping[str, str], value: float) -> None:
        if not self._selector.matches(labels):
            return
        part = name.removeprefix(self._selector.name)
        if part == "":
            self._kind = _kind(kind, name)
        elif kind not in ("histogram", "summary"):
            return  # another's metric, of a name that begins with this one's
        self._values[part][tuple(sorted(labels.items()))] = value

    def done(self) -> Read | UnreadableError:
        """What was found, or why it says nothing."""
        name = self._selector.name
        plain, buckets, sums, counts = self._values.values()
        if buckets:
            return Read(HISTOGRAM, buckets, sums)
        if sums or counts:
            which = f'{name}{{quantile="0.99"}}, {name}_sum or {name}_count'
            if self._kind != GAUGE or not self._chooses_quantile():
                return UnreadableError(f"{name} is a summary: choose {which}")
        if not plain:
            return AbsentError(f"there is no series {self._selector.text}")
        return Read(self._kind, plain, {})

    def _chooses_quantile(self) -> bool:
        return any(matcher.label == "quantile" for matcher in self._selector.matchers)


def _kind(kind: str, name: str) -> str:
    """Of a series: those without a type are known by their names."""
    if kind == "counter" or (kind in ("histogram", "summary") and name.endswith(_PARTS)):
        return COUNTER
    if kind in ("unknown", "untyped") and name.endswith(_COUNTING):
        return COUNTER
    return GAUGE
