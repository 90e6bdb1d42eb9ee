"""A document as YAML that reads back to the same document."""

from __future__ import annotations

from collections.abc import Mapping

import yaml

from stressrun.scenario.nodes import Plain
from stressrun.scenario.source import typed


class _Dumper(yaml.SafeDumper):
    """Quotes what this package's reader, but not PyYAML's own, would take for a number."""


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = None if isinstance(typed(text), str) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def to_yaml(document: Mapping[str, Plain]) -> str:
    """YAML of a document, its keys in their order."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
