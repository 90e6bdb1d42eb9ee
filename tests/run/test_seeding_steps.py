"""The steps of a seeding, one by one: what they do, and how they fail."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
import trio
from runs import processes_of

from http_server import Answer, Exchange, Server, response, serve
from stressrun.errors import SetupError
from stressrun.run.resources import Resources
from stressrun.run.seeding import Progress, Seeding
from stressrun.safety.guard import Guard
from stressrun.safety.ledger import Ledger, open_ledger
from stressrun.scenario.build import scenario_from
from stressrun.scenario.model import Seed, Table
from stressrun.services.guardian import Guardian
from stressrun.services.launching import Launcher
from stressrun.services.ports import free_ports
from stressrun.services.process import MARK

PEOPLE = {"table": "people", "rows": 50, "columns": {"name": {"faker": "name"}}}


class Run:
    """A run that does nothing but seed one database, which is not its own."""

    def __init__(self, directory: Path, url: str, ledger: Ledger, launcher: Launcher) -> None:
        self.id = launcher_id(directory)
        self.directory = directory
        self.url = url
        self.ledger = ledger
        self.launcher = launcher
        self.told: list[str] = []

    async def seed(self, *steps: dict[str, Any], **parts: Any) -> Seeding:
        document = {
            "version": 1,
            "name": "seeds",
            "database": self.url,
            "base_url": "http://127.0.0.1:1",
            "seeding": list(steps),
            "stages": [],
            **parts,
        }
        seeding = Seeding(
            scenario_from(document),
            self.ledger,
            Guard(),
            self.launcher,
            Resources(self.ledger, self.id, {}),
            run_id=self.id,
            told=self.told.append,
        )
        await seeding.run()
        return seeding

    async def failure(self, *steps: dict[str, Any], **parts: Any) -> SetupError:
        with pytest.raises(SetupError) as caught:
            await self.seed(*steps, **parts)
        return caught.value

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(query.encode()).fetchall()

    def script(self, text: str) -> list[str]:
        """A command that runs a Python script."""
        path = self.directory / f"{secrets.token_hex(4)}.py"
        path.write_text(text)
        return [sys.executable, str(path)]


def launcher_id(directory: Path) -> str:
    return f"test-{os.getpid()}-{directory.name}"


@pytest.fixture
def run(tmp_path: Path, database_url: str) -> Iterator[Run]:
    with open_ledger(tmp_path) as ledger:
        run_id = launcher_id(tmp_path)
        guardian = Guardian(f"{MARK}={run_id}/")
        launcher = Launcher(run_id=run_id, directory=tmp_path, ledger=ledger, guardian=guardian)
        try:
            yield Run(tmp_path, database_url, ledger, launcher)
        finally:
            guardian.release()
        assert processes_of(run_id) == []
        assert [entry for entry in ledger.outstanding() if entry.kind == "process"] == []


@pytest.fixture
async def serving(nursery: trio.Nursery) -> Callable[[Answer], Awaitable[Server]]:
    async def start(answer: Answer) -> Server:
        server: Server = await nursery.start(partial(serve, answer))
        return server

    return start


async def test_steps_are_done_in_their_order_and_told(
    run: Run, serving: Callable[[Answer], Awaitable[Server]]
) -> None:
    async def answer(exchange: Exchange) -> bytes:
        return response(201, {"rows": run.ask("select count(*) from orders")[0][0]})

    server = await serving(answer)
    (run.directory / "more.sql").write_text("insert into notes\nvalues ('a'), ('b')")
    counted = "import os, psycopg, sys\nwith psycopg.connect(os.environ['DATABASE_URL']) as c:\n"
    counted += "    print(c.execute('select count(*) from notes').fetchone()[0], sys.argv[1])\n"
    seeding = await run.seed(
        {"sql": "create table notes (text text); select 1"},
        {"sql_file": str(run.directory / "more.sql")},
        {"command": [*run.script(counted), "a b"]},
        {"table": "orders", "rows": 80, "columns": {"person": {"reference": "people.id"}}},
        PEOPLE,
        {"request": "POST /a", "json": {"n": 1}, "expect": {"json": {"$.rows": 80}}},
        base_url=f"http://127.0.0.1:{server.port}",
    )
    assert (run.directory / "seeding-3.log").read_text() == "2 a b\n"
    assert [line.partition(" (")[0] for line in run.told if not line.startswith("command")] == [
        "sql `create table notes",
        f"sql {os.path.relpath(run.directory / 'more.sql')}: done",
        "table people: 50 rows seeded",
        "table orders: 80 rows seeded",
        "request POST /a: done",
    ]
    assert seeding.known == {"people.id": [*range(1, 51)]}
    assert run.ask("select count(*), min(person) >= 1, max(person) <= 50 from orders") == [
        (80, True, True)
    ]
    (exchange,) = server.exchanges
    assert (exchange.method, exchange.path, exchange.body) == ("POST", "/a", b'{"n":1}')


# SQL

FAULTS = {
    "a syntax error": (
        "create table t ();\n\nselec 1;\n",
        "at line 3: syntax error",
        "reads: selec 1;",
    ),
    "a missing table": ("select 1;\nselect *\nfrom nowhere", "at line 3: relation", "from nowhere"),
    "what is broken while it runs": (
        "create table t (n int unique);\ninsert into t values (1);\ninsert into t values (1)",
        "in its statement 3: duplicate key value",
        "correct it",
    ),
    "an error of its own": (
        "do $$ begin\n raise exception 'no luck'; end $$",
        r"in its statement 1: no luck \(PL/pgSQL",
        "correct it",
    ),
    "a COPY": ("select 1;\ncopy pg_class to stdout", "statement 2 is a COPY", "psql"),
    "an open transaction": ("begin; create table t ()", "leaves its transaction open", "commit"),
    "a lost connection": ("select pg_terminate_backend(pg_backend_pid())", "terminat", ""),
}


@pytest.mark.parametrize(("sql", "message", "hint"), FAULTS.values(), ids=FAULTS)
async def test_sql_that_fails_says_where_and_leaves_nothing(
    run: Run, sql: str, message: str, hint: str
) -> None:
    (run.directory / "bad.sql").write_text(sql)
    inline = await run.failure({"sql": sql})
    assert inline.message.startswith(f"seeding by `{sql.split()[0]} ")
    file = os.path.relpath(run.directory / "bad.sql")
    failure = await run.failure({"sql_file": file}, PEOPLE)
    assert failure.message.startswith(f"seeding by {file} failed")
    for each in (inline, failure):
        with pytest.raises(AssertionError, match=message):
            raise AssertionError(each.message)
        assert hint in each.hint
    assert run.ask("select relname from pg_class where relnamespace = 'public'::regnamespace") == []


async def test_what_a_file_of_sql_sets_is_gone_with_it(run: Run) -> None:
    await run.seed(
        {"sql": "create schema other; set search_path = other; set role pg_monitor"}, PEOPLE
    )
    assert run.ask("select count(*) from public.people") == [(50,)]


# Commands


async def test_a_command_that_fails_shows_its_last_lines(run: Run) -> None:
    script = run.script("import sys\nfor n in range(100): print('line', n)\nsys.exit('no luck')")
    failure = await run.failure({"command": script})
    cause, *lines = failure.message.splitlines()
    assert cause.startswith("the seeding command `")
    assert cause.endswith("` failed (exit status 1): no luck")
    assert lines[-2:] == ["line 99", "no luck"]
    assert len(lines) == 20
    assert str(run.directory / "seeding-1.log") in failure.hint


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"command": "no-such-program --now"}, "`no-such-program --now` could not be started: no-"),
        ({"command": "true", "cwd": "/nowhere"}, "the folder /nowhere does not exist"),
        ({"command": "sh -c 'kill -9 $$'"}, "failed (killed by SIGKILL); it wrote nothing"),
        ({"command": "sleep 600", "within": "50ms"}, "did not end within 50.0 ms"),
    ],
)
async def test_a_command_that_does_not_end_well(
    run: Run, step: dict[str, Any], message: str
) -> None:
    assert message in (await run.failure(step)).message


async def test_a_flood_of_output_is_ended(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stressrun.services.command._MOST_OUTPUT", 1_000_000)
    failure = await run.failure({"command": "yes"})
    cause, *lines = failure.message.splitlines()
    assert cause == "the seeding command `yes` wrote more than 1 MB: y"
    assert lines[:19] == ["y"] * 19


async def test_all_that_a_command_has_started_ends_with_it(run: Run) -> None:
    script = "import subprocess\nsubprocess.Popen(['sleep', '600'], start_new_session=True)\n"
    script += "subprocess.Popen(['sleep', '601'])\n"
    await run.seed({"command": run.script(script)})
    assert processes_of(run.id) == []


async def test_a_command_has_the_environment_that_it_is_given(run: Run) -> None:
    script = run.script("import os; print(os.environ['DATABASE_URL'], os.environ['A'])")
    await run.seed({"command": script, "env": {"DATABASE_URL": "mine", "A": "b c"}})
    assert (run.directory / "seeding-1.log").read_text() == "mine b c\n"


# Requests


@pytest.mark.parametrize(
    ("status", "expect", "message"),
    [
        (500, {}, "the seeding request POST /reset: expected"),
        (200, {"status": 204}, "the seeding request POST /reset: expected"),
        (200, {"json": {"$.ok": True}}, "expected $.ok equals true"),
    ],
)
async def test_a_request_that_is_not_answered_as_expected(
    run: Run,
    serving: Callable[[Answer], Awaitable[Server]],
    status: int,
    expect: dict[str, Any],
    message: str,
) -> None:
    async def answer(exchange: Exchange) -> bytes:
        return response(status, {"ok": False})

    server = await serving(answer)
    base_url = f"http://127.0.0.1:{server.port}"
    failure = await run.failure({"request": "POST /reset", "expect": expect}, base_url=base_url)
    assert message in failure.message
    assert len(server.exchanges) == 1


async def test_a_request_that_is_refused(run: Run) -> None:
    base_url = f"http://127.0.0.1:{free_ports(1)[0]}"
    failure = await run.failure({"request": "POST /reset"}, base_url=base_url)
    assert failure.message.startswith("the seeding request POST /reset: ")
    assert "refused" in failure.message


async def test_progress_is_told_every_five_seconds() -> None:
    told: list[str] = []
    now = 0.0
    progress = Progress(Seed(Table("t", "id", (), ()), 2_000_000), told.append, lambda: now)
    for step in range(1, 13):
        now = float(step)
        progress(step * 100_000)
    assert told == [
        "table t: 500,000 of 2,000,000 rows (100,000/s)",
        "table t: 1,000,000 of 2,000,000 rows (100,000/s)",
    ]
