"""Whether a server can take the load: its version, its free connections, and whether it writes."""

from __future__ import annotations

from dataclasses import dataclass

from stressrun.errors import SetupError
from stressrun.postgres.connection import Connection

_OLDEST = 12

# Of others' sessions a role that may not monitor sees no type. Those of the server itself, which
# are no clients, have no user or no database.
_SLOTS = """
with client as (
    select usesysid, datid from pg_stat_activity
    where coalesce(backend_type, 'client backend') = 'client backend'
      and usesysid is not null and datid is not null
  )
select current_setting('max_connections')::int,
  current_setting('superuser_reserved_connections')::int
    + coalesce(current_setting('reserved_connections', true)::int, 0),
  (select count(*) from client),
  rolname, case when rolsuper then -1 else rolconnlimit end,
  (select count(*) from client where usesysid = r.oid),
  datname, case when rolsuper then -1 else datconnlimit end,
  (select count(*) from client where datid = d.oid)
from pg_roles r, pg_database d where rolname = session_user and datname = current_database()
"""

_WRITABLE = """
select case when pg_is_in_recovery() then 'it is a standby'
  when current_setting('transaction_read_only')::bool then 'its transactions are read only' end
"""


@dataclass(frozen=True, slots=True)
class Limit:
    """How many connections may be open at once, and how many are."""

    whose: str
    most: int
    clients: int

    @property
    def free(self) -> int:
        return self.most - self.clients


@dataclass(frozen=True, slots=True)
class Slots:
    """The connections of a server; of the `reserved` ones ordinary roles get none.

    `clients` are client backends now, the one that asks among them. The `limits` are the role's and
    the database's own.
    """

    max_connections: int
    reserved: int
    clients: int
    limits: tuple[Limit, ...] = ()

    @property
    def free(self) -> int:
        """How many more an ordinary role can open, reserved for superusers or not."""
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
    if found.free + 1 - needed >= min_free:
        return
    free, others = found.free + 1, found.clients - 1
    tightest = min(found.limits, key=lambda limit: limit.free, default=None)
    if tightest is not None and tightest.free == found.free:
        bounds = f"{tightest.whose} may have {tightest.most}"
        others = tightest.clients - 1
    else:
        bounds = f"the server has {found.max_connections}, {found.reserved} of them reserved"
    raise SetupError(
        f"the run needs {needed} connections; {bounds}, {others} in use by others: "
        f"{max(free, 0)} are free, and {min_free} must stay free (database.min_free_connections)",
        hint="close other clients, give the stages fewer workers, or raise max_connections "
        f"(for an embedded server, settings: {{max_connections: {_enough(found, needed, min_free)}}})",
    )


def _enough(found: Slots, needed: int, min_free: int) -> int:
    return needed + min_free + found.reserved + found.clients - 1


async def check_server(connection: Connection, *, writes: bool) -> None:
    """See that the version is known to work, and that a run that writes can.

    Raises SetupError, psycopg.Error.
    """
    version = connection.info.server_version // 10_000
    if version < _OLDEST:
        raise SetupError(
            f"the server is PostgreSQL {version}, and the oldest that is supported is {_OLDEST}",
            hint="use a newer server, or postgres: embedded",
        )
    if not writes:
        return
    row = await (await connection.execute(_WRITABLE)).fetchone()
    reason = None if row is None else row[0]
    if reason is not None:
        raise SetupError(
            f"the scenario writes, and the database cannot be written: {reason}",
            hint="point the scenario's database at the primary, or set "
            "default_transaction_read_only off",
        )
