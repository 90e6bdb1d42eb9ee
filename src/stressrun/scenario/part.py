"""A part of a document that knows its place: what the builders read from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from stressrun.scenario.nodes import Fault, Faults, Place, Plain
from stressrun.units import parse_duration

T = TypeVar("T")

# Of one text: its author has seen by then what is wrong with it.
_MOST_FAULTS = 20

_EVALUATED = re.compile(
    r"\$\$\{|\$\{\s*(?:services|run)\.[^{}\s]*\s*\}|(?P<evaluated>\$\{)(?P<known>services\.|run\.)?"
)


@dataclass(frozen=True, slots=True)
class Part:
    """A value of the shape that the schema promises; another shape is a TypeError."""

    value: Plain
    place: Place
    faults: Faults

    @property
    def sound(self) -> bool:
        return self.faults.sound(self.place)

    def fault(
        self, message: str, hint: str = "", *, offset: int | None = None, at_key: bool = False
    ) -> None:
        self.faults.add(Fault(self.place, message, hint, offset, at_key))

    def __contains__(self, key: str) -> bool:
        return isinstance(self.value, dict) and key in self.value

    def __getitem__(self, key: str) -> Part:
        if not isinstance(self.value, dict):
            raise TypeError(self.place)
        return Part(self.value[key], (*self.place, key), self.faults)

    def get(self, key: str) -> Part | None:
        """The part under a key, unless it is missing or known to be wrong."""
        if key not in self:
            return None
        part = self[key]
        return part if part.sound else None

    def section(self, key: str) -> Part:
        """The mapping under a key; an empty one where there is none."""
        found = self[key].value if key in self else None
        return Part(found if isinstance(found, dict) else {}, (*self.place, key), self.faults)

    def without(self, *keys: str) -> Part:
        """The mapping as if it had none of these keys."""
        assert isinstance(self.value, dict)
        rest = {key: value for key, value in self.value.items() if key not in keys}
        return Part(rest, self.place, self.faults)

    def items(self, key: str) -> Iterator[Part]:
        """The items of the list under a key that are not known to be wrong."""
        if key not in self or not isinstance((part := self[key]).value, list):
            return
        for index, value in enumerate(part.value):
            item = Part(value, (*part.place, index), self.faults)
            if item.sound:
                yield item

    def entries(self, key: str) -> Iterator[tuple[str, Part]]:
        """The entries of the mapping under a key that are not known to be wrong."""
        if key not in self or not isinstance((part := self[key]).value, dict):
            return
        for name in part.value:
            entry = part[name]
            if entry.sound:
                yield name, entry

    def text(self) -> str:
        if not isinstance(self.value, str):
            raise TypeError(self.place)
        return self.value

    def number(self) -> float:
        if not isinstance(self.value, (int, float)):
            raise TypeError(self.place)
        return float(self.value)

    def names(self) -> tuple[str, ...]:
        """The keys of a mapping; none of anything else."""
        return tuple(self.value) if isinstance(self.value, dict) else ()

    def flag(self) -> bool:
        return bool(self.value)

    def literal(self) -> str:
        """A string in which nothing is evaluated at run time; `$${` gives `${`."""
        text = self.text()
        wrong = (match for match in _EVALUATED.finditer(text) if match["evaluated"])
        for match in islice(wrong, _MOST_FAULTS):
            if match["known"]:
                self.fault(
                    "this ${…} is not closed, or there is a space in it",
                    "such as ${services.api.url}",
                    offset=match.start(),
                )
            else:
                self.fault(
                    "this ${…} is not known before the load",
                    "only ${services.…} and ${run.id} can stand here; $${ gives ${ itself",
                    offset=match.start(),
                )
        return text.replace("$${", "${")

    def parsed(self, parse: Callable[[str], T], fallback: T) -> T:
        """What `parse` makes of a string; its ValueError is a fault."""
        try:
            return parse(self.text())
        except ValueError as error:
            self.fault(str(error))
            return fallback

    def duration(self, key: str, default: float, *, positive: bool = False) -> float:
        """Seconds under a key."""
        part = self.get(key)
        if part is None:
            return default
        seconds = part.parsed(parse_duration, 1.0)
        if positive and seconds == 0:
            part.fault("expected a duration above 0")
        return seconds

    def integer(self, key: str, default: int) -> int:
        """A whole number under a key."""
        part = self.get(key)
        return default if part is None else int(part.number())


def strings(value: Plain, place: Place = ()) -> Iterator[tuple[Place, str]]:
    """Every string within a value, with its place."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for key, child in value.items():
            yield from strings(child, (*place, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from strings(child, (*place, index))
