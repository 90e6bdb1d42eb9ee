"""`stressrun sentinel`, as a user calls it."""

from __future__ import annotations

from functools import partial

import psycopg
import pytest
import trio
from click.testing import CliRunner

from stressrun.cli.sentinel import sentinel
from stressrun.errors import RefusedError, SetupError, StressrunError, UsageError
from stressrun.postgres.sentinel import require_sentinel
from stressrun.safety.guard import Guard


def error_of(*arguments: str) -> StressrunError:
    error = CliRunner().invoke(sentinel, arguments).exception
    assert isinstance(error, StressrunError), error
    return error


def test_it_is_set_and_removed(database_url: str) -> None:
    for arguments, told in (([], "stands in"), ([], "stands in"), (["--remove"], "is gone from")):
        result = CliRunner().invoke(sentinel, [database_url, *arguments])
        assert (result.exit_code, told in result.output) == (0, True)
        assert "@" not in result.output


@pytest.mark.parametrize(
    ("arguments", "kind", "told"),
    [
        (["postgresql://192.0.2.7/app"], RefusedError, "not under allow_hosts"),
        (["postgresql://a:geheim@127.0.0.1:1/x"], SetupError, "refused the connection"),
        (["postgresql://127.0.0.1:x/a"], SetupError, "cannot be read"),
        (["postgresql://127.0.0.1/a\0b"], SetupError, "cannot be read"),
        (["postgresql://h/a", "--allow-host", "0.0.0.0/0"], UsageError, "far more"),
        (["postgresql://h/a", "--allow-host", "*"], UsageError, "is no host name"),
        (["postgresql://h/a", "--allow-host", "a" + ":1" * 10_000], UsageError, "is no host name"),
    ],
)
def test_what_it_may_not_or_cannot_do(
    arguments: list[str], kind: type[StressrunError], told: str
) -> None:
    error = error_of(*arguments)
    assert isinstance(error, kind)
    assert told in error.message
    assert "geheim" not in error.message


def test_who_may_not_know_which_server_it_is_is_told(database_url: str) -> None:
    assert CliRunner().invoke(sentinel, [database_url]).exit_code == 0
    url = f"{database_url}?options=-c%20role%3Dpg_read_all_data"
    required = partial(require_sentinel, url, guard=Guard(), run_id="r1")
    trio.run(required)
    with psycopg.connect(database_url) as connection:
        connection.execute("revoke execute on function pg_control_system() from public")
    with pytest.raises(SetupError) as refused:
        trio.run(required)
    for error in (refused.value, error_of(url)):
        assert "cannot be held against the server" in error.message
        assert "grant execute on function pg_control_system()" in error.hint
