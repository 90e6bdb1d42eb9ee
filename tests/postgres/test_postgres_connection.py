from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import trio
import trustme
from postgres_samples import ask, with_parts
from psycopg.conninfo import conninfo_to_dict

from pgbouncer import needs_pgbouncer, pgbouncer
from postgres_server import running_server
from stressrun.errors import RefusedError, SetupError
from stressrun.postgres.connection import Connection, connect
from stressrun.postgres.preflight import examine
from stressrun.postgres.session import Query, Session
from stressrun.postgres.url import DatabaseUrl, completed
from stressrun.safety.guard import Guard
from stressrun.scenario.model import Database
from stressrun.services import running
from stressrun.services.binaries import Installation, unprivileged_account


@pytest.fixture
def limited_role(postgres_url: str) -> Iterator[str]:
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute("create role limited login password 'known' connection limit 0")
        yield "limited"
        admin.execute("drop role limited")


async def test_a_session_bears_the_run_and_limits_what_it_holds_up(connection: Connection) -> None:
    assert connection.autocommit
    settings = {
        "application_name": "stressrun/r1",
        "lock_timeout": "30s",
        "idle_in_transaction_session_timeout": "1min",
        "client_connection_check_interval": "500ms",
    }
    for name, value in settings.items():
        assert await ask(connection, f"show {name}") == value


async def test_a_session_of_the_load_has_the_scenarios_timeouts_and_its_isolation(
    database_url: str,
) -> None:
    settings = Database(
        database_url, statement_timeout=0.25, lock_timeout=0, idle_in_transaction_timeout=90
    )
    async with await connect(
        database_url, guard=Guard(), run_id="r1", settings=settings, isolation="repeatable read"
    ) as connection:
        for name, value in {
            "statement_timeout": "250ms",
            "lock_timeout": "0",
            "idle_in_transaction_session_timeout": "90s",
            "default_transaction_isolation": "repeatable read",
            "client_connection_check_interval": "500ms",
        }.items():
            assert await ask(connection, f"show {name}") == value
        with pytest.raises(psycopg.errors.QueryCanceled, match="statement timeout"):
            await connection.execute("select pg_sleep(3600)")


@needs_pgbouncer
async def test_a_pooler_is_noticed_and_its_sessions_are_left_as_they_are(
    connection: Connection, postgres_url: str
) -> None:
    assert not connection.pooled
    with pgbouncer(postgres_url, pool_size=1) as url:
        async with await connect(url, guard=Guard(), run_id="r1") as pooled:
            assert pooled.pooled
            for name in ("lock_timeout", "idle_in_transaction_session_timeout"):
                assert await ask(pooled, f"show {name}") == "0"
            (_, note) = await examine(pooled, Database(url), needed=1000, writes=True)
            assert note.startswith("PgBouncer or another pooler stands before it")
            session = Session(pooled)
            async with await connect(url, guard=Guard(), run_id="r1") as other:
                for each in (session, Session(other)):
                    result = await each.connection.wait(each.run(Query(["select 1"]), []))
                    assert result.command_tuples == 1
                assert await ask(other, "select count(*) from pg_prepared_statements") == 0


@pytest.mark.parametrize("part", ["host", "hostaddr"])
async def test_an_address_that_is_not_allowed_is_never_connected_to(
    database_url: str, part: str
) -> None:
    with pytest.raises(RefusedError):
        await connect(with_parts(database_url, **{part: "192.0.2.1"}), guard=Guard(), run_id="r1")


