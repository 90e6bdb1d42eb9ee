"""References to what is known only when a run starts: `${services.api.url}`, `${run.id}`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_REFERENCE = re.compile(r"\$\$\{|\$\{\s*((?:services|run)\.[^{}\s]*)\s*\}")


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference's dotted name, and where in its text the name begins."""

    name: str
    offset: int


def find_references(text: str) -> list[Reference]:
    """The references of a text, in their order."""
    matches = (match for match in _REFERENCE.finditer(text) if match[1])
    return [Reference(match[1], match.start(1)) for match in matches]


def substitute(value: object, values: Mapping[str, str]) -> object:
    """The same shape of lists and mappings with the references of its strings replaced.

    An escape `$${` stays as it is. Raises KeyError for a reference that has no value.
    """
    if isinstance(value, str):
        return _REFERENCE.sub(lambda match: values[match[1]] if match[1] else match[0], value)
    if isinstance(value, Mapping):
        return {key: substitute(item, values) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [substitute(item, values) for item in value]
    return value
