from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import psycopg
import pytest
import trio
from psycopg.conninfo import make_conninfo
from surroundings import Run, eventually, marked

from stressrun.errors import SetupError
from stressrun.scenario.model import EmbeddedPostgres
from stressrun.services import running
from stressrun.services.binaries import unprivileged_account
from stressrun.services.embedded import data_directory
from stressrun.services.running import reserve


def server(
    user: str = "postgres",
    password: str | None = None,
    database: str = "postgres",
    **settings: str,
) -> EmbeddedPostgres:
    return EmbeddedPostgres("db", user, password, database, None, {"fsync": "off", **settings})


def data_of(run_id: str) -> Path:
    return data_directory(run_id, "db", unprivileged_account())


async def test_a_server_is_as_the_scenario_declares_and_gone_after_it(run: Run) -> None:
    services = run.services()
    service = server("me & co", "p@ss w:/%rd\\", 'my "shop"', work_mem="8MB", jit="off")
    values = reserve([service])
    await services.start([service], values)
    with psycopg.connect(values["services.db.url"]) as connection:
        row = connection.execute(
            "select current_database(), current_user, current_setting('server_encoding'), "
            "current_setting('work_mem'), current_setting('jit'), current_setting('fsync'), "
            "current_setting('listen_addresses'), current_setting('unix_socket_directories'), "
            "current_setting('lc_messages'), current_setting('full_page_writes')"
        ).fetchone()
        assert row == (
            *('my "shop"', "me & co", "UTF8", "8MB", "off", "off", "127.0.0.1", "", "C"),
            "on",
        )
        data = data_of(run.run_id)
        assert data.stat().st_mode & 0o777 == 0o700
        assert not (data / "password").exists()
    wrong = make_conninfo(values["services.db.url"], password="wrong")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)
    busy = psycopg.connect(values["services.db.url"])
    busy.pgconn.send_query(b"select count(*) from generate_series(1, 10000000000)")
    await services.stop()
    busy.close()
    assert run.left() == []
    assert not data.exists()
    assert run.ledger.outstanding() == []
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(values["services.db.url"], connect_timeout=5)


@pytest.mark.parametrize(
    ("service", "told"),
    [
        (server(shared_buffers="plenty"), 'invalid value for parameter "shared_buffers"'),
        (server(Port="5432"), "the setting 'Port' is not free"),
        (server(user="pg_wrong"), "pg_wrong"),
        (server(database="template1"), "'template1' could not be created"),
    ],
)
async def test_a_server_that_cannot_start_is_told_with_its_log(
    service: EmbeddedPostgres, told: str, run: Run
) -> None:
    services = run.services()
    with pytest.raises(SetupError, match=told) as raised:
        await services.start([service], reserve([service]))
    assert raised.value.hint
    await services.stop()
    assert not data_of(run.run_id).exists()
    assert run.ledger.outstanding() == []


@pytest.mark.parametrize("after", [0.0, 0.3, 0.7])
async def test_a_start_that_is_cancelled_leaves_nothing(after: float, run: Run) -> None:
    services = run.services()
    service = server(database="shop")
    with trio.move_on_after(after):
        try:
            await services.start([service], reserve([service]))
        finally:
            await services.stop()
    assert run.left() == []
    assert not data_of(run.run_id).exists()
    assert run.ledger.outstanding() == []


CONTROLLER = """
import os, signal, sys
from pathlib import Path
import psycopg, psutil, trio
from stressrun.safety.guard import Guard
from stressrun.safety.ledger import open_ledger
from stressrun.scenario.model import EmbeddedPostgres
from stressrun.services.guardian import Guardian
from stressrun.services.process import MARK
from stressrun.services.running import Services, reserve

run_id, directory, phase = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
service = EmbeddedPostgres("db", "postgres", None, "postgres", None, {"fsync": "off"})
values = reserve([service])

async def die_in_initdb():
    while not any(child.name() == "initdb" for child in psutil.Process().children()):
        await trio.sleep(0.001)
    await trio.sleep(0.1)
    os.kill(os.getpid(), signal.SIGKILL)

async def main(ledger):
    services = Services(run_id=run_id, directory=directory, ledger=ledger, guard=Guard(),
        guardian=Guardian(f"{MARK}={run_id}"), keep=False, told=print)
    async with trio.open_nursery() as nursery:
        if phase == "initdb":
            nursery.start_soon(die_in_initdb)
        await services.start([service], values)
    connection = psycopg.connect(values["services.db.url"], autocommit=True)
    connection.execute("set statement_timeout = 0")
    connection.pgconn.send_query(b"select count(*) from generate_series(1, 10000000000)")
    os.kill(os.getpid(), signal.SIGKILL)

with open_ledger(directory) as ledger:
    trio.run(main, ledger)
"""


@pytest.mark.parametrize("phase", ["initdb", "busy"])
async def test_nothing_outlives_a_controller_that_was_killed(
    phase: str, run: Run, tmp_path: Path
) -> None:
    run_id = f"{run.run_id}-killed"
    script = [sys.executable, "-c", CONTROLLER, run_id, str(tmp_path), phase]
    ended = subprocess.run(script, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    data = data_of(run_id)
    eventually(lambda: not data.exists() and marked(run_id) == [])
    assert working_in(data) == []
    for entry in run.ledger.outstanding(run_id):  # `stressrun clean` finds it done
        await running.undo(entry)


def working_in(directory: Path) -> list[int]:
    return [
        process.pid
        for process in psutil.process_iter(["cwd"])
        if (process.info["cwd"] or "").startswith(str(directory))
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another account")
def test_a_temporary_folder_that_the_account_cannot_enter_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert data_of("1") == Path("/tmp/stressrun-1-db")
    assert data_directory("1", "db", None) == tmp_path.resolve() / "stressrun-1-db"
