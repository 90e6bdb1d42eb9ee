"""The run as Markdown, for a comment on a pull request and for the summary of a CI job.

Names, statements and what servers answered are shown as code with every character escaped that
Markdown or HTML could read as something else: within code neither GitHub nor GitLab mentions
anybody, makes links or renders.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from stressrun import __version__
from stressrun.load.stage import StageResult
from stressrun.report.cases import Case, Conclusion
from stressrun.report.database import database_lines, finding_lines
from stressrun.report.failures import failure_lines
from stressrun.report.notices import warnings
from stressrun.report.tables import (
    SUMMARY_COLUMNS,
    stage_figures,
    stage_table,
    stage_title,
    summary_row,
)
from stressrun.run.events import RunFinished
from stressrun.scenario.model import Scenario
from stressrun.units import format_duration

MOST = 65_536
"""Bytes of a comment: GitHub takes as many characters, and one has at least a byte."""

_CUT = "\n<sub>There is more than fits here: it is in `report.json`.</sub>\n"
_LONGEST = 300
_FAILURES = 12
_VERDICTS = {"passed": "✅", "failed": "❌", "error": "❌"}
_OUTCOMES = {"passed": "✅", "failed": "❌", "skipped": "➖"}
_ACTIVE = re.compile(r"[&<>|`*_\[\]\\~:@$]|(?<=[wW]{3})\.")
_TICKS = re.compile("`+")


def markdown(conclusion: Conclusion) -> str:
    """The verdict, what was judged with failures first, the stages; the rest folded away.

    At most `MOST` bytes: what has no room is left out, which is told at the end.
    """
    event, mask = conclusion.event, conclusion.mask.text
    page = _Page(MOST)
    page.add([], list(_head(conclusion)))
    rows = [_case_row(case) for case in conclusion.failures_first]
    page.add(["", "| | must hold | found | line |", "|---|---|---|---|"], rows)
    columns = "".join(f" {column} |" for column in SUMMARY_COLUMNS)
    aligned = "---|" + "---:|" * (len(SUMMARY_COLUMNS) - 1)
    stages = [_stage_row(result, mask) for result in event.stages]
    page.add(["", f"|{columns}", f"|{aligned}"], stages)
    found = [line for result in event.stages for line in _in_short(result, mask)]
    page.add(["", "**In the database**", ""], found)
    failures = [line for result in event.stages for line in _failures(result, event.scenario)]
    page.add_text(["", "**What did not succeed**", ""], map(mask, failures[:_FAILURES]))
    for result in event.stages:
        title = f"<details><summary>stage {code(mask(stage_title(result.stage)))}</summary>"
        figures = map(mask, _figures(result, event))
        page.add_text(["", title, ""], figures, ["", "</details>"])
    return page.text()


def code(text: str) -> str:
    """A text as code, on one line of Markdown or HTML, where none of it has an effect."""
    line = _printable(text)
    if len(line) > _LONGEST:
        line = f"{line[: _LONGEST - 1]}…"
    return f"<code>{_ACTIVE.sub(_escaped, line)}</code>"


def fence_around(lines: Iterable[str]) -> str:
    """What begins and ends a block of code that none of the lines can end."""
    ticks = max((len(run) for line in lines for run in _TICKS.findall(line)), default=0)
    return "`" * max(3, ticks + 1)


def _escaped(match: re.Match[str]) -> str:
    # GitHub looks for mail addresses in texts that are unescaped again: a comment parts one.
    apart = "<!-- -->" if match[0] == "@" else ""
    return f"&#{ord(match[0])};{apart}"


class _Page:
    """Sections one after the other, as long as there is room for them."""

    def __init__(self, most: int) -> None:
        self._lines: list[str] = []
        self._room = most - _size([_CUT])
        self._cut = False

    def add(self, before: Sequence[str], lines: Sequence[str], after: Sequence[str] = ()) -> None:
        """A section with as many of its lines as there is room for; without lines it is none."""
        room = self._room - _size([*before, *after])
        kept: list[str] = []
        for line in lines:
            room -= _size([line])
            if room < 0:
                self._cut = True
                break
            kept.append(line)
        if kept:
            section = [*before, *kept, *after]
            self._lines += section
            self._room -= _size(section)

    def add_text(
        self, before: Sequence[str], lines: Iterable[str], after: Sequence[str] = ()
    ) -> None:
        """A section of plain text, as it is."""
        shown = [_printable(line) for line in lines]
        fence = fence_around(shown)
        self.add([*before, f"{fence}text"], shown, [fence, *after])

    def text(self) -> str:
        return "\n".join(self._lines) + "\n" + (_CUT if self._cut else "")


def _size(lines: Iterable[str]) -> int:
    """In bytes, with the ends of lines."""
    return sum(len(line.encode("utf-8", errors="backslashreplace")) + 1 for line in lines)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


def _head(conclusion: Conclusion) -> Iterator[str]:
    event = conclusion.event
    sign = _VERDICTS.get(event.verdict, "⚠️")
    name = code(conclusion.mask.text(event.scenario.name))
    yield f"### {sign} stress test {name}: {event.verdict}"
    yield ""
    told = [("cause", event.cause), ("remedy", event.remedy)]
    if event.partial != event.cause:
        told.append(("partial", event.partial))
    told += [("left behind", line) for line in event.residue]
    told += [("warning", line) for line in warnings(event.scenario)]
    yield from (f"- **{word}:** {code(text)}" for word, text in told if text)
    lasted = format_duration((event.ended_at - event.started_at).total_seconds())
    yield ""
    yield f"<sub>run {event.run_id}, {lasted}, stressrun {__version__}</sub>"


def _case_row(case: Case) -> str:
    where = "" if case.where is None else code(f"{case.where.file}:{case.where.line}")
    cells = (_OUTCOMES[case.outcome], f"{case.kind} {code(case.name)}", code(case.told), where)
    return f"| {' | '.join(cells)} |"


def _stage_row(result: StageResult, mask: Callable[[str], str]) -> str:
    name, *figures = summary_row(result)
    return f"| {code(mask(name))} | {' | '.join(figures)} |"


def _in_short(result: StageResult, mask: Callable[[str], str]) -> Iterator[str]:
    if result.database is not None:
        for line in finding_lines(result.database):
            yield f"- {code(mask(result.stage.name))} {code(line)}"


def _failures(result: StageResult, scenario: Scenario) -> Iterator[str]:
    if not result.stage.warmup:
        for line in failure_lines(result, scenario):
            yield f"{result.stage.name}: {line}"


def _figures(result: StageResult, event: RunFinished) -> Iterator[str]:
    """A stage as the console tells it."""
    yield stage_figures(result)
    yield ""
    yield from stage_table(result, event.scenario).splitlines()
    if failures := failure_lines(result, event.scenario):
        yield from ("", *failures)
    if result.database is not None:
        yield from ("", *database_lines(result.database, event.run_id))
