"""What GitHub Actions is told: annotations, as commands among the lines of the job's log."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

from stressrun.report.cases import Case, Conclusion
from stressrun.run.events import Finished

SUMMARY_BYTES = 2**20
"""The most that GitHub takes as a step's summary."""

# GitHub shows so many errors of a step, and does not say that there were more.
_MOST = 10


def new_pause() -> str:
    """A word with which commands are stopped, and allowed again."""
    return secrets.token_hex(16)


def pause(word: str) -> str:
    """The command after which no line is a command, until `resume`.

    So that what servers and services answer, which the log shows, is text whatever it looks like.
    """
    return f"::stop-commands::{word}"


def resume(word: str) -> str:
    return f"::{word}::"


def annotations_of(conclusion: Conclusion[Finished]) -> Iterator[str]:
    """Commands that show what failed on its line of the scenario, and what there is to warn of."""
    errors = list(_errors(conclusion))
    shown = errors if len(errors) <= _MOST else errors[: _MOST - 1]
    yield from shown
    if len(shown) < len(errors):
        more = len(errors) - len(shown)
        yield _command("error", f"{more} more failed: see the step's summary, or its log")
    if conclusion.event.verdict == "inconclusive" and not conclusion.unexplained:
        yield _verdict("warning", conclusion)
    for line in conclusion.warnings:
        yield _command("warning", conclusion.mask.text(line))


def _errors(conclusion: Conclusion[Finished]) -> Iterator[str]:
    if conclusion.unexplained:
        yield _verdict("error", conclusion)
    for case in conclusion.cases:
        if case.outcome == "failed":
            yield _failure(case)


def _verdict(name: str, conclusion: Conclusion[Finished]) -> str:
    told = "\n".join(text for _, text in conclusion.facts)
    return _command(name, told, title=f"{conclusion.what}: {conclusion.event.verdict}")


def _failure(case: Case) -> str:
    title = f"{case.kind} failed: {case.name}"
    if case.where is None:
        return _command("error", case.told, title=title)
    line = str(case.where.line)
    return _command("error", case.told, file=case.where.file, line=line, title=title)


def _command(name: str, message: str, **properties: str) -> str:
    listed = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    return f"::{name}{' ' if listed else ''}{listed}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
