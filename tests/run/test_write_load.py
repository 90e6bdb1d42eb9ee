"""Heavy writes: one scenario, whoever runs the server, and every figure that is to be told."""

import re
from pathlib import Path

import pytest
from database_server import database_server
from runs import ROOT, Ended, assert_nothing_is_left, assert_told, stressrun

from stressrun.services.binaries import Installation

HEAVY = ROOT / "scenarios" / "postgres-write-load.yaml"
FEW_ROWS = "--set=writes.rows.rows=100"
# Enough operations in an interval for a p99 of each, on a slow machine too.
QUICK = "--set=services.db.settings={fsync: off}"
SHORT = {"DURATION": "1.7s", "REPORT_INTERVAL": "500ms", "BATCH_SIZE": "1", "UPDATE_SHARE": "70"}

PER_SECOND = r"[\d,.]+/s"
MEGABYTES = r"[\d,.]+ MB/s"
TIME = r"[\d.]+ (?:µs|ms|s)"
OPERATION = rf"{PER_SECOND} avg {TIME} p95 {TIME} p99 {TIME}"
INTERVAL = re.compile(
    rf"^ +[\d.]+ s · rows {PER_SECOND}, {MEGABYTES}, 0 errors \(0 %\), total [\d,]+"
    rf" · insert {OPERATION} · update {OPERATION}"
    rf" · connections: \d active, \d idle, 4 at most; \d+ free on the server$",
    re.MULTILINE,
)
AT_THE_END = (
    rf"  writes rows: [\d,]+ operations in 1\.70 s, {PER_SECOND}, {MEGABYTES}, [\d,]+ rows/s, "
    r"0 errors \(0 %\), \+[\d,]+ rows in the table\n",
    r"  connections: up to 4 active of 4 at most; at least \d+ free on the server\n",
    r"               count +rate +errors +mean +p50 +p95 +p99 +max +MB/s\n",
    rf"rows.insert +[\d,]+ +{PER_SECOND} +0 % +(?:{TIME} +){{5}}[\d.]+\n",
    rf"rows.update +[\d,]+ +{PER_SECOND} +0 % +(?:{TIME} +){{5}}[\d.]+\n",
)


def installed() -> Installation | None:
    """The newest PostgreSQL of the system, beside the one that is embedded."""
    found = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    newest = max((path.parents[1] for path in found), key=lambda p: int(p.name), default=None)
    return None if newest is None else Installation(newest)


def assert_every_figure_is_shown(ended: Ended) -> None:
    """Those that a client for heavy writes must tell, at each interval and at the end."""
    assert_told(ended, 0)
    assert len(INTERVAL.findall(ended.output)) >= 2, ended.output
    for line in AT_THE_END:
        assert re.search(line, ended.output), (line, ended.output)
    assert_nothing_is_left(ended)


def test_heavy_writes_on_the_embedded_server(tmp_path: Path) -> None:
    assert_every_figure_is_shown(stressrun(tmp_path, HEAVY, FEW_ROWS, QUICK, **SHORT))


@pytest.mark.faults
@pytest.mark.skipif(installed() is None, reason="no PostgreSQL is installed in /usr/lib/postgresql")
def test_heavy_writes_on_an_installed_server(tmp_path: Path) -> None:
    installation = installed()
    assert installation is not None
    with database_server(installation, {}) as server:
        address = {"DB_HOST": "127.0.0.1", "DB_PORT": str(server.port)}
        ended = stressrun(tmp_path, HEAVY, FEW_ROWS, **SHORT, **address)
    assert f"PostgreSQL {installation.prefix.name}." in ended.output
    assert_every_figure_is_shown(ended)
