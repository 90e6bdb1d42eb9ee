"""The variables that `${NAME}` can name: the environment, then `--env-file`, then `.env`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from stressrun.errors import Mistake, Position, ScenarioError
from stressrun.scenario.source import read_text

_LINE = re.compile(
    r"""\s*(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*
        (?:"(?P<double>(?:[^"\\]|\\.)*)"|'(?P<single>[^']*)'|(?P<bare>[^"'\s#](?:[^#]|(?<!\s)\#)*)?)
        \s*(?:\#.*)?""",
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(.)")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


def collect(environ: Mapping[str, str], env_file: Path | None, folder: Path) -> dict[str, str]:
    """All variables, the environment before `env_file` before the folder's `.env`.

    Raises ScenarioError for a file that is not `NAME=value` lines, or an `env_file` not there.
    """
    beside = folder / ".env"
    variables = read_env_file(beside) if beside.is_file() else {}
    if env_file is not None:
        variables |= read_env_file(env_file)
    return {**variables, **environ}


def read_env_file(path: Path) -> dict[str, str]:
    """The variables of a file of `NAME=value` lines, with comments and quotes as shells have."""
    variables = {}
    mistakes = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            # Without the line itself, which may hold a secret.
            position = Position(str(path), number, 1)
            mistakes.append(Mistake("not a line of the form NAME=value", position))
            continue
        variables[match["name"]] = _value(match)
    if mistakes:
        raise ScenarioError(mistakes)
    return variables


def _value(match: re.Match[str]) -> str:
    if match["double"] is not None:
        return _ESCAPE.sub(lambda m: _ESCAPES.get(m[1], m[1]), match["double"])
    if match["single"] is not None:
        return match["single"]
    return (match["bare"] or "").rstrip()
