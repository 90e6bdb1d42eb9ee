"""What a run tells of processes, the host and Prometheus metrics."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import pytest
from runs import Run, assert_nothing_is_left, assert_told, stressrun

MONITORED = Path(__file__).with_name("monitored.yaml")
SERVER = str(Path(__file__).with_name("wasteful.py"))
MB = 1_000_000


def test_a_leak_is_told_and_fails_a_threshold(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mine:
        ended = stressrun(
            tmp_path,
            MONITORED,
            "--set=thresholds.0=process api memory_growth < 30MB/min",
            "--set=services.bank={mock: [{on: GET /}]}",
            "--set=thresholds.1=process bank memory < 1GB",
            # Growth is told of ten samples: there are three times as many to miss some of.
            "--set=monitor.every=100ms",
            SERVER=SERVER,
            LEAK=str(MB // 4),
            SPIN="0.01",
            DURATION="3s",
            LISTENER=str(mine.getsockname()[1]),
        )
    assert_told(ended, 1, "threshold failed: process api memory_growth < 30MB/min")
    (stage,) = ended.report["stages"]
    (row,) = stage["rows"]
    uses = {use["name"]: use for use in stage["machine"]["processes"]}
    api = uses["api"]
    # It keeps 5 MB a second, on a machine that has time for it.
    assert MB < api["growth"] < 25 * MB
    # Half of that in children that have ended: 10 ms of each request.
    assert 0.006 * row["planned"] < api["cpu"] * stage["duration"] < 0.03 * row["planned"]
    assert api["memory_max"] > max(api["memory"], row["succeeded"] * (MB // 4))
    assert api["processes"] >= 1
    assert api["threads"] >= 1
    assert api["descriptors"] > 3
    assert uses["generator"]["cpu"] > 0
    assert uses["generator"]["kind"] == "generator"
    assert uses["listener"]["kind"] == "named"
    assert uses["listener"]["samples"] == stage["machine"]["samples"] >= 10
    assert (uses["bank"]["kind"], uses["bank"]["gaps"]) == ("mock", [])
    assert uses["bank"]["samples"] == stage["machine"]["samples"]
    host = stage["machine"]["host"]
    parts = sum(host[part] for part in ("user", "system", "stolen"))
    assert host["cpu"] == pytest.approx(parts)
    assert 0 < stage["machine"]["cost"] < 1
    app, slo = stage["metrics"]
    requests, latency, held = app["series"]
    assert requests["increase"] == row["succeeded"]
    assert latency["increase"] == row["succeeded"]
    assert 0.008 < latency["p50"] < 1
    assert held["last"] == row["succeeded"] * (MB // 4)
    assert slo["series"][0]["value"] == 0.0025
    assert "growing by" in ended.output
    assert "✓ prometheus slo.share value < 1%   (0.25 %, 75 % to spare)" in ended.output
    assert_nothing_is_left(ended)


@pytest.mark.faults
def test_what_cannot_be_seen_is_told_and_fails_what_asks_for_it(tmp_path: Path) -> None:
    ended = stressrun(
        tmp_path,
        MONITORED,
        "--set=monitor.prometheus.app.url=${services.api.url}/work",
        "--set=thresholds.0=process listener cpu < 50%",
        "--set=stages.only.duration=500ms",
        SERVER=SERVER,
    )
    assert_told(ended, 1, "threshold failed: process listener cpu < 50% and 1 more")
    assert "(nothing listens on port 1 in stage only)" in ended.report["cause"]
    assert ended.report["remedy"].startswith("it has no data")
    (stage,) = ended.report["stages"]
    uses = {use["name"]: use for use in stage["machine"]["processes"]}
    assert uses["listener"]["samples"] == 0
    assert uses["listener"]["cpu"] is None
    assert uses["listener"]["gaps"][0]["why"] == "nothing listens on port 1"
    assert "there is no series app_requests_total" in ended.output
    assert_nothing_is_left(ended)


@pytest.mark.faults
def test_a_run_that_is_stopped_while_its_exporter_hangs_ends_and_tells_what_it_saw(
    tmp_path: Path,
) -> None:
    run = Run(
        tmp_path,
        MONITORED,
        "--set=monitor.prometheus.app.url=${services.api.url}/hangs",
        "--set=stages.only.duration=60s",
        "--set=report={interval: 500ms}",
        SERVER=SERVER,
    )
    run.wait_for(" s · endpoints ")
    run.signal(signal.SIGINT)
    ended = run.end()
    assert_told(ended, 130)
    (stage,) = ended.report["stages"]
    assert stage["interrupted"]
    assert stage["machine"]["samples"] >= 1
    assert {series["missing"] for series in stage["metrics"][0]["series"]} == {
        "no answer within 2.00 s"
    }
    assert "2.00 s" in ended.output
    assert_nothing_is_left(ended)


def test_a_host_that_is_not_allowed_is_refused_before_anything_starts(tmp_path: Path) -> None:
    ended = stressrun(
        tmp_path,
        MONITORED,
        "--set=monitor.prometheus.slo.server=http://192.0.2.1:9090",
        SERVER=SERVER,
    )
    assert_told(ended, 6, "the guard refused 192.0.2.1")
    assert ended.report["stages"] == []
    assert_nothing_is_left(ended)
