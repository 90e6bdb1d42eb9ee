"""The session that looks at a server during a run: one statement, and one round trip, for a look.

It asks for nothing that waits for the load: no lock of a table, and of the lock table only when
some session waits. A look that fails is told as `NotSeen`; the next connects anew.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import psycopg
import trio

from stressrun.errors import StressrunError
from stressrun.postgres.connection import connect
from stressrun.postgres.failure import error_kind
from stressrun.postgres.observation import Backend, Sample, Sessions, Waiter
from stressrun.postgres.session import EXTENDED, Query, Session
from stressrun.postgres.statistics import (
    FLUSH,
    MARK,
    Reading,
    statements_query,
    statistics_query,
    texts_query,
)
from stressrun.postgres.tables import reason
from stressrun.safety.guard import Guard
from stressrun.scenario.model import Database

MOST_WAITERS = 32
"""Of so many sessions that wait for a lock a look sees whom they wait for, the oldest first."""

_STATEMENT_TIMEOUT = 2.0
_LOCK_TIMEOUT = 0.5
# Of a server or a network that is frozen.
_PATIENCE = 4.0
_WAITSTART_SINCE = 140000
_FLUSH_SINCE = 150000

# Of sessions that the role may not see into, only the database and the user show.
# A wait for a row shows as one for its transaction: its table is that of the lock in the queue for
# the row, and without such a lock one of those that both sessions write.
_SAMPLE = f"""
with activity as materialized (
  select /* {MARK} */ pid, datid, usesysid, backend_type, application_name, state, xact_start,
    query_start, wait_event_type, wait_event, query
  from pg_stat_activity where pid <> pg_backend_pid()
), here as (
  select * from activity where backend_type = 'client backend'
    and datid = (select oid from pg_database where datname = current_database())
), waiting as materialized (
  select pid, query_start, pg_blocking_pids(pid) as blockers
  from here where wait_event_type = 'Lock' order by query_start limit {MOST_WAITERS}
), locks as materialized (
  select pid, locktype, relation, mode, granted, {{waitstart}} as waitstart from pg_locks
  where exists (select from waiting) and (not granted or locktype in ('tuple', 'relation'))
), wanted as materialized (
  select * from locks where not granted
), queued as materialized (
  select pid, relation from locks where granted and locktype = 'tuple'
), waits as (
  select pid, blockers, locktype, coalesce(
      wanted.relation, (select relation from queued where queued.pid = waiting.pid limit 1)
    )::regclass as relation,
    extract(epoch from {{since}}) as since,
    extract(epoch from clock_timestamp() - waitstart) as waited
  from waiting join wanted using (pid) where blockers <> '{{{{}}}}' and {{since}} is not null
), written as (
  select relation, array_agg(pid) as pids from locks
  where granted and locktype = 'relation' and mode not in ('AccessShareLock', 'RowShareLock')
    and exists (select from wanted where locktype = 'transactionid')
  group by 1
)
select json_build_object(
  'clients', (select count(*) from activity where backend_type = 'client backend'),
  'hidden', (select count(*) from activity
    where backend_type is null and datid is not null and usesysid is not null),
  'longest_transaction',
    (select extract(epoch from clock_timestamp() - min(xact_start)) from here),
  'sessions', (select json_agg(json_build_array(state, wait_event_type, wait_event, sessions))
    from (select state, wait_event_type, wait_event, count(*) as sessions
      from here group by 1, 2, 3) counted),
  'waits', (select json_agg(
      json_build_array(pid, blockers, locktype, relation, since, waited)) from waits),
  'written', (select json_object_agg(relation::regclass, pids)
    from written join pg_class on oid = relation where relkind in ('r', 'p')),
  'backends', (select json_agg(json_build_array(pid, application_name, state, left(query, 500),
      extract(epoch from clock_timestamp() - xact_start)))
    from activity
    where pid in (select pid from waiting union all select unnest(blockers) from waiting))
)
"""

_SURROUNDINGS = f"""
select /* {MARK} */ json_build_object(
  'limit', current_setting('max_connections')::int
    - current_setting('superuser_reserved_connections')::int
    - coalesce(current_setting('reserved_connections', true)::int, 0),
  'views', (select json_agg(relname) from pg_class
    where relnamespace = 'pg_catalog'::regnamespace and relname like 'pg_stat_%'),
  'statements', (select json_build_object('schema', quote_ident(nspname), 'time', attname)
    from pg_extension e join pg_namespace n on n.oid = extnamespace
      join pg_class c on c.relnamespace = n.oid and c.relname = extname
      join pg_attribute on attrelid = c.oid and attname in ('total_exec_time', 'total_time')
    where extname = 'pg_stat_statements')
)
"""


_LOCKS = {"transactionid": "row", "tuple": "row", "relation": "table"}


class NotSeen(Exception):  # noqa: N818 - a gap in what is seen, which is no error of the run
    """Why a look at the server failed, in a line."""


@dataclass(frozen=True, slots=True)
class _Server:
    """What one connection's server has to tell, and the statements that ask for it."""

    limit: int
    sample: Query
    statistics: Query
    flush: Query | None
    statements: Query | None
    texts: Query | None


