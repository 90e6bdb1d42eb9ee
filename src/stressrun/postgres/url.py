"""A database URL: where it points, told without its password, and why a connection failed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Conninfo

from stressrun.errors import SetupError
from stressrun.safety.guard import Guard

_HINTS = (
    (("connection refused", "no such file"), "start the server, or check its host and port"),
    (("too many c", "connection slots"), "close other clients, or raise max_connections"),
    (("starting up", "shutting down"), "wait until the server is up"),
    (("definition of service",), "define it in ~/.pg_service.conf, or set PGSERVICEFILE"),
    (("certificate",), "check sslmode and sslrootcert, and the host that the certificate names"),
    (("password", "authentication", "pg_hba.conf", "role"), "check the user and the password"),
    (("ssl",), "set sslmode in the database URL as the server wants it"),
    (("database",), "create the database, or check its name"),
)
# What a server says, or the system in its place, that is about to be there again.
_PASSING = (
    *("connection refused", "no such file", "starting up", "shutting down", "recovery"),
    *("not yet accepting", "closed the connection", "reset by peer", "too many c"),
    *("connection slots", "terminating connection"),
)
_NO_HOST = "start the server, or name its host, or the folder of its socket, by PGHOST"
_SCHEME = re.compile("postgres(ql)?://")
_SERVICE = "PGSERVICE"


class UnreachableError(SetupError):
    """A database that takes no connection now, but may in a moment: it is restarted, or full."""


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """The parts of a database URL, which its text form shows as `host:port/database`.

    What it leaves out libpq's environment gives: a service file, then variables such as PGHOST.
    """

    host: str
    port: int
    database: str
    parameters: Mapping[str, str]

    @classmethod
    def of(cls, url: str) -> DatabaseUrl:
        """Read `postgresql://…`, or `host=… dbname=…`.

        Raises SetupError, which holds nothing of the URL.
        """
        if "\0" in url:  # where libpq would take it to end
            raise _unreadable()
        try:
            given = {name: str(value) for name, value in conninfo_to_dict(url).items()}
        except psycopg.Error:
            # The reason would quote the URL, and a password that is not escaped with it.
            raise _unreadable() from None
        parameters = {**_surroundings(given.get("service")), **given}
        if "host" in given and "hostaddr" not in given:
            # libpq would go to another place than the URL says.
            parameters.pop("hostaddr", None)
        host, port = parameters.get("host", ""), parameters.get("port") or "5432"
        if "," in f"{host}{port}{parameters.get('hostaddr', '')}":
            raise SetupError(
                "the database URL, or the environment that completes it, names several hosts",
                hint="name one of them: the load goes to one server",
            )
        if not (port.isascii() and port.isdecimal()):
            raise _unreadable()
        database = parameters.get("dbname") or parameters.get("user", "")
        return cls(host, int(port), database, parameters)

    @property
    def local(self) -> bool:
        """Whether it is a Unix socket."""
        return not self.parameters.get("hostaddr") and self.host[:1] in ("", "/", "@")

    @property
    def place(self) -> str:
        """The host or the address that is connected to; empty for a Unix socket."""
        return "" if self.local else self.parameters.get("hostaddr") or self.host

    @property
    def complete(self) -> str:
        """It as one URL that needs neither libpq's variables nor its service files."""
        parts = dict(self.parameters)
        login = quote(parts.pop("user", ""), safe="")
        if password := parts.pop("password", ""):
            login = f"{login}:{quote(password, safe='')}"
        host = f"[{self.host}]" if ":" in self.host else quote(self.host, safe="")
        for named in ("host", "port", "dbname", "service"):
            parts.pop(named, None)
        if not self.host:
            parts["host"] = ""  # so that no variable can name one
        query = f"?{urlencode(parts, quote_via=quote)}" if parts else ""
        database = quote(self.database, safe="")
        return f"postgresql://{login}@{host}:{self.port}/{database}{query}"

    async def addresses(self, guard: Guard) -> tuple[str, ...]:
        """What to connect to, judged by the guard; the empty address is the Unix socket."""
        return ("",) if self.local else await guard.resolve(self.place, self.port)

    def conninfo(self, address: str) -> str:
        """What libpq needs to connect to that address, whatever its environment variables say."""
        place = {"host": self.host, "hostaddr": address, "port": str(self.port)}
        return make_conninfo("", **{**self.parameters, **place})

    def refused(self, error: psycopg.Error) -> SetupError:
        """An error of connecting, told with what to do about it."""
        lines = [line for line in str(error).splitlines() if line.strip()]
        cause = lines[-1] if lines else type(error).__name__
        cause = cause.removeprefix("connection is bad: ").rpartition("failed: ")[2]
        cause = cause.removeprefix("FATAL:").strip()
        if "is the server running" in cause.lower() and len(lines) > 1:
            cause = lines[-2].rpartition("failed: ")[2].strip()
        hints = [hint for words, hint in _HINTS if any(word in cause.lower() for word in words)]
        if not self.host and "no such file" in cause.lower():
            hints.insert(0, _NO_HOST)
        passing = any(word in cause.lower() for word in _PASSING)
        return (UnreachableError if passing else SetupError)(
            f"the database {self} refused the connection: {cause}",
            hint=hints[0] if hints else "try the same URL with psql",
        )

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host or "localhost"
        return f"{host}:{self.port}/{self.database}"


def completed(url: str) -> str:
    """A URL that says by itself where it points; one that names its host does already.

    Raises SetupError, which holds nothing of the URL.
    """
    read = DatabaseUrl.of(url)
    names_its_host = _SCHEME.match(url) and conninfo_to_dict(url).get("host")
    return url if names_its_host else read.complete


def _surroundings(service: str | None) -> dict[str, str]:
    """What libpq takes from its variables, and from the service's part of a service file."""
    with _in_service(service):
        found = Conninfo.get_defaults()
    return {
        option.keyword.decode(): option.val.decode()
        for option in found
        if option.val is not None and option.val != option.compiled
    }


@contextmanager
def _in_service(service: str | None) -> Iterator[None]:
    # libpq reads a service file for nothing but a connection, unless this variable asks for it.
    before = os.environ.get(_SERVICE)
    if service is not None:
        os.environ[_SERVICE] = service
    try:
        yield
    finally:
        if service is not None and before is None:
            del os.environ[_SERVICE]
        elif service is not None and before is not None:
            os.environ[_SERVICE] = before


def _unreadable() -> SetupError:
    return SetupError(
        "the database URL cannot be read",
        hint="write postgresql://user:password@host:port/database, "
        "and in the password %40 for @, %3A for : and %2F for /",
    )
