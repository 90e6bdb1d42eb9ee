"""What a session is set to, as long as it is a session of one client."""

from __future__ import annotations

import psycopg
from psycopg.rows import TupleRow

from stressrun.scenario.model import Database

# Behind a pooler it is another server process that answers. Settings would stay with that one and
# reach other clients, so there are none.
_SET = """
select set_config(name, value, false) from unnest(%s::text[], %s::text[]) as wanted(name, value)
where pg_backend_pid() = %s
"""
# So that statements of a client that was killed end, too.
_CLIENT_CHECK = ("client_connection_check_interval", "500ms")
_CLIENT_CHECK_SINCE = 140_000


async def set_session(
    connection: psycopg.AsyncConnection[TupleRow], database: Database, isolation: str | None
) -> bool:
    """Give a new session its timeouts, and maybe an isolation level.

    False where a pooler stands before the server, and nothing is set. Raises psycopg.Error.
    """
    settings = _settings(database, isolation)
    if connection.info.server_version >= _CLIENT_CHECK_SINCE:
        settings.append(_CLIENT_CHECK)
    names, values = [name for name, _ in settings], [value for _, value in settings]
    found = await connection.execute(_SET, (names, values, connection.info.backend_pid))
    return found.rowcount > 0


def _settings(database: Database, isolation: str | None) -> list[tuple[str, str]]:
    timeouts = {
        "lock_timeout": database.lock_timeout,
        "idle_in_transaction_session_timeout": database.idle_in_transaction_timeout,
        "statement_timeout": database.statement_timeout,
    }
    settings = [
        (name, str(round(seconds * 1000)))
        for name, seconds in timeouts.items()
        if seconds is not None
    ]
    if isolation is not None:
        settings.append(("default_transaction_isolation", isolation))
    return settings
