"""A document as YAML that reads back to the same document."""

from __future__ import annotations

from collections.abc import Mapping

import yaml

from stressrun.scenario.nodes import Plain
from stressrun.scenario.source import typed

# PyYAML writes these as they are, and reads them as ends of lines.
_LINE_END = frozenset("\x85\u2028\u2029")


class _Dumper(yaml.SafeDumper):
    """Quotes what this package's reader, unlike PyYAML's own, would not take for that text."""


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    plain = isinstance(typed(text), str) and _LINE_END.isdisjoint(text)
    style = None if plain else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def to_yaml(document: Mapping[str, Plain]) -> str:
    """YAML of a document, its keys in their order."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
