"""How a run ends that is stopped, killed or failed by a step of its seeding."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from aftermath import assert_killed, assert_survived
from runs import PATIENCE, Run, stressrun

SCENARIO = """version: 1
name: seeds
services: {{db: {{postgres: "{url}"}}}}
base_url: http://127.0.0.1:{port}
seeding:
  - {{table: people, rows: 10, columns: {{name: {{hex: 8B}}}}}}
  - {{table: pets, rows: 10, columns: {{owner: {{reference: people.id}}}}}}
  - {{sql: "create table kept (n int)"}}
  - {step}
  - {{table: never, rows: 10, columns: {{name: {{hex: 8B}}}}}}
endpoints: [{{name: e, request: GET /}}]
stages: [{{name: s, duration: 1s, endpoints: {{vus: 1}}}}]
teardown: [{{sql: drop table kept}}]
"""

HANGING = {
    "command": "{command: \"sh -c 'touch started; sleep 600'\"}",
    "request": "{request: POST /reset, timeout: 10m}",
    "table": "{table: large, rows: 100_000_000, columns: {data: {hex: 1KB}}}",
}


class Surroundings:
    """A scenario with a step, and where to see that the step is under way."""

    def __init__(self, directory: Path, url: str, server: socket.socket, step: str) -> None:
        self.file = directory / "scenario.yaml"
        self.url = url
        self.connection: socket.socket | None = None
        self._server = server
        self._started = directory / "started"
        port = server.getsockname()[1]
        self.file.write_text(SCENARIO.format(url=url, port=port, step=step))

    def under_way(self, kind: str) -> bool:
        match kind:
            case "command":
                return self._started.exists()
            case "request":
                self.connection, _ = self._server.accept()
                return True
            case _:
                return self.count("pg_stat_progress_copy where tuples_processed > 0") > 0

    def count(self, what: str) -> int:
        with psycopg.connect(self.url, autocommit=True) as connection:
            row = connection.execute(f"select count(*) from {what}".encode()).fetchone()
        assert row is not None
        return int(row[0])

    def tables(self) -> int:
        return self.count("pg_class where relnamespace = 'public'::regnamespace")


Surrounded = Callable[[str], Surroundings]


@pytest.fixture
def surrounded(tmp_path: Path, database_url: str) -> Iterator[Surrounded]:
    made: list[Surroundings] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)

        def surround(step: str) -> Surroundings:
            made.append(Surroundings(tmp_path, database_url, server, step))
            return made[-1]

        yield surround
    for one in made:
        if one.connection is not None:
            one.connection.close()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


@pytest.mark.faults
@pytest.mark.parametrize("kind", HANGING)
def test_sigint_in_any_step_leaves_nothing(
    tmp_path: Path, surrounded: Surrounded, kind: str
) -> None:
    around = surrounded(HANGING[kind])
    run = Run(tmp_path, around.file)
    run.wait_for("sql `create table kept")
    wait_until(lambda: around.under_way(kind))
    run.signal(signal.SIGINT)
    ended = run.end()
    assert_survived(ended, 130, "stopped by SIGINT", url=around.url)
    assert around.tables() == 0


@pytest.mark.faults
def test_a_command_does_not_outlive_a_killed_run(tmp_path: Path, surrounded: Surrounded) -> None:
    around = surrounded(HANGING["command"])
    run = Run(tmp_path, around.file)
    run.wait_for("sql `create table kept")
    wait_until(lambda: around.under_way("command"))
    run.signal(signal.SIGKILL)
    ended = run.end()
    assert_killed(ended, around.url)
    assert around.tables() == 0


def test_a_step_that_fails_ends_the_run_and_undoes_the_steps_before(
    tmp_path: Path, surrounded: Surrounded
) -> None:
    around = surrounded("{command: 'sh -c \"echo ${services.db.password} $DATABASE_URL; exit 3\"'}")
    ended = stressrun(tmp_path, around.file)
    cause = "` failed (exit status 3): *** postgresql://"
    assert_survived(ended, 3, cause, url=around.url)
    assert f"{ended.run_id}/seeding-4.log" in ended.report["remedy"]
    assert "***" in ended.output
    assert urlsplit(around.url).password not in ended.output
    assert "table never" not in ended.output
    assert ended.report["verdict"] == "error"
    assert around.tables() == 0


def test_rows_that_the_database_refuses_half_way(tmp_path: Path, surrounded: Surrounded) -> None:
    columns = "columns: {n: {constant: 1}}, indexes: [{columns: [n], unique: true}]"
    around = surrounded(f"{{table: refused, rows: 100, {columns}}}")
    ended = stressrun(tmp_path, around.file)
    assert_survived(ended, 3, "refused", url=around.url)
    assert around.tables() == 0
