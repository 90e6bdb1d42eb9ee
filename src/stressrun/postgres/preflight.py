"""Whether a server can take the load: its version, its free connections, and whether it writes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import psycopg

from stressrun.errors import SetupError
from stressrun.postgres.connection import Connection
from stressrun.postgres.statistics import MARK
from stressrun.postgres.tables import reason
from stressrun.postgres.url import DatabaseUrl
from stressrun.scenario.model import Database

_OLDEST = 12

# A role that may not monitor sees no type of others' sessions; the server's own have no user or no
# database.
_SLOTS = f"""
with client as (
    select usesysid, datid from pg_stat_activity
    where coalesce(backend_type, 'client backend') = 'client backend'
      and usesysid is not null and datid is not null
  )
select /* {MARK} */ current_setting('max_connections')::int,
  current_setting('superuser_reserved_connections')::int
    + coalesce(current_setting('reserved_connections', true)::int, 0),
  (select count(*) from client),
  rolname, case when rolsuper then -1 else rolconnlimit end,
  (select count(*) from client where usesysid = r.oid),
  datname, case when rolsuper then -1 else datconnlimit end,
  (select count(*) from client where datid = d.oid)
from pg_roles r, pg_database d where rolname = session_user and datname = current_database()
"""

_READ_ONLY = """
select case when pg_is_in_recovery() then 'it is a standby'
  when current_setting('transaction_read_only')::bool then 'its transactions are read only' end
"""

_POOLED = (
    "PgBouncer or another pooler stands before it: statements are not prepared by name, timeouts "
    "and isolation levels (but of transactions) do not hold, the floor is not checked before the "
    "load, and on the server sessions are not told apart"
)


@dataclass(frozen=True, slots=True)
class Limit:
    """How many connections a role or a database may have, and how many it has."""

    whose: str
    most: int
    clients: int

    @property
    def free(self) -> int:
        return self.most - self.clients


@dataclass(frozen=True, slots=True)
class Slots:
    """The connections of a server, of which ordinary roles get all but the `reserved` ones.

    `clients` are open now, the one that asks among them. The `limits` are the role's and the
    database's own.
    """

    max_connections: int
    reserved: int
    clients: int
    limits: tuple[Limit, ...] = ()

    @property
    def free(self) -> int:
        """How many more ordinary clients there can be.

        A superuser could have the reserved ones as well: they are not for the load.
        """
        left = self.max_connections - self.reserved - self.clients
        return min([left, *(limit.free for limit in self.limits)])


async def slots(connection: Connection) -> Slots:
    """The connections of the server now. Raises psycopg.Error."""
    row = await (await connection.execute(_SLOTS)).fetchone()
    assert row is not None
    most, reserved, clients, role, role_most, role_has, database, database_most, database_has = row
    limits = (
        Limit(f"the role {role}", role_most, role_has),
        Limit(f"the database {database}", database_most, database_has),
    )
    return Slots(most, reserved, clients, tuple(limit for limit in limits if limit.most >= 0))


def check_floor(found: Slots, needed: int, min_free: int) -> None:
    """See that a run leaves as many connections free as must be.

    It needs so many at the most, the one that has asked among them. Raises SetupError.
    """
    free = found.free + 1
    if free - needed >= min_free:
        return
    missing = needed + min_free - free
    limit = next((limit for limit in found.limits if limit.free == found.free), None)
    if limit is not None:
        bound = f"{limit.whose} may have {limit.most}, {limit.clients - 1} in use by others"
        raised = f"its connection limit to {limit.most + missing}"
    else:
        reserved = f"{found.reserved} of them reserved"
        bound = f"the server has {found.max_connections}, {reserved}, "
        bound += f"{found.clients - 1} in use by others"
        raised = f"max_connections to {found.max_connections + missing}"
    raise SetupError(
        f"the run needs {_connections(needed)}; {bound}: {max(free, 0)} are free, "
        f"and {min_free} must stay free (database.min_free_connections)",
        hint=f"close other clients, give the stages fewer workers "
        f"(max_workers beside a rate), or raise {raised}",
    )


async def examine(
    connection: Connection, database: Database, *, needed: int, writes: bool
) -> list[str]:
    """See that a server can take a run that needs so many connections, and say what was found.

    Raises SetupError.
    """
    _check_version(connection)
    try:
        if writes:
            await _check_writable(connection)
        found = await slots(connection)
    except psycopg.Error as error:
        raise SetupError(
            f"the server could not be asked for its connections: {reason(error)}",
            hint="let the database's user read pg_stat_activity and pg_roles, as by default",
        ) from error
    if not connection.pooled:
        check_floor(found, needed, database.min_free_connections)
    return list(_told(connection, database, found, needed))


def server_version(connection: Connection) -> str:
    """The version of the server, such as 18.4."""
    major, minor = divmod(connection.info.server_version, 10_000)
    return f"{major}.{minor}"


def _told(connection: Connection, database: Database, found: Slots, needed: int) -> Iterator[str]:
    yield (
        f"PostgreSQL {server_version(connection)} at {DatabaseUrl.of(database.url)}: "
        f"{_connections(found.max_connections - found.reserved)} for clients, "
        f"{found.clients - 1} in use by others, the run needs up to {needed}"
    )
    if connection.pooled:
        yield _POOLED


def _check_version(connection: Connection) -> None:
    version = connection.info.server_version // 10_000
    if version < _OLDEST:
        raise SetupError(
            f"the server is PostgreSQL {version}, and the oldest that is supported is {_OLDEST}",
            hint="use a newer server, or postgres: embedded",
        )


async def _check_writable(connection: Connection) -> None:
    row = await (await connection.execute(_READ_ONLY)).fetchone()
    assert row is not None
    if row[0] is not None:
        raise SetupError(
            f"the scenario writes, and its database cannot be written: {row[0]}",
            hint="point database at the primary, or set default_transaction_read_only off",
        )


def _connections(count: int) -> str:
    return "1 connection" if count == 1 else f"{count} connections"
