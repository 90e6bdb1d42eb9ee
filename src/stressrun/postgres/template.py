"""A database set back to what it was: a copy is kept as a template, and copied back."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from stressrun.errors import SetupError
from stressrun.postgres.connection import connect
from stressrun.postgres.tables import reason
from stressrun.postgres.url import DatabaseUrl
from stressrun.safety.guard import Guard

# There on every server, and never the one that is copied.
_MAINTENANCE = "template1"
_SUFFIX = "_stressrun_template"
_PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class Template:
    """What keeps and restores the database of a URL, on a server of the run's own."""

    url: str
    guard: Guard
    run_id: str

    async def keep(self) -> None:
        """Copy the database as it is; nobody may be connected to it. Raises SetupError."""
        await self._copy(self._name, self._name + _SUFFIX)

    async def restore(self) -> None:
        """Set the database back to its copy; who is connected to it is cut off.

        Raises SetupError.
        """
        await self._copy(self._name + _SUFFIX, self._name)

    async def _copy(self, source: str, target: str) -> None:
        names = {"source": sql.Identifier(source), "target": sql.Identifier(target)}
        drop = sql.SQL("drop database if exists {target} with (force)").format(**names)
        create = sql.SQL("create database {target} template {source}").format(**names)
        url = urlunsplit(urlsplit(self.url)._replace(path=f"/{_MAINTENANCE}"))
        async with await connect(
            url, guard=self.guard, run_id=self.run_id, timeout=_PATIENCE
        ) as connection:
            try:
                await connection.execute(drop)
                await connection.execute(create)
            except psycopg.Error as error:
                raise SetupError(
                    f"the database {self._name} could not be set back: {reason(error)}",
                    hint="leave out compare: {reset: true}, or end what else uses the database",
                ) from error

    @property
    def _name(self) -> str:
        return DatabaseUrl.of(self.url).database