async def test_the_environment_cannot_lead_elsewhere_than_the_url(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGHOSTADDR", "192.0.2.1")
    monkeypatch.setenv("PGHOST", "192.0.2.1")
    async with await connect(database_url, guard=Guard(), run_id="r1") as connection:
        assert await ask(connection, "select 1") == 1
    with pytest.raises(SetupError, match="No such file"):
        await connect(
            with_parts(database_url, host="/nowhere"), guard=Guard(), run_id="r1", timeout=5
        )


# The surroundings of libpq: variables, service files, password files.


@pytest.fixture
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for files that libpq reads, and no variables of it but those that a test sets."""
    for name in os.environ:
        if name.startswith("PG"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "passwords"))
    return tmp_path


@pytest.mark.parametrize("url", ["postgresql://", "dbname=postgres", "postgresql:///postgres"])
async def test_what_a_url_leaves_out_comes_from_the_environment(
    url: str, postgres_url: str, surroundings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = conninfo_to_dict(postgres_url)
    for name in ("host", "port", "user", "password"):
        monkeypatch.setenv(f"PG{name.upper()}", str(parts[name]))
    monkeypatch.setenv("PGDATABASE", "postgres")
    assert str(DatabaseUrl.of(url)) == str(DatabaseUrl.of(postgres_url))
    async with await connect(url, guard=Guard(), run_id="r1") as connection:
        assert await ask(connection, "select current_database()") == "postgres"
    monkeypatch.setenv("PGHOST", "192.0.2.1")
    with pytest.raises(RefusedError, match=r"192\.0\.2\.1"):
        await connect(url, guard=Guard(), run_id="r1")
    monkeypatch.setenv("PGHOSTADDR", "192.0.2.2")
    with pytest.raises(RefusedError, match=r"192\.0\.2\.2"):
        await connect(url, guard=Guard(), run_id="r1")


@pytest.mark.parametrize("by_variable", [False, True])
async def test_a_service_is_looked_up_and_its_password_in_the_password_file(
    by_variable: bool, postgres_url: str, surroundings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = conninfo_to_dict(postgres_url)
    service = "\n".join(f"{name}={parts[name]}" for name in ("host", "port", "user", "dbname"))
    (surroundings / "services").write_text(f"[staging]\n{service}\n[away]\nhost=192.0.2.1\n")
    passwords = surroundings / "passwords"
    passwords.write_text(f"{parts['host']}:*:*:{parts['user']}:{parts['password']}\n")
    passwords.chmod(0o600)
    monkeypatch.setenv("PGHOST", "192.0.2.9")  # a service file goes before
    url = "service=staging"
    if by_variable:
        monkeypatch.setenv("PGSERVICE", "staging")
        url = "postgresql://"
    async with await connect(url, guard=Guard(), run_id="r1") as connection:
        assert await ask(connection, "select 1") == 1
    with pytest.raises(RefusedError, match=r"192\.0\.2\.1"):
        await connect("service=away", guard=Guard(), run_id="r1")
    assert os.environ.get("PGSERVICE") == ("staging" if by_variable else None)


async def test_a_service_that_is_not_there_is_told(surroundings: Path) -> None:
    (surroundings / "services").write_text("[staging]\nhost=127.0.0.1\n")
    with pytest.raises(SetupError, match='definition of service "stagin" not found') as caught:
        await connect("service=stagin", guard=Guard(), run_id="r1")
    assert "PGSERVICEFILE" in caught.value.hint


@pytest.mark.parametrize(
    "url", ["postgresql://u:s3cret@a:1,b:2/db", "hostaddr=127.0.0.1,127.0.0.2", "service=two"]
)
def test_several_hosts_are_refused(url: str, surroundings: Path) -> None:
    (surroundings / "services").write_text("[two]\nhost=a,b\n")
    with pytest.raises(SetupError, match="names several hosts") as caught:
        DatabaseUrl.of(url)
    assert "s3cret" not in caught.value.message + caught.value.hint


def test_a_server_that_nothing_names_is_told_by_what_would_name_it(surroundings: Path) -> None:
    refused = DatabaseUrl.of("postgresql:///shop").refused(psycopg.OperationalError("No such file"))
    assert "PGHOST" in refused.hint


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        ("postgresql://db.test/shop?sslmode=require", "postgresql://db.test/shop?sslmode=require"),
        ("postgresql://", "postgresql://joe:s%2Fcret@db.test:5433/joe?sslmode=verify-full"),
        (
            "postgresql:///shop?sslmode=disable",
            "postgresql://joe:s%2Fcret@db.test:5433/shop?sslmode=disable",
        ),
        (
            "host=::1 dbname='a shop'",
            "postgresql://joe:s%2Fcret@[::1]:5433/a%20shop?sslmode=verify-full",
        ),
        (
            "host=/run/pg port=1 dbname=d sslmode=prefer",
            "postgresql://joe:s%2Fcret@%2Frun%2Fpg:1/d?sslmode=prefer",
        ),
        ("service=other", "postgresql://eve:s%2Fcret@other.test:5433/eve?sslmode=verify-full"),
        (
            "service=other options='-c work_mem=4MB'",
            "postgresql://eve:s%2Fcret@other.test:5433/eve"
            "?options=-c%20work_mem%3D4MB&sslmode=verify-full",
        ),
    ],
)
def test_a_url_for_other_programs_is_whole(
    url: str, whole: str, surroundings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "HOST": "db.test",
        "PORT": "5433",
        "USER": "joe",
        "PASSWORD": "s/cret",
        "SSLMODE": "verify-full",
    }.items():
        monkeypatch.setenv(f"PG{name}", value)
    monkeypatch.delenv("PGPASSFILE")
    (surroundings / "services").write_text("[other]\nhost=other.test\nuser=eve\n")
    found = completed(url)
    assert sorted(found.partition("?")[2].split("&")) == sorted(whole.partition("?")[2].split("&"))
    assert found.partition("?")[0] == whole.partition("?")[0]
    monkeypatch.setenv("PGHOST", "elsewhere.test")
    assert DatabaseUrl.of(found).host == DatabaseUrl.of(whole).host
    assert completed(found) == found


def test_a_url_of_the_default_socket_is_led_elsewhere_by_nothing(
    surroundings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = completed("postgresql://joe@/shop")
    monkeypatch.setenv("PGHOST", "elsewhere.test")
    assert DatabaseUrl.of(found).local
    assert completed(found) == found


# TLS.

INSTALLED = [
    Installation(path.parents[1])
    for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
]


@contextmanager
def certificate_files(certificate: trustme.LeafCert) -> Iterator[dict[str, str]]:
    """Settings of a server whose account can read them, with the certificate in files."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        folder = Path(directory)
        chain, key = folder / "server.pem", folder / "server.key"
        certificate.cert_chain_pems[0].write_to_path(chain)
        certificate.private_key_pem.write_to_path(key)
        key.chmod(0o600)
        account = unprivileged_account()
        for path in (folder, chain, key) if account is not None else ():
            os.chown(path, account.uid, account.gid)
        yield {"ssl": "on", "ssl_cert_file": str(chain), "ssl_key_file": str(key)}


@pytest.mark.skipif(not INSTALLED, reason="the wheel's server has no TLS; none is installed")
def test_ssl_modes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is what the certificate is judged by, though its address is connected to."""
    authority, stranger = trustme.CA(), trustme.CA()
    trusted, strange = str(tmp_path / "trusted.pem"), str(tmp_path / "strange.pem")
    authority.cert_pem.write_to_path(trusted)
    stranger.cert_pem.write_to_path(strange)

    async def is_encrypted(host: str, mode: str, root: str) -> bool:
        parts = with_parts(url, host=host, sslmode=mode, sslrootcert=root)
        async with await connect(parts, guard=Guard(), run_id="r1") as connection:
            with trio.move_on_after(0.05) as scope:
                await connection.execute("select pg_sleep(3600)")
            assert scope.cancelled_caught
            ssl = "select ssl from pg_stat_ssl where pid = pg_backend_pid()"
            return bool(await ask(connection, ssl))

    monkeypatch.setattr(running, "find_installation", lambda: INSTALLED[-1])
    with (
        certificate_files(authority.issue_cert("localhost")) as settings,
        running_server(tmp_path, settings) as url,
    ):
        assert not trio.run(is_encrypted, "localhost", "disable", "")
        assert trio.run(is_encrypted, "localhost", "prefer", "")
        assert trio.run(is_encrypted, "127.0.0.1", "require", "")
        assert trio.run(is_encrypted, "127.0.0.1", "verify-ca", trusted)
        assert trio.run(is_encrypted, "localhost", "verify-full", trusted)
        for host, mode, root, message in (
            ("localhost", "verify-ca", strange, "certificate verify failed"),
            ("127.0.0.1", "verify-full", trusted, "does not match host name"),
        ):
            with pytest.raises(SetupError, match=message) as caught:
                trio.run(is_encrypted, host, mode, root)
            assert "sslrootcert" in caught.value.hint


# What a refused connection says.


@pytest.mark.parametrize(
    ("parts", "message", "hint"),
    [
        ({"port": "1"}, "Connection refused", "start the server"),
        ({"dbname": "nosuch"}, 'database "nosuch" does not exist', "create the database"),
        ({"password": "s3cret"}, "password authentication failed", "password"),
        ({"user": "nosuch", "password": "s3cret"}, "authentication failed", "user"),
        ({"user": "limited", "password": "known"}, "too many connections", "max_connections"),
    ],
)
async def test_a_refused_connection_says_why_and_what_to_do(
    database_url: str, limited_role: str, parts: dict[str, str], message: str, hint: str
) -> None:
    url = with_parts(database_url, **parts)
    with pytest.raises(SetupError) as caught:
        await connect(url, guard=Guard(), run_id="r1")
    place = str(DatabaseUrl.of(url))
    assert place in caught.value.message
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert "s3cret" not in caught.value.message + caught.value.hint
    assert "\n" not in caught.value.message


async def test_a_server_that_never_answers_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://u:s3cret@127.0.0.1:{silent.getsockname()[1]}/db"
        with pytest.raises(SetupError, match="did not answer within"):
            await connect(url, guard=Guard(), run_id="r1", timeout=0.1)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:s3/cret@localhost/db",
        "postgresql://user:s3cret@localhost:port/db",
        "postgresql://user:s3cret@localhost/db?nosuch=1",
        "mysql://user:s3cret@localhost/db",
    ],
)
def test_an_unreadable_url_is_told_without_what_it_holds(url: str) -> None:
    with pytest.raises(SetupError) as caught:
        DatabaseUrl.of(url)
    assert "s3" not in str(caught.value)
    assert "%40" in caught.value.hint


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:p@db.test:6543/shop", "db.test:6543/shop"),
        ("postgresql://u:p@[::1]/shop", "[::1]:5432/shop"),
        ("postgresql:///shop", "localhost:5432/shop"),
        ("host=/run/pg dbname=shop", "/run/pg:5432/shop"),
    ],
)
def test_a_url_is_shown_as_where_it_points(url: str, shown: str) -> None:
    assert str(DatabaseUrl.of(url)) == shown


async def test_leaving_a_block_closes_in_a_cancelled_scope_too(database_url: str) -> None:
    with trio.CancelScope() as scope:
        async with await connect(database_url, guard=Guard(), run_id="r1") as connection:
            scope.cancel()
            await trio.lowlevel.checkpoint()
    assert connection.closed
