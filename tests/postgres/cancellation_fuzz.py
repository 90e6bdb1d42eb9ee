"""Writes to a database that are cut off at random moments, and what became of each.

`python tests/postgres/cancellation_fuzz.py 20000 1` makes so many of a seed on a server of its own
and prints their outcomes. Every number is written twice or not at all.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

import psycopg
import trio
from postgres_samples import Connecting, rows_of, wait_until_idle
from psycopg.abc import PQGen

from stressrun.postgres.connection import Connection, Outcome, connect
from stressrun.postgres.session import Query, Session
from stressrun.postgres.waiting import wait_for_either
from stressrun.safety.guard import Guard

_INSERT = Query(["insert into t values (", "), (", ")"])
_SLOW = Query(["insert into t select ", "::bigint from generate_series(1, 2), pg_sleep(0.01)"])
_HALF = Query(["insert into t values (", ")"])


@dataclass(frozen=True, slots=True)
class Findings:
    """What was told of each number, how often it stands in the table, and connections opened."""

    told: Mapping[int, Outcome]
    found: Mapping[int, int]
    opened: int

    def wrong(self) -> list[str]:
        """Where the table holds anything else than was told."""
        wrong = [f"{n}: {count} of 2 rows" for n, count in self.found.items() if count != 2]
        for number, outcome in self.told.items():
            if outcome != "unknown" and (outcome == "applied") != (number in self.found):
                wrong.append(f"{number}: told {outcome}, and it is not so")
        return wrong


class Client:
    """Writes numbers in several ways, each cut off at a random moment, and keeps the truth."""

    def __init__(self, connecting: Connecting, random: Random) -> None:
        self._connecting = connecting
        self._random = random
        self._session: Session | None = None
        self.told: dict[int, Outcome] = {}
        self.opened = 0

    async def run(self, numbers: Iterable[int]) -> None:
        ways = [self._execute, self._transaction, self._copy]
        generators = [self._prepared, self._slow, self._in_transaction, self._copied]
        for number in numbers:
            session = await self._open()
            patience = self._random.random() * self._random.choice([0.0005, 0.004, 0.02])
            if self._random.random() < 0.5:
                steps = self._random.choice(generators)(session, number)
                self.told[number] = await self._drive(session.connection, steps, patience)
                continue
            with trio.move_on_after(patience) as scope:
                await self._random.choice(ways)(session.connection, number)
            outcome = session.connection.cancelled_outcome
            self.told[number] = outcome if scope.cancelled_caught else "applied"

    async def _open(self) -> Session:
        if self._session is None or self._session.connection.closed:
            self._session = Session(await self._connecting())
            self.opened += 1
        return self._session

    async def _drive(
        self, connection: Connection, steps: PQGen[object], patience: float
    ) -> Outcome:
        """Run a generator as the load's lane does: aborted from outside, or waited for."""
        if self._random.random() < 0.5:
            with trio.move_on_after(patience) as scope:
                await connection.wait(steps)
            return connection.cancelled_outcome if scope.cancelled_caught else "applied"
        wanted = next(steps)
        with trio.move_on_after(patience):
            while True:
                ready, _ = await wait_for_either(connection.pgconn.socket, wanted)
                try:
                    wanted = steps.send(ready)
                except StopIteration:
                    return "applied"
        return (await connection.abort(steps)).outcome

    async def _execute(self, connection: Connection, number: int) -> None:
        await connection.execute("insert into t values (%s), (%s)", (number, number))

    async def _transaction(self, connection: Connection, number: int) -> None:
        async with connection.transaction():
            await connection.execute("insert into t values (%s)", (number,))
            await connection.execute("insert into t values (%s)", (number,))

    async def _copy(self, connection: Connection, number: int) -> None:
        async with connection.cursor().copy("copy t from stdin") as copy:
            await copy.write(f"{number}\n")
            await copy.write(f"{number}\n")

    def _prepared(self, session: Session, number: int) -> PQGen[object]:
        yield from session.run(_INSERT, [b"%d" % number] * 2)

    def _slow(self, session: Session, number: int) -> PQGen[object]:
        yield from session.run(_SLOW, [b"%d" % number])

    def _in_transaction(self, session: Session, number: int) -> PQGen[object]:
        try:
            yield from session.command(b"begin")
            for _ in range(2):
                yield from session.run(_HALF, [b"%d" % number])
            yield from session.command(b"commit")
        except psycopg.Error:
            yield from session.roll_back()
            raise

    def _copied(self, session: Session, number: int) -> PQGen[object]:
        yield from session.copy(b"copy t from stdin", b"%d\n%d\n" % (number, number))


async def fuzz(connecting: Connecting, count: int, seed: int, clients: int = 6) -> Findings:
    """Make so many writes by some clients at once, and see what the table holds in the end."""
    observer = await connecting()
    await observer.execute("create table t (n bigint)")
    writing = [Client(connecting, Random(f"{seed}.{place}")) for place in range(clients)]
    async with trio.open_nursery() as nursery:
        for place, client in enumerate(writing):
            nursery.start_soon(client.run, range(place, count, clients))
    await wait_until_idle(observer)
    found = dict(await rows_of(observer, "select n, count(*) from t group by n"))
    told = {number: outcome for client in writing for number, outcome in client.told.items()}
    return Findings(told, found, sum(client.opened for client in writing))


def main(count: int = 20_000, seed: int = 1) -> None:
    # Beside this file only when it runs as a test.
    sys.path.append(str(Path(__file__).parents[1]))
    from postgres_server import running_server

    with (
        tempfile.TemporaryDirectory() as directory,
        running_server(Path(directory), {"fsync": "off"}) as url,
    ):
        connecting = partial(connect, url, guard=Guard(), run_id="fuzz")
        findings = trio.run(fuzz, connecting, count, seed)
    for outcome, writes in Counter(findings.told.values()).most_common():
        print(f"{writes:8,}  {outcome}")
    print(f"{len(findings.told):8,}  writes, on {findings.opened} connections, one after the other")
    sys.exit("\n".join(findings.wrong()) or 0)


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
