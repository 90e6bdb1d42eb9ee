"""Single iterations as text: all that was sent, received, expected and captured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from stressrun.load.once import IterationFinished
from stressrun.load.reading import Finding
from stressrun.load.watching import Exchange, StepFinished
from stressrun.report.console import Console
from stressrun.run.events import Event, RunFinished
from stressrun.safety.escaping import visible_line
from stressrun.safety.masking import Mask
from stressrun.units import format_duration


class OnceConsole(Console):
    """The console of `--once`: requests as they are answered, and at the end what came of them."""

    def __init__(self, stream: TextIO, mask: Mask) -> None:
        super().__init__(stream, mask)
        self._finished: list[IterationFinished] = []

    def __call__(self, event: Event) -> None:
        match event:
            case StepFinished():
                self._write("\n" + "\n".join(step_lines(event)))
            case IterationFinished():
                self._finished.append(event)
            case RunFinished():
                self._summary()
                super().__call__(event)
            case _:
                super().__call__(event)

    def _summary(self) -> None:
        if self._finished:
            self._write("\niterations")
        for iteration in self._finished:
            failed = iteration.error is not None
            self._write(f"  ✗ {iteration.error}" if failed else f"  ✓ {iteration.name}")


def step_lines(step: StepFinished) -> Iterator[str]:
    """A request with its redirections, its expectations and its captures, line by line."""
    yield step.name
    for exchange in step.exchanges:
        yield from _exchange(exchange)
    if not step.exchanges:
        yield f"  ✗ not sent: {step.error}"
    yield from _listed("expected", [_expected(finding) for finding in step.expected])
    yield from _listed("captured", [_captured(finding) for finding in step.captured])


def _exchange(exchange: Exchange) -> Iterator[str]:
    for mark, text in ((">", exchange.request), ("<", exchange.answer)):
        if text:
            yield from (f"  {mark} {visible_line(line)}".rstrip() for line in text.split("\n"))
    if exchange.failure:
        yield f"  ✗ no answer: {visible_line(exchange.failure)}"
    times = {
        "connect": exchange.connect,
        "TLS": exchange.tls,
        "first byte": exchange.first_byte,
        "total": exchange.total,
    }
    told = [f"{name} {format_duration(time)}" for name, time in times.items() if time is not None]
    yield from _listed("timings", [" · ".join(told)] if told else [])


def _listed(title: str, lines: list[str]) -> Iterator[str]:
    for number, line in enumerate(lines):
        yield f"  {'' if number else title:<9} {visible_line(line)}"


def _expected(finding: Finding) -> str:
    found = finding.reason or finding.found or "missing"
    return f"{_mark(finding)} {finding.subject} {finding.wanted}   ({found})"


def _captured(finding: Finding) -> str:
    found = finding.reason or finding.found or "missing"
    return f"{_mark(finding)} {finding.subject} = {found}   ({finding.wanted})"


def _mark(finding: Finding) -> str:
    return "✓" if finding.holds else "✗"
