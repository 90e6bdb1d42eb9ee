"""What one scenario's load is told from another's by: hashes that show none of its content."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stressrun.scenario.files import with_paths
from stressrun.scenario.nodes import Plain

# They change what is said of the load, or what is done after it.
_NO_LOAD = (
    "budget",
    "description",
    "thresholds",
    "built_in_thresholds",
    "invariants",
    "teardown",
    "monitor",
    "report",
    "compare",
)
_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Identity:
    """A scenario's name, its hash, and by name those of its sections, of which that is made."""

    name: str
    hash: str
    sections: Mapping[str, str]

    def changed(self, other: Identity) -> list[str]:
        """The sections that are not the same."""
        names = {**self.sections, **other.sections}
        return [name for name in names if self.sections.get(name) != other.sections.get(name)]


def identity_of(
    document: Mapping[str, Plain], folder: Path, secrets: Sequence[str] = ()
) -> Identity:
    """The identity of a canonical document, of which the secrets count as the same always.

    Paths count from the `folder`, and with what is in their files, except for those of `http`,
    which are certificates and keys.
    """
    loading = {key: value for key, value in document.items() if key not in _NO_LOAD}
    http = {"http": loading.pop("http", None)}
    content = with_paths(loading, lambda path: _content(path, folder))
    content |= with_paths(http, lambda path: os.path.relpath(path, folder))
    hidden = sorted((secret for secret in secrets if len(secret) > 2), key=len, reverse=True)
    sections = {
        key: _hash(_without(value, hidden))
        for key, value in sorted(content.items())
        if value is not None
    }
    return Identity(str(document.get("name", "")), _hash(dict(sections)), sections)


def _content(path: str, folder: Path) -> str:
    """A path from a folder, and what is in its file, as far as it is one."""
    relative = os.path.relpath(path, folder)
    try:
        if os.path.isfile(path):
            with open(path, "rb") as file:
                return f"{relative} {hashlib.file_digest(file, 'sha256').hexdigest()}"
    except OSError:
        pass
    return relative


def _without(value: Plain, secrets: Sequence[str]) -> Plain:
    if isinstance(value, dict):
        return {key: _without(child, secrets) for key, child in value.items()}
    if isinstance(value, list):
        return [_without(item, secrets) for item in value]
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, "***")
    return value


def _hash(value: Plain) -> str:
    text = json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
