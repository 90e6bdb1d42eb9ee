"""The run as a metrics report of GitLab, which compares it with that of the target branch.

The file is OpenMetrics text. GitLab takes each line apart as a shell would, the labels as part of
the name, after it has cut it at the first `#`; and it compares values as text, so that they have
three digits here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from stressrun.load.stage import StageResult
from stressrun.metrics.recorder import Row
from stressrun.metrics.summary import summarise
from stressrun.report.cases import Conclusion
from stressrun.report.tables import ordered
from stressrun.run.events import RunFinished


@dataclass(frozen=True, slots=True)
class _Family:
    """A gauge of each row of a stage; `value` None: it has none."""

    name: str
    unit: str
    help: str
    value: Callable[[Row, float], float | None]


_FAMILIES = (
    _Family(
        "stressrun_response_p50_seconds",
        "seconds",
        "Median of response times.",
        lambda row, _: summarise(row.response).p50,
    ),
    _Family(
        "stressrun_response_p95_seconds",
        "seconds",
        "95th percentile of response times.",
        lambda row, _: summarise(row.response).p95,
    ),
    _Family(
        "stressrun_response_p99_seconds",
        "seconds",
        "99th percentile of response times.",
        lambda row, _: summarise(row.response).p99,
    ),
    _Family(
        "stressrun_rate",
        "",
        "Succeeded and failed, per second.",
        lambda row, elapsed: _ratio(row.succeeded + row.failed, elapsed),
    ),
    _Family(
        "stressrun_errors_ratio",
        "ratio",
        "Failed, of all that succeeded and failed.",
        lambda row, _: _ratio(row.failed, row.succeeded + row.failed),
    ),
    _Family(
        "stressrun_dropped_ratio",
        "ratio",
        "Never started, of all that was planned.",
        lambda row, _: _ratio(row.dropped, row.planned),
    ),
)


def gitlab_metrics(conclusion: Conclusion[RunFinished]) -> str:
    """Whether the run passed, and the figures of the stages that are judged.

    Without a verdict there are no figures: those of a run that was cut short compare with nothing.
    """
    event = conclusion.event
    failed = sum(case.outcome == "failed" for case in conclusion.cases)
    lines = [
        *_gauge("stressrun_passed", "", "Whether the run passed."),
        f"stressrun_passed {int(event.verdict == 'passed')}",
        *_gauge("stressrun_failed_cases", "", "What did not hold: thresholds, for one."),
        f"stressrun_failed_cases {failed}",
    ]
    results = [
        result
        for result in event.stages
        if conclusion.has_verdict and not result.stage.warmup and not result.interrupted
    ]
    for family in _FAMILIES:
        samples = [line for result in results for line in _samples(family, result, conclusion)]
        if samples:
            lines += [*_gauge(family.name, family.unit, family.help), *samples]
    return "\n".join([*lines, "# EOF", ""])


def _gauge(name: str, unit: str, about: str) -> Iterator[str]:
    yield f"# TYPE {name} gauge"
    if unit:
        yield f"# UNIT {name} {unit}"
    yield f"# HELP {name} {about}"


def _samples(
    family: _Family, result: StageResult, conclusion: Conclusion[RunFinished]
) -> Iterator[str]:
    for key in ordered(conclusion.event.scenario, result.books):
        value = family.value(result.books.rows[key], result.elapsed)
        if value is None:
            continue
        kind, name = key
        labels = ",".join(
            f'{label}="{_label(conclusion.mask.text(text))}"'
            for label, text in (("stage", result.stage.name), ("kind", kind), ("name", name))
        )
        yield f"{family.name}{{{labels}}} {_number(value)}"


def _label(text: str) -> str:
    """A label's value as OpenMetrics escapes it, its `#` as one that GitLab does not cut at."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return escaped.replace("#", "＃")


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _number(value: float) -> str:
    """Three digits that count, without an exponent."""
    text = f"{float(f'{value:.3g}'):.9f}"
    return text.rstrip("0").rstrip(".")
