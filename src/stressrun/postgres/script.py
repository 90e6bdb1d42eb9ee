"""SQL of the scenario's own that is run once, before the load: several statements in one go."""

from __future__ import annotations

import os
from collections.abc import Sequence

import psycopg
from psycopg import pq
from psycopg.abc import PQGen
from psycopg.generators import execute

from stressrun.errors import SetupError
from stressrun.metrics.excerpt import on_one_line
from stressrun.postgres.connection import Connection
from stressrun.postgres.tables import reason
from stressrun.scenario.model import SqlSeeding

_COPIES = (pq.ExecStatus.COPY_IN, pq.ExecStatus.COPY_OUT)
_SHOWN = 120


async def run_script(connection: Connection, step: SqlSeeding) -> None:
    """Run statements as one simple query: in one transaction, unless they commit themselves.

    Raises SetupError with the line at fault, where the server tells it.
    """
    try:
        async with connection.lock:
            results = await connection.wait(_run(connection.pgconn, step.sql.encode()))
    except psycopg.Error as error:
        raise SetupError(
            f"seeding by {name_of(step)} failed: {reason(error)}",
            hint="see the server's log, and run it again",
        ) from error
    last = results[-1]
    if last.status == pq.ExecStatus.FATAL_ERROR:
        raise _failure(step, results)
    if last.status in _COPIES:
        raise SetupError(
            f"seeding by {name_of(step)} failed: its statement {len(results)} is a COPY from or to "
            "the client, which needs psql",
            hint="run it by command: psql, -v, ON_ERROR_STOP=1, -f and the file",
        )
    if connection.pgconn.transaction_status != pq.TransactionStatus.IDLE:
        raise SetupError(
            f"seeding by {name_of(step)} failed: it leaves its transaction open",
            hint="end it by commit, or leave out begin: it is one transaction anyhow",
        )


def name_of(step: SqlSeeding) -> str:
    """What messages call the step: its file, or the beginning of its text."""
    return f"`{on_one_line(step.sql, _SHOWN)}`" if step.file is None else os.path.relpath(step.file)


def _run(pgconn: pq.abc.PGconn, text: bytes) -> PQGen[list[pq.abc.PGresult]]:
    pgconn.send_query(text)
    results: list[pq.abc.PGresult] = yield from execute(pgconn)
    return results


def _failure(step: SqlSeeding, results: Sequence[pq.abc.PGresult]) -> SetupError:
    error = psycopg.errors.error_from_result(results[-1])
    position = error.diag.statement_position
    where, hint = f" in its statement {len(results)}", "correct it"
    if position is not None:
        number = step.sql.count("\n", 0, int(position) - 1) + 1
        where = f" at line {number}"
        hint = f"the line reads: {on_one_line(step.sql.split(chr(10))[number - 1], _SHOWN)}"
    context = f" ({on_one_line(error.diag.context, _SHOWN)})" if error.diag.context else ""
    return SetupError(
        f"seeding by {name_of(step)} failed{where}: {reason(error)}{context}",
        hint=f"{hint}; unless it commits by itself, nothing of it was kept",
    )
