"""A database URL: where it points, told without its password, and why a connection failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from stressrun.errors import SetupError
from stressrun.safety.guard import Guard

_HINTS = (
    (("connection refused", "no such file"), "start the server, or check its host and port"),
    (("too many c", "connection slots"), "close other clients, or raise max_connections"),
    (("starting up", "shutting down"), "wait until the server is up"),
    (("password", "authentication", "pg_hba.conf", "role"), "check the user and the password"),
    (("ssl",), "set sslmode in the database URL as the server wants it"),
    (("database",), "create the database, or check its name"),
)


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """The parts of a database URL, which its text form shows as `host:port/database`."""

    host: str
    port: int
    database: str
    parameters: Mapping[str, str]

    @classmethod
    def of(cls, url: str) -> DatabaseUrl:
        """Read `postgresql://…`. Raises SetupError, which holds nothing of the URL."""
        try:
            parameters = {name: str(value) for name, value in conninfo_to_dict(url).items()}
            port = int(parameters.get("port") or 5432)
        except (psycopg.Error, ValueError):
            # The reason would quote the URL, and a password that is not escaped with it.
            raise SetupError(
                "the database URL cannot be read, or it names several hosts",
                hint="write postgresql://user:password@host:port/database, "
                "and in the password %40 for @, %3A for : and %2F for /",
            ) from None
        host = parameters.get("host", "")
        database = parameters.get("dbname") or parameters.get("user", "")
        return cls(host, port, database, parameters)

    @property
    def local(self) -> bool:
        """Whether it is a Unix socket."""
        return not self.parameters.get("hostaddr") and self.host[:1] in ("", "/", "@")

    async def addresses(self, guard: Guard) -> tuple[str, ...]:
        """What to connect to, judged by the guard; the empty address is the Unix socket."""
        if self.local:
            return ("",)
        return await guard.resolve(self.parameters.get("hostaddr") or self.host, self.port)

    def conninfo(self, address: str) -> str:
        """What libpq needs to connect to that address, whatever its environment variables say."""
        place = {"host": self.host, "hostaddr": address, "port": str(self.port)}
        return make_conninfo("", **{**self.parameters, **place})

    def refused(self, error: psycopg.Error) -> SetupError:
        """An error of connecting, told with what to do about it."""
        lines = [line for line in str(error).splitlines() if line.strip()]
        cause = lines[-1] if lines else type(error).__name__
        cause = cause.rpartition("failed: ")[2].removeprefix("FATAL:").strip()
        if "is the server running" in cause.lower() and len(lines) > 1:
            cause = lines[-2].rpartition("failed: ")[2].strip()
        hints = (hint for words, hint in _HINTS if any(word in cause.lower() for word in words))
        return SetupError(
            f"the database {self} refused the connection: {cause}",
            hint=next(hints, "try the same URL with psql"),
        )

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host or "localhost"
        return f"{host}:{self.port}/{self.database}"
