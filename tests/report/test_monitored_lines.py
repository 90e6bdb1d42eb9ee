"""What the console and `report.json` tell of processes, the host and Prometheus metrics."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from report_samples import concluded, finished
from stressrun.load.stage import StageResult
from stressrun.metrics.gap import Gap
from stressrun.report.document import document_text
from stressrun.report.markdown import markdown
from stressrun.report.metrics import monitored_lines
from usage_samples import API, HOST, MACHINE, MB, METRICS
from verdict_samples import STAGES, results

SCHEMA = json.loads((Path(__file__).parents[2] / "schema" / "report.schema.json").read_text())


def test_a_stage_is_told_with_the_busiest_process_first() -> None:
    found = StageResult(STAGES[2], 2, machine=MACHINE, metrics=METRICS)
    assert monitored_lines(found) == [
        "processes:",
        "  api    87 % of a core (up to 99 %) · 64.0 MB, growing by 12.0 MB/min · 3 processes · "
        "12 threads · 31 descriptors · 4.00 MB written · 1 restarted",
        "  nginx  not seen: nothing listens on port 8080",
        "host: CPU 71 % of 2 cores (user 48 %, system 21 %, stolen 2 %) · at least 2.10 GB of "
        "8.00 GB memory available · tasks waited for CPU 18 % of the time · disks 12.0 MB written",
        "metrics of app:",
        "  requests  rate 250",
        "  latency   rate 5 · mean 0.05 · p50 0.1 · p95 0.91 · p99 0.982",
        "  heap      mean 2 · min 1 · max 3 · last 2.5",
        "  lost      there is no series lost",
        "metrics of slo:",
        "  share  value 0.0123",
        "metrics of dead:",
        "  not seen from 0.0 s to 20.0 s: connection refused",
    ]


def test_growth_that_comes_to_nothing_in_the_stage_is_not_told() -> None:
    still = replace(API, growth=0.1 * MB)
    (_, line, *_) = monitored_lines(
        StageResult(STAGES[2], 2, machine=replace(MACHINE, processes=(still,)))
    )
    assert "growing" not in line


def test_many_processes_and_gaps_are_cut_short() -> None:
    gaps = tuple(Gap(n, n + 1.0, f"reason {n}") for n in range(5))
    uses = tuple(replace(API, name=f"p{n}") for n in range(9))
    machine = replace(MACHINE, processes=uses, host=None, gaps=gaps)
    lines = monitored_lines(StageResult(STAGES[2], 2, machine=machine))
    assert [line for line in lines if "more" in line] == [
        "  3 more: see report.json",
        "  not seen in 3 more gaps: see report.json",
    ]
    assert len(lines) == 1 + 6 + 1 + 3


def test_a_host_that_swaps_says_so() -> None:
    host = replace(HOST, swapped_in=3_000_000, iowait=0.3, io_pressure=0.5)
    (line,) = monitored_lines(
        StageResult(STAGES[2], 2, machine=replace(MACHINE, processes=(), host=host))
    )
    assert "waiting for disks 30 %" in line
    assert "3.00 MB swapped" in line
    assert "I/O 50 %" in line


def test_a_stage_without_monitors_has_no_lines() -> None:
    assert monitored_lines(StageResult(STAGES[2], 2)) == []


def test_what_was_gone_for_a_while_says_when() -> None:
    use = replace(API, gaps=(Gap(1.0, 2.5, "no process has a command line with 'x' in it"),))
    lines = monitored_lines(
        StageResult(STAGES[2], 2, machine=replace(MACHINE, processes=(use,), host=None))
    )
    assert lines[2:] == [
        "    not seen from 1.0 s to 2.5 s: no process has a command line with 'x' in it"
    ]


def test_the_report_and_the_page_have_what_was_watched() -> None:
    stages = [replace(result, machine=MACHINE, metrics=METRICS) for result in results()]
    event = finished(stages=stages)
    report = json.loads(document_text(event))
    jsonschema.validate(report, SCHEMA)
    machine, (app, _, dead) = (report["stages"][2][key] for key in ("machine", "metrics"))
    assert machine["processes"][1]["gaps"] == [
        {"from": 0.0, "to": 20.0, "why": "nothing listens on port 8080"}
    ]
    assert app["series"][1]["p95"] == pytest.approx(0.91)
    assert "buckets" not in app["series"][1]
    assert dead["series"][0]["missing"] == "connection refused"
    page = markdown(concluded(event))
    assert "nginx  not seen: nothing listens on port 8080" in page
    assert "requests  rate 250" in page
