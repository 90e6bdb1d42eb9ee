"""A page of Markdown, for a comment on a pull request and for the summary of a CI job.

Names, statements and what servers answered are shown as code with every character escaped that
Markdown or HTML could read as something else: within code neither GitHub nor GitLab mentions
anybody, makes links or renders.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from stressrun import __version__
from stressrun.report.cases import Conclusion
from stressrun.run.events import Finished
from stressrun.units import format_duration

MOST = 65_536
"""Bytes of a comment: GitHub takes as many characters, and one has at least a byte."""

OUTCOMES = {"passed": "✅", "failed": "❌", "skipped": "➖"}
"""A sign for each outcome of a case."""

_VERDICTS = {"passed": "✅", "failed": "❌", "error": "❌"}
_CUT = "\n<sub>There is more than fits here: it is in `%s`.</sub>\n"
_LONGEST = 300
_ACTIVE = re.compile(r"[&<>|`*_\[\]\\~:@$]|(?<=[wW]{3})\.")
_TICKS = re.compile("`+")


class Page:
    """Sections one after the other, as long as there is room for them in `MOST` bytes.

    What has no room is left out, which is told at the end with the report that has it all.
    """

    def __init__(self, report: str) -> None:
        self._lines: list[str] = []
        self._told_of_cut = _CUT % report
        self._room = MOST - _size([self._told_of_cut])
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
        return "\n".join(self._lines) + "\n" + (self._told_of_cut if self._cut else "")


def head(conclusion: Conclusion[Finished], *about: str) -> Iterator[str]:
    """The verdict with cause, remedy and what else there is to know; in small, what it is about."""
    event = conclusion.event
    sign = _VERDICTS.get(event.verdict, "⚠️")
    name = code(conclusion.mask.text(event.scenario.name))
    yield f"### {sign} {conclusion.what} {name}: {event.verdict}"
    yield ""
    told = [*conclusion.facts, *(("warning", line) for line in conclusion.warnings)]
    yield from (f"- **{word}:** {code(conclusion.mask.text(text))}" for word, text in told)
    lasted = format_duration((event.ended_at - event.started_at).total_seconds())
    yield ""
    told_small = (f"run {event.run_id}", *about, lasted, f"stressrun {__version__}")
    yield f"<sub>{', '.join(told_small)}</sub>"


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


def _size(lines: Iterable[str]) -> int:
    """In bytes, with the ends of lines."""
    return sum(len(line.encode("utf-8", errors="backslashreplace")) + 1 for line in lines)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)
