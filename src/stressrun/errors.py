"""Every error that a user can cause, with its remedy and its exit code.

Lower layers raise these at their own boundary; the command line prints them and exits.
Anything else that reaches the command line is a defect of stressrun (exit code 70).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """What a run's end means to the shell that started it."""

    PASSED = 0
    FAILED = 1
    USAGE = 2
    SETUP = 3
    INVALID = 4
    RESIDUE = 5
    REFUSED = 6
    REPORT = 7
    DEFECT = 70
    SIGHUP = 129
    SIGINT = 130
    SIGTERM = 143


class StressrunError(Exception):
    """An error told to the user: one line of cause, one of remedy, no traceback."""

    exit_code: ExitCode = ExitCode.DEFECT

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class UsageError(StressrunError):
    """The command line is wrong."""

    exit_code = ExitCode.USAGE


class SetupError(StressrunError):
    """The environment could not be set up: a service, a port, a database, the seeding."""

    exit_code = ExitCode.SETUP


class ResidueError(StressrunError):
    """Teardown could not remove what the run made."""

    exit_code = ExitCode.RESIDUE


class RefusedError(StressrunError):
    """The guard refused a target."""

    exit_code = ExitCode.REFUSED


class ReportError(StressrunError):
    """A report could not be written."""

    exit_code = ExitCode.REPORT


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a source text; line and column count from 1."""

    file: str
    line: int
    column: int
    source_line: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong in a scenario, where, and what would be right."""

    message: str
    position: Position
    hint: str = ""

    def __str__(self) -> str:
        lines = [f"{self.position}: {self.message}"]
        if self.position.source_line:
            number = str(self.position.line)
            source, column = _shown(self.position.source_line, self.position.column)
            lines.append(f"  {number} | {source}")
            lines.append(f"  {' ' * len(number)} | {' ' * (column - 1)}^")
        if self.hint:
            lines.append(f"  {self.hint}")
        return "\n".join(lines)


class ScenarioError(StressrunError):
    """The scenario is wrong; holds all its mistakes in the order of the file."""

    exit_code = ExitCode.USAGE

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(
            sorted(mistakes, key=lambda m: (m.position.file, m.position.line, m.position.column))
        )
        super().__init__("\n".join(str(mistake) for mistake in self.mistakes))


_WIDTH = 100


def _shown(line: str, column: int) -> tuple[str, int]:
    """The part of a long line around a column, printable, and the column within that part."""
    start = max(0, column - 1 - _WIDTH // 2) if len(line) > _WIDTH else 0
    part = line[start : start + _WIDTH]
    return "".join(c if c.isprintable() else " " for c in part), column - start
