"""PgBouncer in transaction mode before a test's database, where it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from stressrun.services.binaries import unprivileged_account
from stressrun.services.ports import LOOPBACK, free_ports

_PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
# For what must happen, however slow the machine.
_PATIENCE = 60

needs_pgbouncer = pytest.mark.skipif(_PROGRAM is None, reason="PgBouncer is not installed")


@contextmanager
def pgbouncer(database_url: str, *, pool_size: int = 4) -> Iterator[str]:
    """The URL of a database by way of PgBouncer, which shares so many connections to it."""
    assert _PROGRAM is not None
    parts = conninfo_to_dict(database_url)
    port = free_ports(1)[0]
    account = unprivileged_account()
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        folder = Path(directory)
        users, settings = folder / "users", folder / "pgbouncer.ini"
        users.write_text(f'"{parts["user"]}" "{parts["password"]}"\n')
        settings.write_text(
            f"[databases]\n{parts['dbname']} = host={parts['host']} port={parts['port']}\n"
            f"[pgbouncer]\nlisten_addr = {LOOPBACK}\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = trust\nauth_file = {users}\n"
            f"pool_mode = transaction\ndefault_pool_size = {pool_size}\n"
        )
        for path in (folder, users, settings) if account is not None else ():
            os.chown(path, account.uid, account.gid)
        process = subprocess.Popen(
            [_PROGRAM, "-q", settings],
            stderr=subprocess.DEVNULL,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[account.gid] if account else None,
        )
        try:
            url = make_conninfo("", **{**parts, "port": port})
            _until_ready(url, process)
            yield url
        finally:
            process.kill()
            process.wait()


def _until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        else:
            return
