"""`report.json`: the run as a document with a schema of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from stressrun.load.stage import Generator, Pool, StageResult
from stressrun.metrics.block import Block
from stressrun.metrics.recorder import LEAST_LAG, Recorder, RowKey
from stressrun.metrics.summary import summarise
from stressrun.report.database import database_part
from stressrun.report.findings import finding_part
from stressrun.report.machine import machine_part
from stressrun.report.metrics import metrics_part
from stressrun.report.mocks import mocks_part, recoveries_part
from stressrun.report.notices import warnings
from stressrun.report.tables import counts_requests, ordered
from stressrun.run.events import RunFinished
from stressrun.scenario.model import Scenario
from stressrun.verdict.baseline import Against
from stressrun.verdict.invariants import Answer
from stressrun.verdict.mocks import recoveries
from stressrun.verdict.thresholds import Evaluation

REPORT_VERSION = 1


def document_text(event: RunFinished) -> str:
    """The report of a run as JSON."""
    return json.dumps(document(event), indent=2, ensure_ascii=False) + "\n"


def document(event: RunFinished) -> dict[str, Any]:
    """The report of a run; times are seconds, rates per second, shares fractions of one."""
    return {
        "report_version": REPORT_VERSION,
        "run": {
            "id": event.run_id,
            "scenario": event.scenario.name,
            "file": str(event.file),
            "environment": event.scenario.environment,
            "random_seed": event.scenario.random_seed,
            "started_at": event.started_at.isoformat(),
            "ended_at": event.ended_at.isoformat(),
            "stressrun_version": event.origin.versions.stressrun,
        },
        "machine": asdict(event.origin.machine),
        "versions": asdict(event.origin.versions),
        "scenario": asdict(event.origin.scenario),
        "others_cpu": event.origin.others_cpu,
        "verdict": event.verdict,
        "exit_code": int(event.exit_code),
        "cause": event.cause,
        "remedy": event.remedy,
        "warnings": warnings(event.scenario),
        "partial": event.partial,
        "residue": list(event.residue),
        "removed": list(event.removed),
        "stages": [_stage(result, event.scenario) for result in event.stages],
        "recoveries": recoveries_part(recoveries(event.stages, event.scenario)),
        "generator": _whole_generator(event.stages),
        "thresholds": [_threshold(evaluation) for evaluation in event.thresholds],
        "invariants": [_invariant(answer) for answer in event.invariants],
        "baseline": None if event.baseline is None else _against(event.baseline),
    }


def _stage(result: StageResult, scenario: Scenario) -> dict[str, Any]:
    return {
        "name": result.stage.name,
        "warmup": result.stage.warmup,
        "duration": result.stage.duration,
        "elapsed": result.elapsed,
        "interrupted": result.interrupted,
        "most_vus": result.most_vus,
        "connections": _connections(result.books),
        "pool": _pool(result.pool),
        "rows": [
            _row(key, result, counts_requests(key, scenario))
            for key in ordered(scenario, result.books)
        ],
        "generator": _generator(result.generator, result.books),
        "mocks": mocks_part(result, scenario),
        "database": None if result.database is None else database_part(result.database),
        "machine": None if result.machine is None else machine_part(result.machine),
        "metrics": metrics_part(result.metrics),
    }


def _connections(books: Recorder) -> dict[str, Any]:
    return {
        "opened": books.connect.count,
        "connect": asdict(summarise(books.connect)),
        "tls": asdict(summarise(books.tls)),
    }


def _pool(pool: Pool) -> dict[str, Any] | None:
    if pool.last is None:
        return None
    return {
        "most": pool.last.most,
        "most_active": pool.most_active,
        "most_waiting": pool.most_waiting,
        "least_allowed": pool.least_allowed,
        "least_server_free": pool.least_server_free,
    }


def _row(key: RowKey, result: StageResult, counts_requests: bool) -> dict[str, Any]:
    kind, name = key
    row, elapsed = result.books.rows[key], result.elapsed
    sliced = kind in ("endpoint", "operation")
    return {
        "kind": kind,
        "name": name,
        "planned": row.planned,
        "succeeded": row.succeeded,
        "failed": row.failed,
        "dropped": row.dropped,
        "interrupted": row.interrupted,
        "unknown": row.unknown,
        "retried": row.retried,
        "redirected": row.redirected,
        "rate": (row.succeeded + row.failed) / elapsed if elapsed else 0.0,
        "errors": dict(sorted(row.errors.items())),
        "samples": [asdict(sample) for kept in row.samples.values() for sample in kept],
        "service": asdict(summarise(row.service)),
        "response": asdict(summarise(row.response)),
        "response_without_lag": asdict(summarise(row.response_without_lag)),
        "first_byte": asdict(summarise(row.first_byte)) if counts_requests else None,
        "bytes_sent": row.bytes_sent,
        "bytes_received": row.bytes_received,
        "rows": row.rows,
        "rows_added": row.rows_added,
        "slices": [asdict(each.get(key, Block())) for each in result.slices] if sliced else [],
    }


def _whole_generator(results: Sequence[StageResult]) -> dict[str, Any]:
    whole, books = Generator(), Recorder()
    for result in results:
        whole.merge(result.generator)
        books.merge(result.books)
    return _generator(whole, books)


def _generator(generator: Generator, books: Recorder) -> dict[str, Any]:
    last, lag = generator.last, books.lag
    return {
        "workers": generator.workers,
        "cores": None if last is None else last.cores,
        "cpu_seconds": generator.cpu_seconds,
        "cpu_share": generator.cpu_share,
        "waiting_seconds": generator.waiting_seconds,
        "longest_stall": generator.longest_stall,
        "longest_gc_pause": generator.longest_gc_pause,
        "lag": asdict(summarise(lag)),
        "late_share": lag.above(LEAST_LAG) / lag.count if lag.count else None,
        "missed": books.missed,
        "loop_lag": asdict(summarise(books.loop_lag)),
        "descriptor_limit": None if last is None else last.descriptors,
        "local_ports": None if last is None else last.ports,
    }


def _threshold(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "threshold": evaluation.threshold.text,
        "stage": evaluation.threshold.stage,
        "metric": evaluation.threshold.metric,
        "limit": evaluation.threshold.value,
        "value": evaluation.value,
        "margin": evaluation.margin,
        "passed": evaluation.passed,
        "detail": evaluation.detail,
        "built_in": evaluation.threshold.built_in,
    }


def _invariant(answer: Answer) -> dict[str, Any]:
    return {
        "invariant": answer.invariant.name,
        "stage": answer.stage,
        "value": answer.value,
        "expected": answer.expected,
        "passed": answer.passed,
        "detail": answer.detail,
    }


def _against(against: Against) -> dict[str, Any]:
    baseline = against.baseline
    return {
        "file": baseline.file,
        "run": baseline.run_id,
        "started_at": baseline.started_at,
        "verdict": against.verdict,
        "reasons": list(against.reasons),
        "findings": [finding_part(finding, str) for finding in against.findings],
    }
