"""The metrics report, by the rules of OpenMetrics and as GitLab reads it."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace

import pytest
from hypothesis import given

from report_samples import anything, concluded, finished
from stressrun.report.cases import Conclusion
from stressrun.report.gitlab import gitlab_metrics
from verdict_samples import results

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"'
META = re.compile(rf"# (TYPE|UNIT|HELP) ({NAME}) (.+)")
SAMPLE = re.compile(rf"({NAME})(\{{{LABEL}(?:,{LABEL})*\}})? (\S+)")


def samples(conclusion: Conclusion) -> dict[str, str]:
    """Values by name with labels, in a text that keeps the rules of OpenMetrics."""
    text = gitlab_metrics(conclusion)
    assert text.endswith("\n# EOF\n")
    found: dict[str, str] = {}
    family, families = "", []
    for line in text.split("\n")[:-2]:
        if meta := META.fullmatch(line):
            if meta[1] == "TYPE":
                family = meta[2]
                families.append(family)
                assert meta[3] == "gauge"
            assert meta[2] == family
            assert meta[1] != "UNIT" or family.endswith(f"_{meta[3]}")
            continue
        sample = SAMPLE.fullmatch(line)
        assert sample is not None, line
        assert sample[1] == family, "a family's samples stand together"
        name = sample[1] + (sample[2] or "")
        assert name not in found
        float(sample[3])
        found[name] = sample[3]
    assert len(families) == len(set(families))
    return found


def as_gitlab_reads(text: str) -> dict[str, str]:
    """Each line cut at a `#` and split as a shell would; the second word is the value."""
    words = (shlex.split(line.partition("#")[0]) for line in text.split("\n"))
    return {name: value for name, value, *_ in filter(None, words)}


def test_the_figures_of_judged_stages_have_three_digits() -> None:
    found = samples(concluded())
    assert found["stressrun_passed"] == "0"
    assert found["stressrun_failed_cases"] == "2"
    browse = '{stage="peak",kind="endpoint",name="browse"}'
    assert found[f"stressrun_response_p95_seconds{browse}"] == "0.05"
    assert found[f"stressrun_errors_ratio{browse}"] == "0.01"
    assert found[f"stressrun_rate{browse}"] == "10"
    step = '{stage="peak",kind="step",name="checkout: POST /pay"}'
    assert found[f"stressrun_response_p50_seconds{step}"] == "0.4"
    assert f"stressrun_response_p99_seconds{step}" not in found, "too few for a p99"
    assert not any("warm-up" in name for name in found)


def test_gitlab_reads_every_value() -> None:
    read = as_gitlab_reads(gitlab_metrics(concluded()))
    assert len(read) == len(samples(concluded()))
    assert read["stressrun_rate{stage=peak,kind=step,name=checkout: POST /pay}"] == "2"


@pytest.mark.parametrize("verdict", ["invalid", "interrupted", "error"])
def test_without_a_verdict_there_are_no_figures_to_compare(verdict: str) -> None:
    found = samples(concluded(finished(verdict=verdict, thresholds=())))
    assert found == {"stressrun_passed": "0", "stressrun_failed_cases": "0"}


def test_a_stage_that_was_cut_short_has_no_figures() -> None:
    cut = results()
    cut[1].interrupted = True
    found = samples(concluded(finished(stages=cut)))
    assert not any("ramp" in name for name in found)
    assert any("peak" in name for name in found)


@given(anything)
def test_any_name_makes_a_label_that_both_understand(name: str) -> None:
    peak = results()[2]
    peak.books.rows = {("endpoint", "browse"): peak.books.row("endpoint", "browse")}
    peak = replace(peak, stage=replace(peak.stage, name=name))
    conclusion = concluded(finished(stages=[peak], thresholds=()))
    found, read = samples(conclusion), as_gitlab_reads(gitlab_metrics(conclusion))
    assert list(found.values()) == list(read.values())
    assert len(found) == 8