class Look(NamedTuple):
    """A look at the server as it came, at an instant of the monotonic clock in nanoseconds.

    Made into samples together, looks cost less than each for itself.
    """

    instant: int
    content: bytes

    def sample(self) -> Sample:
        seen = json.loads(self.content)
        backends = {
            pid: Backend(application or "", state or "", query or "", age or 0.0)
            for pid, application, state, query, age in seen["backends"] or ()
        }
        written = {table: set(pids) for table, pids in (seen["written"] or {}).items()}
        return Sample(
            instant=self.instant,
            clients=seen["clients"],
            hidden=seen["hidden"],
            longest_transaction=seen["longest_transaction"],
            sessions=tuple(Sessions(*counted) for counted in seen["sessions"] or ()),
            waiters=tuple(_waiter(wait, backends, written) for wait in seen["waits"] or ()),
            backends=backends,
        )


class Observer:
    """Looks at a scenario's database; for one task at a time.

    `unseen` is why pg_stat_statements, though installed, tells nothing.
    """

    def __init__(self, database: Database, guard: Guard, *, run_id: str) -> None:
        self._database = replace(
            database, statement_timeout=_STATEMENT_TIMEOUT, lock_timeout=_LOCK_TIMEOUT
        )
        self._guard = guard
        self._run_id = run_id
        self._session: Session | None = None
        self._server: _Server | None = None
        self._transactions = 0
        self.unseen = ""

    @property
    def connected(self) -> bool:
        return self._session is not None and not self._session.connection.closed

    @property
    def limit(self) -> int:
        """How many connections ordinary roles can have; 0 as long as it is not known."""
        return 0 if self._server is None else self._server.limit

    async def connect(self) -> None:
        """Connect, and see what the server has to tell. Raises NotSeen."""
        self.close()
        try:
            connection = await connect(
                self._database.url,
                guard=self._guard,
                run_id=self._run_id,
                timeout=_PATIENCE,
                settings=self._database,
            )
        except StressrunError as error:
            raise NotSeen(error.message) from error
        connection.expendable = True
        self._session = Session(connection)
        try:
            self._server = await self._look_around(connection.info.server_version)
            # It is prepared now: later, that would count as a commit of the load.
            await self.look()
        except NotSeen:
            self.close()
            raise

    async def look(self) -> Look:
        """What the server's sessions are doing now. Raises NotSeen."""
        begin = time.monotonic_ns()
        assert self._session is not None
        content = await self._value(self._session, self._known.sample, ())
        return Look((begin + time.monotonic_ns()) // 2, content)

    async def read(self) -> Reading:
        """The cumulative statistics, as far as sessions have told of them. Raises NotSeen."""
        server = self._known
        if server.flush is not None:
            await self._ask(server.flush)
        own = self._transactions
        statistics = await self._ask(server.statistics)
        statements = None
        if server.statements is not None:
            statements = await self._ask(server.statements) or {}
        return Reading(own, statistics, statements)

    async def texts(self, statements: Sequence[str]) -> Mapping[str, str]:
        """The texts of statements that a reading counts, by their ids. Raises NotSeen."""
        texts = self._known.texts
        assert texts is not None
        ids = "{" + ",".join(statements) + "}"
        found: Mapping[str, str] | None = await self._ask(texts, ids.encode())
        return found or {}

    def close(self) -> None:
        """Close the connection."""
        if self._session is not None and self.connected:
            self._session.pgconn.finish()
        self._session = None

    @property
    def _known(self) -> _Server:
        assert self._server is not None
        return self._server

    async def _look_around(self, version: int) -> _Server:
        waitstart, since = "null::timestamptz", "query_start"
        if version >= _WAITSTART_SINCE:
            waitstart = since = "waitstart"
        found = await self._ask(_query(_SURROUNDINGS))
        statements, texts = await self._find_statements(found["statements"])
        return _Server(
            limit=found["limit"],
            sample=_query(_SAMPLE.format(waitstart=waitstart, since=since)),
            statistics=_query(statistics_query(found["views"])),
            flush=_query(FLUSH) if version >= _FLUSH_SINCE else None,
            statements=statements,
            texts=texts,
        )

    async def _find_statements(
        self, found: Mapping[str, str] | None
    ) -> tuple[Query | None, Query | None]:
        """What asks pg_stat_statements, where it is installed and loaded."""
        self.unseen = ""
        if found is None:
            return None, None
        query = _query(statements_query(found["schema"], found["time"]))
        try:
            await self._ask(query)
        except NotSeen as error:
            if not self.connected:
                raise
            self.unseen = f"pg_stat_statements: {error}"
            return None, None
        return query, _query(*texts_query(found["schema"]))

    async def _ask(self, query: Query, *parameters: bytes) -> Any:
        """The JSON that a query gives, which is one transaction. Raises NotSeen."""
        assert self._session is not None
        unprepared = Session(self._session.connection, EXTENDED)
        return json.loads(await self._value(unprepared, query, parameters) or b"null")

    async def _value(self, session: Session, query: Query, parameters: Sequence[bytes]) -> bytes:
        self._transactions += 1
        result = None
        try:
            with trio.move_on_after(_PATIENCE):
                async with session.connection.lock:
                    result = await session.connection.wait(session.run(query, parameters))
        except psycopg.Error as error:
            raise NotSeen(f"{error_kind(error)}: {reason(error)}") from error
        if result is None:
            raise NotSeen(f"no answer within {_PATIENCE:g} s")
        return result.get_value(0, 0) or b""


def _query(*pieces: str) -> Query:
    return Query(pieces)


def _waiter(
    wait: Sequence[Any], backends: Mapping[int, Backend], written: Mapping[str, Collection[int]]
) -> Waiter:
    pid, blockers, lock, relation, since, waited = wait
    if relation is None and lock == "transactionid":
        both = [
            table
            for table, pids in written.items()
            if pid in pids and any(blocker in pids for blocker in blockers)
        ]
        relation = _meant(both, backends[pid].statement)
    return Waiter(pid, tuple(blockers), _LOCKS.get(lock, lock), relation, since, waited)


def _meant(tables: Sequence[str], statement: str) -> str | None:
    """Which of some tables a statement is about; None: it cannot be told."""
    if len(tables) == 1:
        return tables[0]
    words = set(re.findall(r"\w+", statement.lower()))
    named = [name for name in tables if name.rpartition(".")[2].strip('"').lower() in words]
    return named[0] if len(named) == 1 else None
