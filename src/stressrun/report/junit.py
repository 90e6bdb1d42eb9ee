"""A run or a comparison as JUnit XML, for the test views of CI systems: a stage is a suite.

What names no stage is in the first suite, which is of the whole run, with a case of its own for
whether there is a verdict at all: a run without one is an error, whatever else it measured.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from stressrun.load.stage import StageResult
from stressrun.report.cases import Case, Conclusion
from stressrun.report.comparison import figure_lines
from stressrun.report.failures import failure_lines
from stressrun.report.tables import stage_figures, stage_table, stage_title
from stressrun.run.events import ComparisonFinished, Finished, RunFinished
from stressrun.scenario.model import Scenario

_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'
# All that XML 1.0 cannot hold, not even escaped.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_COUNTED = {"failures": "failure", "errors": "error", "skipped": "skipped"}


@dataclass(frozen=True, slots=True)
class _Stage:
    """A stage that is a suite; `figures` None: it was not come to."""

    name: str
    seconds: float
    figures: str | None


def junit(conclusion: Conclusion[RunFinished]) -> str:
    """The document of a run; `time` of a stage and its cases is what it lasted."""
    event = conclusion.event
    results = {result.stage.name: result for result in event.stages}
    stages = [
        _stage(stage.name, results.get(stage.name), event.scenario)
        for stage in event.scenario.stages
    ]
    return _document(conclusion, "the run has a verdict", stages)


def comparison_junit(conclusion: Conclusion[ComparisonFinished]) -> str:
    """The document of a comparison; every `time` in it is what all of it lasted."""
    event = conclusion.event
    figures = "\n".join(figure_lines(event)) if event.findings else None
    stage = _Stage(event.stage, _lasted(event), figures)
    return _document(conclusion, "the comparison has a verdict", [stage])


def _document(conclusion: Conclusion[Finished], question: str, stages: Sequence[_Stage]) -> str:
    """The document, with a declaration; the `question` is whether there is a verdict."""
    event, mask = conclusion.event, conclusion.mask.text
    name, lasted = mask(event.scenario.name), _lasted(event)
    root = Element("testsuites", _attributes(name=f"stressrun {name}", time=f"{lasted:.3f}"))
    whole = _suite(root, name, name, _of(conclusion, None), lasted)
    whole.insert(0, _verdict(conclusion, question, name, lasted))
    for stage in stages:
        title, cases = mask(stage.name), _of(conclusion, stage.name)
        suite = _suite(root, title, f"{name}.{title}", cases, stage.seconds)
        if stage.figures is not None:
            SubElement(suite, "system-out").text = _clean(mask(stage.figures))
    for suite in root:
        suite.set("timestamp", f"{event.started_at:%Y-%m-%dT%H:%M:%S}")
        _count(suite)
    _count(root)
    # Schemas know it of suites only.
    del root.attrib["skipped"]
    ElementTree.indent(root)
    return f"{_DECLARATION}\n{ElementTree.tostring(root, encoding='unicode')}\n"


def _stage(name: str, result: StageResult | None, scenario: Scenario) -> _Stage:
    if result is None:
        return _Stage(name, 0.0, None)
    parts = [stage_title(result.stage), stage_figures(result), "", stage_table(result, scenario)]
    figures = "\n".join([*parts, "", *failure_lines(result, scenario)])
    return _Stage(name, result.elapsed, figures)


def _lasted(event: Finished) -> float:
    return (event.ended_at - event.started_at).total_seconds()


def _of(conclusion: Conclusion[Finished], stage: str | None) -> list[Case]:
    return [case for case in conclusion.cases if case.stage == stage]


def _suite(
    root: Element, name: str, class_name: str, cases: Iterable[Case], seconds: float
) -> Element:
    suite = SubElement(root, "testsuite", _attributes(name=name, time=f"{seconds:.3f}"))
    for case, unique in _named(list(cases)):
        suite.append(_case(case, unique, class_name, seconds))
    return suite


def _named(cases: Sequence[Case]) -> Iterable[tuple[Case, str]]:
    """Cases with names that differ: of those with the same one, GitLab drops all but the first."""
    seen: Counter[str] = Counter()
    for case in cases:
        seen[case.name] += 1
        yield case, case.name if seen[case.name] == 1 else f"{case.name} ({seen[case.name]})"


def _case(case: Case, name: str, class_name: str, seconds: float) -> Element:
    element = _test(name, class_name, seconds)
    if case.where is not None:
        element.attrib.update(_attributes(file=case.where.file, line=str(case.where.line)))
    if case.outcome == "passed":
        SubElement(element, "system-out").text = _clean(case.told)
    elif case.outcome == "skipped":
        SubElement(element, "skipped", _attributes(message=case.told))
    else:
        about = _attributes(type=case.kind, message=case.told)
        failure = SubElement(element, "failure", about)
        where = "" if case.where is None else f"\n{case.where.file}:{case.where.line}"
        failure.text = _clean(f"{case.kind} {case.name}\n{case.told}{where}")
    return element


def _verdict(
    conclusion: Conclusion[Finished], question: str, class_name: str, seconds: float
) -> Element:
    """The case of the run itself: that it came to a verdict."""
    event = conclusion.event
    element = _test(question, class_name, seconds)
    if conclusion.unexplained:
        about = _attributes(type=event.verdict, message=f"{event.verdict}: {event.cause}")
        lines = (text for _, text in conclusion.facts)
        SubElement(element, "error", about).text = _clean("\n".join(lines))
    elif event.verdict == "inconclusive":
        SubElement(element, "skipped", _attributes(message=event.cause))
    return element


def _test(name: str, class_name: str, seconds: float) -> Element:
    return Element("testcase", _attributes(name=name, classname=class_name, time=f"{seconds:.3f}"))


def _count(parent: Element) -> None:
    """Tell of a suite, or of all of them, how many cases there are and how they ended."""
    parent.set("tests", str(sum(1 for _ in parent.iter("testcase"))))
    for attribute, element in _COUNTED.items():
        parent.set(attribute, str(sum(1 for _ in parent.iter(element))))


def _attributes(**texts: str) -> dict[str, str]:
    return {name: _clean(text) for name, text in texts.items()}


def _clean(text: str) -> str:
    return _FORBIDDEN.sub(lambda match: ascii(match[0])[1:-1], text)
