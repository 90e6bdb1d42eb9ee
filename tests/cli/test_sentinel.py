"""`stressrun sentinel`, as a user calls it."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from stressrun.cli.sentinel import sentinel
from stressrun.errors import RefusedError, SetupError, StressrunError, UsageError


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
    ],
)
def test_what_it_may_not_or_cannot_do(
    arguments: list[str], kind: type[StressrunError], told: str
) -> None:
    error = error_of(*arguments)
    assert isinstance(error, kind)
    assert told in error.message
    assert "geheim" not in error.message
