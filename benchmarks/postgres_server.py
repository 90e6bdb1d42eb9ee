"""PostgreSQL as the server of a benchmark: at its defaults, on TCP, asked for what it has done."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from benchmarks.measuring import BenchmarkError, answer_of, free_port, started
from stressrun.services.binaries import unprivileged_account
from stressrun.services.process import Account

TABLE = "people"
"""The table of all scenarios here."""

_INSTALLED = Path("/usr/lib/postgresql")
_READY_WITHIN = 30.0
_END_WITHIN = 10.0
_POLL = 0.02

_OTHER_SESSIONS = """
select count(*) from pg_stat_activity
where backend_type = 'client backend' and pid <> pg_backend_pid()
"""
_LOOKUPS = f"select coalesce(sum(idx_scan), 0) from pg_stat_user_tables where relname = '{TABLE}'"
_AT_WORK = f"""
{_OTHER_SESSIONS} and (state = 'active' or query_start > clock_timestamp() - interval '250 ms')
"""
_COPYING = "select count(*) from pg_stat_progress_copy"
# What is asked here must not count as a lookup itself.
_NO_LOOKUPS = "-c enable_indexscan=off -c enable_indexonlyscan=off"


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running server: its URL, the folder of its programs, and a connection to ask it."""

    url: str
    programs: Path
    connection: psycopg.Connection[Any]

    def program(self, name: str) -> str | None:
        """A client program of the same version, such as pgbench; None where it is missing."""
        return shutil.which(name, path=str(self.programs))

    def clear(self) -> None:
        """Drop the table, and write to disk what a turn before has left in memory."""
        self.connection.execute(f"drop table if exists {TABLE}")
        self.connection.execute("checkpoint")

    def empty(self) -> None:
        """Remove the rows of the table, with the same care."""
        self.connection.execute(f"truncate {TABLE} restart identity")
        self.connection.execute("checkpoint")

    def rows(self) -> int:
        """The rows that are in the table."""
        return self._number(f"select count(*) from {TABLE}")

    def lookups(self) -> int:
        """How often the table was asked for a key, by sessions that have ended.

        An update or a select by key is one.
        """
        deadline = time.monotonic() + _END_WITHIN
        while self._number(_OTHER_SESSIONS) and time.monotonic() < deadline:
            time.sleep(_POLL)
        return self._number(_LOOKUPS)

    def sessions_at_work(self) -> int:
        """How many other sessions have had a statement in the last 250 ms."""
        return self._number(_AT_WORK)

    def sessions_copying(self) -> int:
        """How many have a COPY under way."""
        return self._number(_COPYING)

    def columns(self) -> list[str]:
        """The columns of the table that are not counted up by themselves."""
        found = self.connection.execute(
            "select attname from pg_attribute where attrelid = to_regclass(%s) "
            "and attnum > 0 and not atthasdef order by attnum",
            (TABLE,),
        )
        return [name for (name,) in found]

    def _number(self, query: LiteralString) -> int:
        row = self.connection.execute(query).fetchone()
        assert row is not None
        return int(row[0])


@contextmanager
def postgres_running(programs: Path) -> Iterator[PostgresServer]:
    """A server that is there within the block. Raises BenchmarkError when it cannot be started."""
    if not (programs / "initdb").is_file():
        raise BenchmarkError("PostgreSQL is missing: apt install postgresql postgresql-contrib")
    account = unprivileged_account()
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="benchmark-postgres-") as place:
        folder = Path(place)
        if account is not None:
            os.chown(folder, account.uid, account.gid)
        _initialise(programs, folder, account)
        command = [
            *_as_account(account),
            *(str(programs / "postgres"), "-D", str(folder / "data"), "-p", str(port)),
            *("-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="),
        ]
        url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        with (
            started(command, folder=folder) as process,
            _ended(process),
            closing(_connect(url, process, folder / "output")) as connection,
        ):
            yield PostgresServer(url, programs, connection)


def find_programs() -> Path:
    """The folder of the newest server that Debian has installed, else that of the one on PATH."""
    found = sorted(_INSTALLED.glob("*/bin"), key=lambda folder: int(folder.parent.name))
    return found[-1] if found else Path(shutil.which("postgres") or "postgres").parent


def postgres_version(programs: Path) -> str:
    found = re.search(r"[\d.]+", answer_of(str(programs / "postgres"), "--version"))
    return found[0] if found else "unknown"


def _initialise(programs: Path, folder: Path, account: Account | None) -> None:
    command = [
        *_as_account(account),
        *(str(programs / "initdb"), "-D", str(folder / "data"), "-U", "postgres", "--auth=trust"),
        *("--encoding=UTF8", "--locale=C"),
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(f"initdb made no database:\n{done.stderr}")


def _as_account(account: Account | None) -> list[str]:
    """Words before a command that has to run as another user, and to end when we do."""
    words = ["setpriv", "--pdeathsig", "QUIT"]
    if account is not None:
        words += [f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups"]
    return words


def _connect(url: str, process: subprocess.Popen[bytes], log: Path) -> psycopg.Connection[Any]:
    deadline = time.monotonic() + _READY_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(psycopg.OperationalError):
            return psycopg.connect(url, autocommit=True, options=_NO_LOOKUPS)
        time.sleep(_POLL)
    raise BenchmarkError(f"PostgreSQL did not start:\n{log.read_text()}")


@contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """End the server at once, but by itself: killed, it would leave shared memory behind."""
    try:
        yield
    finally:
        process.send_signal(signal.SIGQUIT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_END_WITHIN)
