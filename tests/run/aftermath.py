"""What holds after every fault: the seven invariants of docs/reliability.md, asserted in one place.

I1  no session of the run's on the server within two seconds, and no process of its own
I2  no residue; or it is told, with the very command that removes it
I3  report.json and the console report are there, whole, and say `partial` and why
I4  planned = succeeded + failed + dropped + interrupted + unknown, in each row of each stage
I5  the exact exit code
I6  the end comes within the grace period and five seconds
I7  one line of cause, one of remedy, no traceback
"""

from __future__ import annotations

import re
import time

import jsonschema
import psycopg
from runs import (
    SCHEMA,
    Ended,
    assert_books_balance,
    assert_nothing_is_left,
    await_guardian,
    processes_of,
    stressrun,
)

from stressrun.safety.ledger import open_ledger

_WORDS = ("cause", "remedy")
_MARGIN = 5.0
_SESSIONS_END_WITHIN = 2.0


def assert_survived(
    ended: Ended,
    code: int,
    cause: str = "",
    *,
    url: str | None = None,
    complete: bool = False,
    kept: bool = False,
    grace: float = 5.0,
) -> None:
    """All seven hold; `url` is a database that the run has used.

    `complete` says that all was done that was to be done, and `kept` that a run with --keep is
    looked into before `assert_clean`. The `grace` (seconds) is all that the run may wait for.
    """
    _assert_told(ended, code, cause, complete=complete)
    assert_books_balance(ended)
    assert ended.seconds < grace + _MARGIN, f"it took {ended.seconds:.1f} s:\n{ended.output}"
    assert_nothing_runs(ended, url)
    if not kept:
        assert_clean(ended)


def _assert_told(ended: Ended, code: int, cause: str, *, complete: bool) -> None:
    """The exit code, and what console and report say of the end (I3, I5, I7)."""
    assert ended.code == code, ended.output
    assert "Traceback" not in ended.output
    report = ended.report
    jsonschema.validate(report, SCHEMA)
    assert report["exit_code"] == code
    assert f"verdict: {report['verdict']} (exit code {code})\n" in ended.output
    causes, remedies = (re.findall(f"^{word}: .+$", ended.output, re.M) for word in _WORDS)
    told = code != 0
    assert (len(causes), len(remedies)) == (told, told), ended.output
    assert cause in report["cause"]
    if told:
        assert f"cause: {report['cause']}\n" in ended.output
    assert bool(report["partial"]) == (not complete), report["partial"]
    if not complete:
        why = report["partial"]
        assert f"partial: {why}\n" in ended.output or f"cause: {why}\n" in ended.output


def assert_nothing_runs(ended: Ended, url: str | None = None) -> None:
    """No process of the run, and none of its sessions on a server (I1)."""
    assert processes_of(ended.run_id, guardian=True) == []
    if url is None:
        return
    name = f"stressrun/{ended.run_id}"
    deadline = time.monotonic() + _SESSIONS_END_WITHIN
    with psycopg.connect(url, autocommit=True) as connection:
        while True:
            ours = connection.execute(
                "select pid, state, query from pg_stat_activity where application_name = %s",
                (name,),
            ).fetchall()
            if not ours:
                return
            assert time.monotonic() < deadline, ours
            time.sleep(0.02)


def assert_clean(ended: Ended, *, left: bool | None = None) -> None:
    """Nothing is left, or what is left is told with the command that removes it (I2).

    `left`: whether something is; None: it is if the exit code or --keep says so.
    """
    if left is None:
        left = ended.code == 5 or "kept as it is (--keep)" in ended.output
    with open_ledger(ended.directory / ".stressrun") as ledger:
        assert bool(ledger.outstanding(ended.run_id)) == left
    if left:
        command = re.search(r"stressrun (clean \S+)$", ended.output, re.M)
        assert command is not None, ended.output
        cleaned = stressrun(ended.directory, *command[1].split())
        assert cleaned.code == 0, cleaned.output
    assert_nothing_is_left(ended)


def assert_killed(ended: Ended, url: str | None = None) -> None:
    """After SIGKILL: what it had begun ends without it, and `stressrun clean` does the rest."""
    assert ended.code == -9, ended.output
    await_guardian(ended.run_id)
    assert_nothing_runs(ended, url)
    cleaned = stressrun(ended.directory, "clean", "--all")
    assert cleaned.code == 0, cleaned.output
    assert_nothing_is_left(ended)
